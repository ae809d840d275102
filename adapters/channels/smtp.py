"""E-mail over SMTP, on a few connections that are kept and renewed as needed.

Each message is one envelope with one recipient, so that each has its own answer. The channel
says `Temporary` or `Permanent` by the server's reply code and by how far the exchange came.

Rules
- Reply 4xx is for later and 5xx for good, except where `smtpcodes` says that it speaks of our
  account, or that another channel is the better way.
- A connection that breaks before the content was sent took nothing; after that, it may have.
- A connection that was cut off in the middle is never used again.
- Mail for any purpose but service carries the way out of it (RFC 8058), or it is not sent.
"""

import asyncio
import re
import time
from enum import StrEnum

import aiosmtplib
import msgspec

from actors.ports import Channel, Permanent, Temporary
from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.letter import (
    AddressError,
    Mailbox,
    Relay,
    Sender,
    letter_id,
    read_mailbox,
    write_letter,
)
from adapters.channels.provider import Refusal
from adapters.channels.smtpcodes import Stage, classify
from adapters.signing import SECRET_VARIABLE, Signer
from engine.effects import Send
from engine.errors import Problem, ProgramError
from engine.events import Failure
from engine.instants import MINUTE_MS

_IDLE_S_MAX = 60.0  # servers hang up on idle clients after a few minutes
_QUIT_S_MAX = 2.0
_PORT_TLS = 465
_SERVICE = "service"
_CLOSING = 421
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_REPLY_LENGTH_MAX = 120


class Tls(StrEnum):
    """How the connection is protected."""

    IMPLICIT = "implicit"  # from the first byte, usually on port 465
    STARTTLS = "starttls"  # asked for, and required
    NONE = "none"  # plain: for a server on this machine


class SmtpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where mail leaves, as whom, and where its unsubscribe links lead.

    Without `tls` port 465 is implicit, this machine is plain, and everything else is STARTTLS.
    `unsubscribe: none` is for channels that carry service messages only.
    """

    host: str
    from_address: str = msgspec.field(name="from")
    port: int = 587
    username: str = ""
    password: str = ""
    tls: Tls | None = None
    from_name: str = ""
    reply_to: str = ""
    unsubscribe: str = "link"
    unsubscribe_url: str = ""  # where the gateway is reached from outside
    timeout_s: float = 20.0
    connections: int = 4
    relay: Relay | None = None  # whose relay the host is, where receipts are to come from it

    def __post_init__(self) -> None:
        """Refuse what could never work, while someone is watching."""
        for name, address in (("from", self.from_address), ("reply_to", self.reply_to)):
            if address:
                _check_mailbox(name, address)
        if not self.from_address or not self.host:
            raise ValueError("host and from must not be empty")
        if self.unsubscribe not in ("link", "none"):
            raise ValueError("unsubscribe must be link or none")
        has_url = self.unsubscribe_url.startswith(("https://", "http://"))
        if self.unsubscribe == "link" and not has_url:
            raise ValueError(
                "unsubscribe_url must say where the gateway is reached from outside, like "
                "https://nextbeat.example.com (or set NEXTBEAT_PUBLIC_URL); or say `unsubscribe: "
                "none` where the channel carries service messages only"
            )
        if self.username and self.protection == Tls.NONE and not _is_local(self.host):
            raise ValueError("tls is none, which would send the password in the clear")
        if not 1 <= self.connections <= 64:  # noqa: PLR2004 - beyond it, servers refuse us
            raise ValueError("connections must be 1 to 64")

    @property
    def protection(self) -> Tls:
        """Tell how the connection is protected, where that is not said."""
        if self.tls is not None:
            return self.tls
        if self.port == _PORT_TLS:
            return Tls.IMPLICIT
        return Tls.NONE if _is_local(self.host) else Tls.STARTTLS


class SmtpChannel:
    """Hands each message to one mail server."""

    def __init__(self, name: str, settings: SmtpSettings, signer: Signer | None) -> None:
        """Take the settings, and the signer of unsubscribe links (None: service mail only)."""
        reply_to = read_mailbox(settings.reply_to) if settings.reply_to else None
        self._name = name
        self._settings = settings
        self._signer = signer
        self._sender = Sender(
            read_mailbox(settings.from_address), settings.from_name, reply_to, settings.relay
        )
        self._places = asyncio.Semaphore(settings.connections)
        self._idle: list[tuple[float, aiosmtplib.SMTP]] = []  # (since, connection)

    async def start(self) -> None:
        """Nothing yet: a mail server that is down must not keep us from starting."""

    async def close(self) -> None:
        """Say goodbye on every connection that is not in use."""
        while self._idle:
            _, connection = self._idle.pop()
            await _quit(connection)

    async def deliver(self, send: Send) -> str:
        """Send one mail; gives its Message-ID, which bounces and complaints will name."""
        to = self._read_recipient(send)
        try:
            letter = write_letter(send, self._sender, to, self._unsubscribe_url(send))
        except UnicodeEncodeError:
            message = "the message holds text that is no Unicode"
            raise Permanent(message, code="bad_content", failure=Failure.CONTENT) from None
        async with self._places:
            connection = self._reuse()
            if connection is not None:
                try:
                    await self._exchange(connection, to, letter)
                    return letter_id(send, self._sender)
                except _LostError:
                    pass  # it had gone stale, which nobody could know; nothing was taken
            await self._exchange(await self._connect(), to, letter)
        return letter_id(send, self._sender)

    def _read_recipient(self, send: Send) -> Mailbox:
        try:
            return read_mailbox(send.address)
        except AddressError as error:
            message = f"mail can't go to this address: {error}"
            dead = Failure.ADDRESS_DEAD
            raise Permanent(message, code="bad_address", failure=dead) from None

    def _unsubscribe_url(self, send: Send) -> str:
        if send.purpose == _SERVICE:
            return ""
        if self._signer is None or self._settings.unsubscribe == "none":
            message = (
                f"channel {self._name!r} has no unsubscribe links, so it carries service messages "
                f"only: set {SECRET_VARIABLE} and unsubscribe_url"
            )
            raise Permanent(message, code="no_unsubscribe", failure=Failure.CONFIG)
        token = self._signer.unsubscribe_token(
            send.customer, purpose=send.purpose, channel=send.channel
        )
        return f"{self._settings.unsubscribe_url.rstrip('/')}/v1/unsubscribe/{token}"

    def _reuse(self) -> aiosmtplib.SMTP | None:
        """Take the connection that was used last, if it can still be good."""
        while self._idle:
            since, connection = self._idle.pop()
            if connection.is_connected and time.monotonic() - since < _IDLE_S_MAX:
                return connection
            connection.close()
        return None

    async def _connect(self) -> aiosmtplib.SMTP:
        settings, protection = self._settings, self._settings.protection
        connection = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username or None,
            password=settings.password or None,
            local_hostname=self._sender.mailbox.domain,
            timeout=settings.timeout_s,
            use_tls=protection == Tls.IMPLICIT,
            start_tls=protection == Tls.STARTTLS,
        )
        try:
            await connection.connect()
            await connection.ehlo()
        except aiosmtplib.SMTPAuthenticationError as error:
            connection.close()
            message = f"the mail server refused our login ({error.code})"
            raise _refuse_config(message, str(error.code)) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            connection.close()
            message = f"no connection to the mail server ({type(error).__name__})"
            raise Temporary(message, failure=Failure.TRANSIENT) from error
        except BaseException:
            connection.close()
            raise
        return connection

    async def _exchange(self, connection: aiosmtplib.SMTP, to: Mailbox, letter: bytes) -> None:
        """Send one envelope; the connection is idle afterwards, or closed."""
        stage = Stage.SENDER
        try:
            options = _options(connection, to)
            sender = self._sender.mailbox.text
            await connection.mail(sender, options=options, encoding="utf-8")
            stage = Stage.RECIPIENT
            await connection.rcpt(to.text, encoding="utf-8")
            stage = Stage.CONTENT
            await connection.data(letter)
        except aiosmtplib.SMTPResponseException as error:
            await self._recycle(connection, error.code)
            raise _judge(error, to, stage) from error
        except Permanent:
            await self._recycle(connection)
            raise
        except (aiosmtplib.SMTPException, OSError) as error:
            connection.close()
            message = f"the connection to the mail server broke ({type(error).__name__})"
            if stage is Stage.CONTENT:
                raise Temporary(message, maybe_taken=True, failure=Failure.TRANSIENT) from error
            raise _LostError(message, failure=Failure.TRANSIENT) from error
        except BaseException:
            connection.close()
            raise
        self._idle.append((time.monotonic(), connection))

    async def _recycle(self, connection: aiosmtplib.SMTP, code: int = 0) -> None:
        """Make a connection that had a refusal ready for the next envelope, or close it."""
        if code == _CLOSING:
            connection.close()
            return
        try:
            await connection.rset()
        except (aiosmtplib.SMTPException, OSError):
            connection.close()
        except BaseException:
            connection.close()
            raise
        else:
            self._idle.append((time.monotonic(), connection))


class _LostError(Temporary):
    """The connection broke before it took anything."""


def _options(connection: aiosmtplib.SMTP, to: Mailbox) -> list[str]:
    """Ask for what an address needs. Raises Permanent where the server can't carry it."""
    if not to.needs_utf8:
        return []
    if not connection.supports_extension("smtputf8"):
        message = "the mail server does not take addresses with letters beyond ASCII"
        raise Permanent(message, code="553 5.6.7", failure=Failure.NOT_THERE)
    return ["SMTPUTF8", "BODY=8BITMIME"]


def _judge(
    error: aiosmtplib.SMTPResponseException, to: Mailbox, stage: Stage
) -> Temporary | Permanent:
    """Say what a reply means for the message. A reply is clear: the message was not taken."""
    found = _ENHANCED.match(error.message.strip())
    enhanced = found[0] if found else ""
    code = f"{error.code} {enhanced}".strip()
    # Servers like to repeat the address, which has no place in logs and reports.
    words = error.message.replace(to.text, "…")[:_REPLY_LENGTH_MAX]
    message = f"the mail server refused the {stage}: {error.code} {words}"
    failure = classify(error.code, enhanced, stage)
    if error.code == _CLOSING:
        return _LostError(message, code=code, failure=failure)
    if failure is Failure.CONFIG:
        return _refuse_config(message, code)
    return Refusal(failure, code, message).error()


def _refuse_config(message: str, code: str) -> Temporary | Permanent:
    """Leave a message be until somebody has mended what is wrong with our account."""
    return Refusal(Failure.CONFIG, code, message, retry_after_ms=MINUTE_MS).error()


async def _quit(connection: aiosmtplib.SMTP) -> None:
    try:
        await connection.quit(timeout=_QUIT_S_MAX)
    except (aiosmtplib.SMTPException, OSError):
        connection.close()


def _check_mailbox(name: str, address: str) -> None:
    try:
        mailbox = read_mailbox(address)
    except AddressError as error:
        raise ValueError(f"{name}: {error}") from None
    if mailbox.needs_utf8:
        raise ValueError(f"{name}: the part before @ must be ASCII, so that every server takes it")


def _is_local(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def _build(name: str, settings: SmtpSettings, workshop: Workshop) -> Channel:
    if settings.unsubscribe == "link" and workshop.signer is None:
        message = "unsubscribe links need a secret to sign them with"
        hint = f"set {SECRET_VARIABLE}, or `unsubscribe: none` if it carries service messages only"
        raise ProgramError([Problem("unsubscribe", message, hint)])
    return SmtpChannel(name, settings, workshop.signer)


ADAPTER = Adapter(
    SmtpSettings,
    _build,
    {
        "host": "NEXTBEAT_SMTP_HOST",
        "port": "NEXTBEAT_SMTP_PORT",
        "username": "NEXTBEAT_SMTP_USERNAME",
        "password": "NEXTBEAT_SMTP_PASSWORD",
        "tls": "NEXTBEAT_SMTP_TLS",
        "from": "NEXTBEAT_SMTP_FROM",
        "from_name": "NEXTBEAT_SMTP_FROM_NAME",
        "unsubscribe_url": "NEXTBEAT_PUBLIC_URL",
    },
    secrets=("password",),
)

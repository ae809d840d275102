"""The stand-in of a mail server: takes e-mail over SMTP, or refuses it as mail servers do.

Run by `adapters.sandbox.server` where aiosmtpd is installed. Whoever is said to read their mail
fetches the pictures in it that are ours, and whoever answers with STOP follows the one-click link.
Codes are those of RFC 5321 and RFC 3463.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from typing import Self
from weakref import WeakKeyDictionary

from aiosmtpd.smtp import SMTP, Envelope, Session

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.mailserver import MailServer
from adapters.sandbox.office import Office
from adapters.sandbox.standin import Answer, Callback

_PICTURE = re.compile(r'<img\b[^>]*\bsrc="([^"]+)"', re.IGNORECASE)
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_MARK = "mail"  # what a mail says is not known yet when its reader is judged
_ONE_CLICK = b"List-Unsubscribe=One-Click"  # RFC 8058 wants exactly this

_AT_RCPT: Mapping[Fate, str] = {
    Fate.GONE: "550 5.1.1 nobody has this address any more",
    Fate.INVALID: "553 5.1.3 that is no address",
    Fate.OPTED_OUT: "550 5.7.1 they do not want this",
    Fate.RATE: "451 4.7.1 too fast, try again later",
    Fate.BROKEN: "451 4.3.0 an error here, try again later",
    Fate.DOWN: "421 4.3.2 not in service",
}


class MailStandIn:
    """A mail server, and the people who read what it takes. Use it as a context manager."""

    name = "smtp"

    def __init__(self, office: Office, host: str, port: int, gateway_url: str) -> None:
        self._office = office
        self._host, self._wanted_port = host, port
        self._gateway_url = gateway_url
        self._server = MailServer(self, "sandbox.localhost")
        self._fates: WeakKeyDictionary[Envelope, dict[str, Fate]] = WeakKeyDictionary()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.port

    async def __aenter__(self) -> Self:
        """Listen."""
        await self._server.start(self._host, self._wanted_port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send everybody home."""
        await self._server.stop()

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:  # noqa: ARG002 - as all have it
        """Fetch the pictures of ours in what somebody reads."""
        if stage is not Stage.READ or not self._gateway_url:
            return ()
        found = (unescape(url) for url in _PICTURE.findall(message.draft.fields["html"]))
        return [
            Callback(url, method="GET") for url in found if url.startswith(f"{self._gateway_url}/")
        ]

    def forward(self, answer: Answer, now: int) -> Callback | None:  # noqa: ARG002 - as all have it
        """Unsubscribe by the link of the latest message, as a mail program's button does."""
        if answer.channel != "email" or answer.latest is None:
            return None
        way_out = answer.latest.draft.fields["way_out"]
        if not way_out.startswith(f"{self._gateway_url}/"):
            return None
        return Callback(way_out, _FORM, _ONE_CLICK)

    async def handle_RCPT(  # noqa: N802 - the server's name and arguments
        self,
        server: SMTP,  # noqa: ARG002 - as above
        session: Session,  # noqa: ARG002 - as above
        envelope: Envelope,
        address: str,
        options: list[str],  # noqa: ARG002 - as above
    ) -> str:
        """Say whether there is somebody at an address."""
        draft = Draft(self.name, "email", address, "", sender=envelope.mail_from or "", mark=_MARK)
        fate = self._office.judge(draft)
        refusal = _AT_RCPT.get(fate)
        if refusal is not None:
            self._office.keep(self, draft, fate, refused=True)
            return refusal
        self._fates.setdefault(envelope, {})[address] = fate
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 known"

    async def handle_DATA(  # noqa: N802 - the server's name
        self,
        server: SMTP,
        session: Session,  # noqa: ARG002 - the server's arguments
        envelope: Envelope,
    ) -> str:
        """Take an e-mail, for each of its readers."""
        content = envelope.content
        assert isinstance(content, bytes)
        letter = message_from_bytes(content, EmailMessage, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        fates = self._fates.pop(envelope)
        for address, fate in fates.items():
            self._office.keep(self, _read(letter, address, envelope.mail_from or ""), fate)
        if Fate.TIMEOUT in fates.values() and isinstance(server.transport, asyncio.WriteTransport):
            await self._office.hold()
            server.transport.abort()
        return "250 2.0.0 taken"


def _read(letter: EmailMessage, address: str, sender: str) -> Draft:
    """Read an e-mail: its subject and text, and what else may be asked for."""
    plain, rich = letter.get_body(("plain",)), letter.get_body(("html",))
    text = str(plain.get_content()) if isinstance(plain, EmailMessage) else ""
    html = str(rich.get_content()) if isinstance(rich, EmailMessage) else ""
    subject = str(letter["Subject"] or "")
    return Draft(
        MailStandIn.name,
        "email",
        address,
        f"{subject}\n\n{text or html}".strip(),
        sender=sender,
        reference=str(letter["Message-ID"] or "").strip("<>"),
        fields={
            "subject": subject,
            "html": html,
            "way_out": str(letter["List-Unsubscribe"] or "").strip("<>"),
        },
        mark=_MARK,
    )

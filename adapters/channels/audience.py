"""Paid media: who is to be in an audience of an advertising network, as hashes, one row a message.

A message says `audience` and `action: add` or `remove`. Rows go into files, or to a webhook that
hands them on. Uploading to the networks is not done here: Meta and Google want an app of one's own
that they approved.

Sources: developers.facebook.com, Marketing API, "Customer file custom audiences" (hashing, 10,000
rows a request); developers.google.com, Data Manager API, "Format user data".

*Rules*
- No address leaves as it is: only its SHA-256, in the form the network compares.
- Rows are changes, in order. The last one about a person holds, so whoever buys is taken out by a
  message with `remove`.
- A message that is sent again is one row in a file. A webhook drops a `message_id` it has seen.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol

import msgspec
from standardwebhooks import Webhook

from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.answers import (
    judge_status,
    refuse_address,
    refuse_content,
)
from adapters.channels.audience_files import AudienceFile, Row
from adapters.channels.batches import Batches
from adapters.channels.bodies import write_json
from adapters.channels.exchange import SECRET_BYTES_MIN, is_secret, sign
from adapters.channels.provider import Refusal
from adapters.channels.wire import Reply, Request, Wire
from engine.effects import Send
from engine.events import Failure
from engine.ids import stable_hash
from engine.instants import format_instant

ROWS_MAX = 10_000
AUDIENCES_MAX = 1_000  # a template that names one for each customer is stopped here
_WAIT_S_MAX = 5.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PHONE_DIGITS_MIN, _PHONE_DIGITS_MAX = 7, 15
_GMAIL = ("gmail.com", "googlemail.com")
_REFUSED = (400, 413, 422)

Rules = Literal["meta", "google"]


class AudienceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where rows go, a `directory` or a `url`, and by whose `rules` addresses are hashed.

    A row waits up to `wait_s` for others to go with. `secret` is `whsec_` and base64.
    """

    directory: str = ""
    url: str = ""
    secret: str = ""
    rules: Rules = "meta"
    format: Literal["ndjson", "csv"] = "ndjson"
    rows: int = ROWS_MAX
    wait_s: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if bool(self.directory) == bool(self.url):
            raise ValueError("say either a directory or a url")
        if self.url and not is_secret(self.secret):
            raise ValueError(
                f"secret must be `whsec_` and {SECRET_BYTES_MIN} or more bytes in base64"
            )
        if not 1 <= self.rows <= ROWS_MAX or not 0 <= self.wait_s <= _WAIT_S_MAX:
            raise ValueError(f"rows must be 1 to {ROWS_MAX}, wait_s 0 to {_WAIT_S_MAX:g}")


class Place(Protocol):
    """Where the rows of one audience go."""

    async def put(self, rows: list[Row]) -> None:
        """Put them there, durably. Raises Temporary or Permanent for all of them."""
        ...


class AudienceHook:
    """Posts rows of one audience, signed as Standard Webhooks say."""

    def __init__(self, name: str, settings: AudienceSettings, wire: Wire) -> None:
        self._name = name
        self._settings = settings
        self._signer = Webhook(settings.secret)
        self._wire = wire

    async def put(self, rows: list[Row]) -> None:
        """Post them in one request."""
        present = datetime.now(UTC)  # receivers refuse what was signed long ago
        reply = await self._wire.exchange(self.build(rows, present))
        if not reply.is_success:
            raise self.judge(reply, present).error()

    def build(self, rows: list[Row], present: datetime) -> Request:
        """Write the request; the same rows have the same id."""
        told = {
            "type": "audience.changed",
            "timestamp": rows[-1].at,
            "data": {"audience": self._name, "rules": self._settings.rules, "rows": rows},
        }
        body = write_json(told)
        ids = stable_hash("audience", self._name, *(row.message_id for row in rows), size=12)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Nextbeat",
            **sign(self._signer, f"a_{ids.hex()}", body, present),
        }
        return Request("POST", self._settings.url, headers, body)

    def judge(self, reply: Reply, present: datetime) -> Refusal:
        """Say what an answer other than 2xx means for the rows."""
        if reply.status not in _REFUSED:
            return judge_status(reply, present)
        text = f"the endpoint refused the rows ({reply.status})"
        return Refusal(Failure.CONTENT, str(reply.status), text)


class AudienceChannel:
    """Turns each message into a row, and puts rows into place in lots."""

    def __init__(self, settings: AudienceSettings, wire: Wire) -> None:
        self._settings = settings
        self._wire = wire
        self._audiences: dict[str, Batches[Row]] = {}

    async def start(self) -> None:
        """Files and connections are opened when there is something for them."""

    async def close(self) -> None:
        """Wait for the rows that are under way."""
        for audience in self._audiences.values():
            await audience.close()
        await self._wire.close()

    async def deliver(self, send: Send) -> str:
        """Put one row into place, with whatever others there are."""
        name = send.content.get("audience", "").strip()
        if _NAME.fullmatch(name) is None:
            raise refuse_content("`audience` must be up to 64 letters, digits and `_.-`")
        row = write_row(send, self._settings.rules)
        audience = self._audiences.get(name)
        if audience is None:
            if len(self._audiences) >= AUDIENCES_MAX:
                raise refuse_content(f"there are {AUDIENCES_MAX} audiences already")
            audience = self._audiences[name] = self._open(name)
        await audience.add(row)
        return send.message_id

    def _open(self, name: str) -> Batches[Row]:
        settings = self._settings
        place: Place
        if settings.directory:
            path = Path(settings.directory) / f"{name}.{settings.format}"
            place = AudienceFile(path, is_csv=settings.format == "csv")
        else:
            place = AudienceHook(name, settings, self._wire)
        return Batches(place.put, items_max=settings.rows, wait_s=settings.wait_s)


def write_row(send: Send, rules: Rules) -> Row:
    """Write a message as a change of an audience: who, hashed, and whether in or out."""
    content = send.content
    action = content.get("action", "add").strip()
    if action not in ("add", "remove"):
        raise refuse_content("`action` must be add or remove")
    addresses = (send.address, content.get("email", ""), content.get("phone", ""))
    email = _first(normalise_email(text, rules) for text in addresses)
    phone = _first(normalise_phone(text, rules) for text in addresses)
    if not (email or phone):
        raise refuse_address("there is neither an e-mail address nor a phone number in E.164")
    return Row(format_instant(send.decided_at), action, _hash(email), _hash(phone), send.message_id)


def normalise_email(text: str, rules: Rules) -> str:
    """Write an e-mail address as the network does before it hashes it; "" where it is none.

    Google takes `zoe.m+shop@gmail.com` for `zoem@gmail.com`, as its mail does.
    """
    local, at, domain = "".join(text.split()).lower().rpartition("@")
    if not (local and at and domain):
        return ""
    if rules == "google" and domain in _GMAIL:
        local = local.partition("+")[0].replace(".", "")
    return f"{local}@{domain}"


def normalise_phone(text: str, rules: Rules) -> str:
    """Write a phone number as the network does: digits for Meta, E.164 with `+` for Google."""
    text = text.strip()
    if "@" in text or not text.startswith(("+", "00")):
        return ""
    digits = re.sub(r"[^0-9]", "", text).lstrip("0")
    if not _PHONE_DIGITS_MIN <= len(digits) <= _PHONE_DIGITS_MAX:
        return ""
    return f"+{digits}" if rules == "google" else digits


def _first(found: Iterable[str]) -> str:
    return next((text for text in found if text), "")


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest() if text else ""


def build_channel(_name: str, settings: AudienceSettings, workshop: Workshop) -> AudienceChannel:
    """Make the channel."""
    return AudienceChannel(settings, workshop.wire)


ADAPTER = Adapter(
    AudienceSettings,
    build_channel,
    {
        "directory": "NEXTBEAT_AUDIENCE_DIRECTORY",
        "url": "NEXTBEAT_AUDIENCE_URL",
        "secret": "NEXTBEAT_AUDIENCE_SECRET",
    },
    secrets=("secret",),
)

"""What WhatsApp tells by itself: what became of messages, and what people wrote back.

Source: developers.facebook.com, WhatsApp Business Platform, webhooks `messages` and
`user_preferences`, and Graph API, "Webhooks" for the challenge and the signature.

*Rules*
- A request is signed over its bytes and carries no time: what is told again has the same id, and
  no second effect.
- `delivered` may be left out where `read` says more, and they come in any order.
- One item that can't be read takes nothing from the others.
"""

import hmac
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256

import msgspec

from adapters.channels.answers import read_json
from adapters.channels.hooks import ForgedError, HookRequest, Notice, Said
from adapters.channels.proofs import expect_header, is_same
from adapters.channels.whatsapp_codes import judge_code
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from engine.instants import SECOND_MS

SECRET_VARIABLE = "NEXTBEAT_WHATSAPP_APP_SECRET"  # noqa: S105 - the name, not the secret
VERIFY_VARIABLE = "NEXTBEAT_WHATSAPP_VERIFY_TOKEN"
_SIGNATURE = "x-hub-signature-256"
_STATUSES = {
    "sent": ReceiptStatus.ACCEPTED,
    "delivered": ReceiptStatus.DELIVERED,
    "read": ReceiptStatus.OPENED,
    "played": ReceiptStatus.OPENED,
    "failed": ReceiptStatus.FAILED,
}
_NOT_SAID = ("system",)  # a number that changed, and the like
_WORDS = {"stop": "STOP", "resume": "START"}


class WhatsAppHook:
    """Reads Meta's webhooks for one app."""

    def __init__(self, secret: str, verify_token: str) -> None:
        self._secret = secret.encode()
        self._verify_token = verify_token

    def verify(self, request: HookRequest, present: datetime) -> None:  # noqa: ARG002 - no time in it
        """Check the signature over the body; of the challenge, the token that was agreed on."""
        if request.method == "GET":
            self._check_challenge(request)
            return
        expected = "sha256=" + hmac.new(self._secret, request.body, sha256).hexdigest()
        if not is_same(expect_header(request, _SIGNATURE), expected):
            raise ForgedError(f"{_SIGNATURE} is not made with this app's secret")

    def greet(self, request: HookRequest) -> bytes | None:
        """Answer the challenge by which Meta finds out whether this address is ours."""
        if request.method != "GET":
            return None
        self._check_challenge(request)
        return request.query.get("hub.challenge", "").encode()

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read statuses, messages and preferences."""
        told = read_json(request.body, _Told)
        if told is None:
            raise InputError("not_understood", "expected what WhatsApp's webhooks tell")
        found: list[Notice | Said] = []
        for entry in told.entry:
            for change in entry.changes:
                found += _read_value(change.value)
        return found

    def _check_challenge(self, request: HookRequest) -> None:
        query = request.query
        is_agreed = is_same(query.get("hub.verify_token", ""), self._verify_token)
        if query.get("hub.mode") != "subscribe" or not is_agreed:
            raise ForgedError("hub.verify_token is not the one that was agreed on")


def make_hook(environment: Mapping[str, str]) -> WhatsAppHook:
    """Make the hook from the app's secret, and the token that was written into Meta's form."""
    return WhatsAppHook(environment[SECRET_VARIABLE], environment[VERIFY_VARIABLE])


def _read_value(value: "_Value") -> Iterator[Notice | Said]:
    for raw in value.statuses:
        status = read_json(bytes(raw), _Status)
        if status is not None and status.status in _STATUSES:
            yield _read_status(status)
    for raw in value.messages:
        message = read_json(bytes(raw), _Message)
        if message is not None and message.type not in _NOT_SAID:
            yield _read_message(message)
    for raw in value.user_preferences:
        wish = read_json(bytes(raw), _Preference)
        if wish is not None and wish.value in _WORDS:
            yield _read_wish(wish)


def _read_status(told: "_Status") -> Notice:
    status = _STATUSES[told.status]
    notice = Notice(
        id=f"{told.id}:{told.status}",
        status=status,
        at=_instant(told.timestamp),
        message_id=told.biz_opaque_callback_data,
        provider_id=told.id,
    )
    if status != ReceiptStatus.FAILED:
        return notice
    code = told.errors[0].code if told.errors else None
    return msgspec.structs.replace(
        notice,
        code="" if code is None else str(code),
        # They tried for as long as they do; nothing more comes of it, whatever the reason.
        permanent=True,
        failure=None if code is None else judge_code(code, other=Failure.UNREACHABLE),
    )


def _read_message(message: "_Message") -> Said:
    return Said(
        id=message.id,
        address=_address(message.from_phone, message.from_user_id),
        text=_text_of(message),
        at=_instant(message.timestamp),
        answers=message.context.id,
    )


def _read_wish(wish: "_Preference") -> Said:
    """Read that somebody stopped marketing in their app, or let it begin again."""
    address = _address(wish.wa_id, wish.user_id)
    return Said(
        id=f"{address}:{wish.category}:{wish.value}:{wish.timestamp}",
        address=address,
        text="",
        at=_instant(wish.timestamp),
        keyword=_WORDS[wish.value],
    )


def _text_of(message: "_Message") -> str:
    """Find what was said: words, the title of what was chosen, or what is written under media."""
    replies = message.interactive
    chosen = replies.button_reply.title or replies.list_reply.title
    captions = (message.image, message.video, message.document)
    caption = next((media.caption for media in captions if media.caption), "")
    text = message.text.body or message.button.text or chosen
    return text or caption or message.reaction.emoji


def _address(phone: str, user_id: str) -> str:
    """Write a phone number as E.164; who hides theirs is known by a business-scoped id alone."""
    return f"+{phone.lstrip('+')}" if phone else user_id


def _instant(timestamp: str | int) -> int:
    text = str(timestamp)
    return int(text) * SECOND_MS if text.isascii() and text.isdigit() and len(text) <= 11 else 0  # noqa: PLR2004 - the year 5138


class _Body(msgspec.Struct, frozen=True):
    body: str = ""


class _Button(msgspec.Struct, frozen=True):
    text: str = ""


class _Chosen(msgspec.Struct, frozen=True):
    title: str = ""


class _Interactive(msgspec.Struct, frozen=True):
    button_reply: _Chosen = _Chosen()
    list_reply: _Chosen = _Chosen()


class _Media(msgspec.Struct, frozen=True):
    caption: str = ""


class _Reaction(msgspec.Struct, frozen=True):
    emoji: str = ""


class _Context(msgspec.Struct, frozen=True):
    id: str = ""


class _Message(msgspec.Struct, frozen=True):
    id: str
    type: str
    timestamp: str | int = ""
    from_phone: str = msgspec.field(name="from", default="")
    from_user_id: str = ""
    text: _Body = _Body()
    button: _Button = _Button()
    interactive: _Interactive = _Interactive()
    image: _Media = _Media()
    video: _Media = _Media()
    document: _Media = _Media()
    reaction: _Reaction = _Reaction()
    context: _Context = _Context()

    def __post_init__(self) -> None:
        if not self.id or not (self.from_phone or self.from_user_id):
            raise ValueError("who wrote this?")


class _Error(msgspec.Struct, frozen=True):
    code: int


class _Status(msgspec.Struct, frozen=True):
    id: str
    status: str
    timestamp: str | int = ""
    biz_opaque_callback_data: str = ""
    errors: list[_Error] = []


class _Preference(msgspec.Struct, frozen=True):
    value: str
    category: str = ""
    wa_id: str = ""
    user_id: str = ""
    timestamp: str | int = ""

    def __post_init__(self) -> None:
        if not (self.wa_id or self.user_id):
            raise ValueError("whose preference is this?")


class _Value(msgspec.Struct, frozen=True):
    statuses: list[msgspec.Raw] = []
    messages: list[msgspec.Raw] = []
    user_preferences: list[msgspec.Raw] = []


class _Change(msgspec.Struct, frozen=True):
    value: _Value = _Value()


class _Entry(msgspec.Struct, frozen=True):
    changes: list[_Change] = []


class _Told(msgspec.Struct, frozen=True):
    entry: list[_Entry]

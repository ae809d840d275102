"""WhatsApp by Meta's Cloud API: templates, and free text while the customer's window is open.

Source: developers.facebook.com, WhatsApp Business Platform, "Messages" (Graph API v26.0). What
became of messages comes back by `whatsapp_hook`, with our message id in it.

*Rules*
- Content with `template` names what Meta has approved; all other content needs the window of 24
  hours, which the workspace states as the channel's `reply_window`, so that what has no window is
  not even tried.
- An address is a phone number in E.164 or a business-scoped user id, which is no phone number and
  says nothing about one.
- The API takes a message again that is sent again: what may have been taken is in doubt.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import msgspec

from adapters.channels.adapter import Adapter
from adapters.channels.answers import (
    judge_status,
    read_json,
    read_pause,
    refuse_address,
    refuse_content,
)
from adapters.channels.bodies import write_json
from adapters.channels.hooks import HookKind
from adapters.channels.provider import HttpChannel, Refusal
from adapters.channels.whatsapp_codes import PAIR_PAUSE_MS, PAIR_RATE, judge_code
from adapters.channels.whatsapp_hook import SECRET_VARIABLE, VERIFY_VARIABLE, make_hook
from adapters.channels.wire import Reply, Request
from engine.effects import Send
from engine.program.contentmodel import TEMPLATE_FIELD

_PHONE = re.compile(r"\+?([1-9]\d{6,14})")
_USER_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,140}")
_SUFFIXES = {
    "video": (".mp4", ".3gp", ".3gpp"),
    "audio": (".aac", ".amr", ".mp3", ".m4a", ".ogg", ".opus"),
    "document": (".pdf", ".txt", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx"),
    "sticker": (".webp",),
}
_SERVER_ERROR = 500

Part = dict[str, Any]  # of a message: JSON


class WhatsAppSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose number writes. `language` is that of templates whose content names none."""

    token: str
    phone_id: str
    url: str = "https://graph.facebook.com"
    version: str = "v26.0"
    language: str = "en"

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if not self.token or not self.phone_id.isdigit():
            raise ValueError(
                "token must not be empty, and phone_id is the number Meta shows for it"
            )


class WhatsAppProvider:
    """Writes messages as the Cloud API takes them, and reads what it answers."""

    def __init__(self, settings: WhatsAppSettings) -> None:
        base = settings.url.rstrip("/")
        self._url = f"{base}/{settings.version}/{settings.phone_id}/messages"
        self._language = settings.language
        self._headers = {
            "Authorization": f"Bearer {settings.token}",
            "Content-Type": "application/json",
        }

    def build(self, send: Send, present: datetime) -> Request:  # noqa: ARG002 - nothing is dated
        """Ask for a template, or for text with buttons or media."""
        kind, part = write_part(send.content, self._language)
        message = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "type": kind,
            **_write_recipient(send.address),
            "biz_opaque_callback_data": send.message_id,
            kind: part,
        }
        return Request("POST", self._url, self._headers, write_json(message))

    def classify(self, reply: Reply, present: datetime) -> str | Refusal:
        """Read the id (`wamid.…`), or the error's code."""
        if reply.is_success:
            taken = read_json(reply.body, _Taken)
            if taken is not None and taken.messages and taken.messages[0].id:
                return taken.messages[0].id
            return judge_status(reply, present)
        answer = read_json(reply.body, _Refused)
        if answer is None or answer.error is None:
            return judge_status(reply, present)
        error = answer.error
        pause_ms = read_pause(reply, present)
        if pause_ms is None and error.code == PAIR_RATE:
            pause_ms = PAIR_PAUSE_MS
        failure = judge_code(error.code)
        text = f"WhatsApp did not take the message ({error.code})"
        return Refusal(failure, str(error.code), text, retry_after_ms=pause_ms)


def write_part(content: Mapping[str, str], language: str) -> tuple[str, Part]:
    """Write what a message says: its type, and the part of that name."""
    body, media = content.get("body", ""), content.get("media_url", "")
    if content.get(TEMPLATE_FIELD):
        return "template", _write_template(content, content.get("language") or language)
    if content.get("buttons"):
        return "interactive", _write_buttons(content, body, media)
    if media:
        kind = _kind_of(media)
        has_caption = body and kind not in ("audio", "sticker")
        return kind, {"link": media} | ({"caption": body} if has_caption else {})
    if not body:
        raise refuse_content("there is no `body`, `media_url` or `template` in its content")
    return "text", {"body": body, "preview_url": content.get("preview_url") == "true"}


def _write_template(content: Mapping[str, str], language: str) -> Part:
    components: list[Part] = []
    media = content.get("media_url", "")
    if media:
        kind = _kind_of(media)
        header: Part = {"type": kind, kind: {"link": media}}
        components.append({"type": "header", "parameters": [header]})
    elif content.get("header"):
        parameters = [_write_value("", content["header"])]
        components.append({"type": "header", "parameters": parameters})
    values = read_variables(content.get("variables", ""))
    if values:
        parameters = [_write_value(name, value) for name, value in values]
        components.append({"type": "body", "parameters": parameters})
    for index in range(10):
        value = content.get(f"button_{index + 1}")
        if value:
            part: Part = {"type": "button", "sub_type": "url", "index": str(index)}
            components.append({**part, "parameters": [_write_value("", value)]})
    return {
        "name": content[TEMPLATE_FIELD],
        "language": {"code": language},
        "components": components,
    }


def read_variables(text: str) -> list[tuple[str, str]]:
    """Read a template's variables: one a line, or JSON, where an object names them.

    `{"1": …, "2": …}` are numbers and not names.
    """
    text = text.strip()
    if not text.startswith(("{", "[")):
        return [("", line.strip()) for line in text.splitlines() if line.strip()]
    raw = text.encode("utf-8", "replace")
    listed = read_json(raw, list[str | int | float])
    if listed is not None:
        return [("", str(value)) for value in listed]
    named = read_json(raw, dict[str, str | int | float])
    if named is None:
        raise refuse_content("`variables` are no JSON list or object of texts")
    if all(name.isascii() and name.isdigit() for name in named):
        return [("", str(named[name])) for name in sorted(named, key=int)]
    return [(name, str(value)) for name, value in named.items()]


def _write_value(name: str, text: str) -> Part:
    # Lines and runs of spaces are refused in variables.
    value: Part = {"type": "text", "text": " ".join(text.split())}
    return value | {"parameter_name": name} if name else value


def _write_buttons(content: Mapping[str, str], body: str, media: str) -> Part:
    """Write reply buttons, one a line: `yes: Yes, please`, or a title alone."""
    buttons: list[Part] = []
    for line in content["buttons"].splitlines():
        name, colon, title = line.partition(":")
        if line.strip():
            reply = {"id": name.strip(), "title": (title if colon else name).strip()}
            buttons.append({"type": "reply", "reply": reply})
    part: Part = {"type": "button", "action": {"buttons": buttons}, "body": {"text": body}}
    if media:
        kind = _kind_of(media)
        part["header"] = {"type": kind, kind: {"link": media}}
    elif content.get("header"):
        part["header"] = {"type": "text", "text": content["header"]}
    if content.get("footer"):
        part["footer"] = {"text": content["footer"]}
    return part


def _kind_of(url: str) -> str:
    """Tell what kind of media is at an address; what says nothing of itself is an image."""
    suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    return next((kind for kind, known in _SUFFIXES.items() if suffix in known), "image")


def _write_recipient(address: str) -> dict[str, str]:
    phone = _PHONE.fullmatch(address)
    if phone is not None:
        return {"to": phone[1]}
    if _USER_ID.fullmatch(address) is not None:
        return {"recipient": address}
    raise refuse_address("it is no phone number in E.164, nor a business-scoped user id")


class _Message(msgspec.Struct, frozen=True):
    id: str = ""


class _Taken(msgspec.Struct, frozen=True):
    messages: list[_Message] = []


class _Error(msgspec.Struct, frozen=True):
    code: int


class _Refused(msgspec.Struct, frozen=True):
    error: _Error | None = None


ADAPTER = Adapter(
    WhatsAppSettings,
    lambda _name, settings, workshop: HttpChannel(WhatsAppProvider(settings), workshop.wire),
    {
        "token": "NEXTBEAT_WHATSAPP_TOKEN",
        "phone_id": "NEXTBEAT_WHATSAPP_PHONE_ID",
        "url": "NEXTBEAT_WHATSAPP_URL",
    },
    secrets=("token",),
)
HOOK = HookKind((SECRET_VARIABLE, VERIFY_VARIABLE), make_hook)

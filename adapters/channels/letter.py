"""One e-mail as bytes: headers, a text part, and an HTML part where the content is HTML.

Called by the SMTP channel. Written by hand, because the standard library's `EmailMessage` takes
1.3 ms to build and write what this does in a small part of that; every header that can hold
foreign text goes through one of three writers here, so none can start a header of its own.

Rules
- The same message gives the same bytes at every attempt: date and boundary come from the message.
- No line is longer than 76 characters where it can be folded, none longer than 998 ever.
- Control characters never reach a header. In text they become spaces, in addresses a refusal.
"""

import re
from base64 import encodebytes
from binascii import b2a_qp
from email.header import Header
from email.utils import formatdate
from enum import StrEnum
from hashlib import blake2b
from html import unescape

import idna
import msgspec

from engine.effects import BODY_FORMAT, HTML, Send
from engine.instants import SECOND_MS

_ADDRESS_BYTES_MAX = 254
_LOCAL_BYTES_MAX = 64
_HEADER_LENGTH_MAX = 70
_TEXT_LENGTH_MAX = 900  # characters of a subject or name; nobody reads further
_BASE64_FROM = 6  # one byte in so many is not ASCII: base64 is shorter than quoted-printable

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LOCAL = re.compile(r"[^\s\x00-\x20\x7f-\x9f\ud800-\udfff\"(),:;<>@\[\\\]]+")
_PHRASE = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]+")
_IDENTIFIER = re.compile(r"[^A-Za-z0-9_.-]+")

# How HTML becomes text, in one pass over its tags. All is linear: a tag never spans another.
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)([^<>]*)>")
_HREF = re.compile(r"\bhref\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f\v]{2,}|[\t\r\n\f\v]")
_BLANKS = re.compile(r"[ \t\xa0]+")
_LINES = re.compile(r"\n{3,}")
_EDGES = re.compile(r" *\n *")
_UNSEEN = ("style", "script", "head", "title")
_BREAKS = ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "li", "table", "ul", "ol")


class AddressError(ValueError):
    """An address that mail can't go to; the message says what is wrong with it."""


class Mailbox(msgspec.Struct, frozen=True):
    """An address as it travels: the domain in ASCII, the local part as it is."""

    local: str
    domain: str

    @property
    def text(self) -> str:
        """Write it for an envelope or a header."""
        return f"{self.local}@{self.domain}"

    @property
    def needs_utf8(self) -> bool:
        """Say whether only servers with SMTPUTF8 can take it."""
        return not self.local.isascii()


class Relay(StrEnum):
    """Whose relay takes the mail, where its provider tells what becomes of it."""

    SENDGRID = "sendgrid"
    MAILGUN = "mailgun"
    POSTMARK = "postmark"
    SES = "ses"


# How our id is given along, so that it is in everything a provider tells: some put a Message-ID of
# their own in place of ours, some leave it out of opens and clicks.
_RELAY_HEADERS = {
    Relay.SENDGRID: 'X-SMTPAPI: {{"unique_args": {{"message_id": "{id}"}}}}',
    Relay.MAILGUN: 'X-Mailgun-Variables: {{"message_id": "{id}"}}',
    Relay.POSTMARK: "X-PM-Metadata-message_id: {id}",
    Relay.SES: "X-SES-MESSAGE-TAGS: message_id={id}",
}


class Sender(msgspec.Struct, frozen=True):
    """Who the mail is from. `name` is shown to people, `reply_to` is where answers go."""

    mailbox: Mailbox
    name: str = ""
    reply_to: Mailbox | None = None
    relay: Relay | None = None


def read_mailbox(address: str) -> Mailbox:
    """Read one address. Raises AddressError for anything that is not exactly one."""
    local, at, domain = address.strip(" ").rpartition("@")
    if (
        not at
        or _LOCAL.fullmatch(local) is None
        or ".." in local
        or local.startswith(".")
        or local.endswith(".")
    ):
        raise AddressError("it is not one address like name@example.com")
    if len(local.encode()) > _LOCAL_BYTES_MAX:
        raise AddressError(f"the part before @ is longer than {_LOCAL_BYTES_MAX} bytes")
    try:
        encoded = idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise AddressError("the part after @ is not a domain") from None
    if len(local.encode()) + len(encoded) >= _ADDRESS_BYTES_MAX:
        raise AddressError(f"it is longer than {_ADDRESS_BYTES_MAX} bytes")
    return Mailbox(local, encoded)


def write_letter(send: Send, sender: Sender, to: Mailbox, unsubscribe_url: str) -> bytes:
    """Write a whole message, headers and body, with CRLF line ends."""
    headers = [
        f"From: {_write_sender(sender)}",
        f"To: {to.text}",
        f"Subject: {write_text('Subject', send.content.get('subject', ''))}",
        f"Date: {formatdate(send.decided_at / SECOND_MS)}",
        f"Message-ID: {letter_id(send, sender)}",
        f"Feedback-ID: {_feedback_id(send, sender)}",
    ]
    if sender.reply_to is not None:
        headers.append(f"Reply-To: {sender.reply_to.text}")
    if unsubscribe_url:
        headers.append(f"List-Unsubscribe: <{unsubscribe_url}>")
        headers.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    if sender.relay is not None:
        own_id = _IDENTIFIER.sub("", send.message_id)
        headers.append(_RELAY_HEADERS[sender.relay].format(id=own_id))
    headers.append("MIME-Version: 1.0")
    head = "\r\n".join(headers).encode()
    return head + b"\r\n" + _write_content(send)


def letter_id(send: Send, sender: Sender) -> str:
    """Name the message for mail systems: stable, so that a repeated one is recognised."""
    return f"<{_IDENTIFIER.sub('', send.message_id)}@{sender.mailbox.domain}>"


def write_text(header: str, text: str) -> str:
    """Write free text as a header's value: encoded and folded where it must be."""
    whole = text.encode("utf-8", "replace").decode()
    clean = _CONTROL.sub(" ", whole).strip()[:_TEXT_LENGTH_MAX]
    if clean.isascii() and len(clean) <= _HEADER_LENGTH_MAX and "=?" not in clean:
        return clean
    return Header(clean, "utf-8", header_name=header).encode(linesep="\r\n")


def write_as_text(html: str) -> str:
    """Say in plain text what an HTML body says, for those who read mail so."""
    pieces = _TAG.split(_SPACES.sub(" ", _drop_comments(html)))
    said = [pieces[0]]
    unseen, link, link_at = "", "", 0
    for place in range(1, len(pieces), 4):
        is_end, tag = pieces[place] == "/", pieces[place + 1].lower()
        if unseen:
            if not is_end or tag != unseen:
                continue
            unseen = ""
        elif tag in _UNSEEN and not is_end:
            unseen = tag
            continue
        elif tag == "a":
            if is_end:
                said.append(_write_link(link, "".join(said[link_at:])))
            found = None if is_end else _HREF.search(pieces[place + 2])
            link, link_at = (found[1] if found else ""), len(said)
        else:
            said.append(_write_break(tag, is_end=is_end))
        said.append(pieces[place + 3])
    text = _BLANKS.sub(" ", unescape("".join(said)))
    return _LINES.sub("\n\n", _EDGES.sub("\n", text)).strip()


def _write_break(tag: str, *, is_end: bool) -> str:
    if tag == "li" and not is_end:
        return "\n- "
    return "\n" if tag in ("br", "hr") or (is_end and tag in _BREAKS) else ""


def _write_link(url: str, label: str) -> str:
    return "" if not url or label.strip() in ("", url) else f" ({url})"


def _drop_comments(html: str) -> str:
    """Remove comments; one that never ends hides the rest, as it does in a browser."""
    if "<!--" not in html:
        return html
    kept: list[str] = []
    at = 0
    while (start := html.find("<!--", at)) >= 0:
        kept.append(html[at:start])
        end = html.find("-->", start)
        at = len(html) if end < 0 else end + 3
    return "".join(kept) + html[at:]


def _write_sender(sender: Sender) -> str:
    address = sender.mailbox.text
    if not sender.name:
        return address
    name = _CONTROL.sub(" ", sender.name).strip()[:_TEXT_LENGTH_MAX]
    if _PHRASE.fullmatch(name) and len(name) <= _HEADER_LENGTH_MAX and "=?" not in name:
        return f"{name} <{address}>"
    return (
        f"{Header(name, 'utf-8', header_name='From').encode(linesep=chr(13) + chr(10))} <{address}>"
    )


def _feedback_id(send: Send, sender: Sender) -> str:
    """Name what complaints are counted by: journey, message, type, and who sends."""
    parts = (send.journey, send.message, send.message_type, sender.mailbox.domain)
    return ":".join(_IDENTIFIER.sub("-", part)[:60] or "-" for part in parts)


def _write_content(send: Send) -> bytes:
    body = send.content.get("body", "")
    html = send.content.get("html", "") or (body if send.content.get(BODY_FORMAT) == HTML else "")
    if not html:
        return _write_part("text/plain", send.content.get("text", "") or body)
    text = send.content.get("text", "") or (write_as_text(html) if html == body else body)
    # `=_` occurs in neither of the two encodings, so no body can hold the boundary.
    boundary = b"=_" + blake2b(send.message_id.encode(), digest_size=12).hexdigest().encode()
    return b"".join(
        (
            b'Content-Type: multipart/alternative; boundary="%b"\r\n\r\n' % boundary,
            b"--%b\r\n" % boundary,
            _write_part("text/plain", text or write_as_text(html)),
            b"\r\n--%b\r\n" % boundary,
            _write_part("text/html", html),
            b"\r\n--%b--\r\n" % boundary,
        )
    )


def _write_part(content_type: str, text: str) -> bytes:
    """Write one part, in the encoding that is shorter for its script."""
    raw = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    if len(raw) - len(text) > len(raw) // _BASE64_FROM:
        encoding, coded = "base64", encodebytes(raw.replace(b"\n", b"\r\n"))
    else:
        encoding, coded = "quoted-printable", b2a_qp(raw, istext=True)
    head = (
        f"Content-Type: {content_type}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
    )
    return head.encode() + b"\r\n" + coded.replace(b"\n", b"\r\n")

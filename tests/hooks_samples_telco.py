"""Genuine requests of phone providers, signed as they sign them, for whoever tells forged ones.

`COVERED` says what of a request a provider's proof covers: a change elsewhere goes unseen. Twilio
signs what a form means and not how it is written, so another spelling of one byte is the same.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha1
from hmac import new
from urllib.parse import parse_qsl, urlencode, urlsplit

from adapters.channels.hooks import HookRequest

PRESENT = datetime(2026, 3, 2, 5, 12, tzinfo=UTC)
PUBLIC_URL = "https://nextbeat.example.com"
MESSAGE = "m_0123456789abcdef01234567"
ENVIRONMENT = {
    "NEXTBEAT_TWILIO_AUTH_TOKEN": "12345",
}
COVERED: dict[str, frozenset[str]] = {
    "twilio": frozenset({"url", "body"}),
}

_FORM = "application/x-www-form-urlencoded; charset=UTF-8"
_ACCOUNT = "AC00000000000000000000000000000000"
_SMS = "SM00000000000000000000000000000001"
_CALL = "CA00000000000000000000000000000001"


def request_of(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> HookRequest:
    """Make a request as the gateway hands it on."""
    query = dict(parse_qsl(urlsplit(path).query, keep_blank_values=True))
    return HookRequest(method, PUBLIC_URL + path, headers, query, body)


def twilio(
    fields: Sequence[tuple[str, str]], *, token: str = "", message: str = MESSAGE
) -> HookRequest:
    """Sign a form as Twilio does."""
    path = "/v1/receipts/twilio" + (f"?m={message}" if message else "")
    key = (token or ENVIRONMENT["NEXTBEAT_TWILIO_AUTH_TOKEN"]).encode()
    text = PUBLIC_URL + path + "".join(name + value for name, value in sorted(fields))
    signature = b64encode(new(key, text.encode(), sha1).digest()).decode()
    headers = {"content-type": _FORM, "x-twilio-signature": signature}
    return request_of("POST", path, headers, urlencode(fields).encode())


def twilio_status(status: str, code: str = "") -> HookRequest:
    """Tell a status of a short message."""
    fields = [
        ("ApiVersion", "2010-04-01"),
        ("MessageStatus", status),
        ("SmsSid", _SMS),
        ("SmsStatus", status),
        ("From", "+15557122661"),
        ("To", "+15558675310"),
        ("MessageSid", _SMS),
        ("AccountSid", _ACCOUNT),
    ]
    return twilio([*fields, ("ErrorCode", code)] if code else fields)


def twilio_call(status: str, **more: str) -> HookRequest:
    """Tell how a call went."""
    fields = [
        ("CallSid", _CALL),
        ("CallStatus", status),
        ("Direction", "outbound-api"),
        ("From", "+15557122661"),
        ("To", "+15558675310"),
        ("Timestamp", "Mon, 02 Mar 2026 05:11:58 +0000"),
        ("AccountSid", _ACCOUNT),
    ]
    return twilio([*fields, *more.items()])


def twilio_said(text: str, sender: str = "+15558675310", **more: str) -> HookRequest:
    """Bring what somebody wrote."""
    fields = [
        ("ToCountry", "US"),
        ("SmsMessageSid", _SMS),
        ("NumMedia", "0"),
        ("SmsSid", _SMS),
        ("SmsStatus", "received"),
        ("Body", text),
        ("To", "+15557122661"),
        ("NumSegments", "1"),
        ("MessageSid", _SMS),
        ("AccountSid", _ACCOUNT),
        ("From", sender),
        ("ApiVersion", "2010-04-01"),
    ]
    return twilio([*fields, *more.items()], message="")


SAMPLES: dict[str, list[Callable[[], HookRequest]]] = {
    "twilio": [
        lambda: twilio_status("delivered"),
        lambda: twilio_status("undelivered", "30003"),
        lambda: twilio_call("completed", AnsweredBy="human"),
        lambda: twilio_said("STOP", OptOutType="STOP"),
        lambda: twilio_said("Olá ✓ a=b&c", "whatsapp:+15558675310"),
    ],
}

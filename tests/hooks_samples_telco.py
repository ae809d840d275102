"""Genuine requests of phone providers, signed as they sign them, for whoever tells forged ones.

`COVERED` says what of a request a provider's proof covers: a change elsewhere goes unseen. Twilio
signs what a form means and not how it is written, so another spelling of one byte is the same.
"""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha1, sha256
from hmac import new
from urllib.parse import parse_qsl, urlencode, urlsplit

from adapters.channels.hooks import HookRequest

PRESENT = datetime(2026, 3, 2, 5, 12, tzinfo=UTC)
PUBLIC_URL = "https://nextbeat.example.com"
MESSAGE = "m_0123456789abcdef01234567"
ENVIRONMENT = {
    "NEXTBEAT_AFRICASTALKING_KEY": sha256(b"africastalking").hexdigest(),
    "NEXTBEAT_MESSAGEBIRD_SIGNING_KEY": "PlLrKaqvZNRR5zAjm42ZT6q1SQxgbbGd",
    "NEXTBEAT_TWILIO_AUTH_TOKEN": "12345",
    "NEXTBEAT_VONAGE_SIGNATURE_SECRET": "a signature secret of Vonage's",
}
COVERED: dict[str, frozenset[str]] = {
    "africastalking": frozenset({"url"}),
    "messagebird": frozenset({"url", "body"}),
    "twilio": frozenset({"url", "body"}),
    "vonage": frozenset({"url", "body"}),  # of the URL only the fields of the SMS API
}
TIMED = frozenset({"messagebird", "vonage"})  # whose proof says when it was made

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


def token_of(claims: Mapping[str, object], secret: str, alg: str = "HS256") -> str:
    """Make a token as RFC 7515 has it."""
    head, body = (
        urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": alg, "typ": "JWT"}, claims)
    )
    mac = new(secret.encode(), f"{head}.{body}".encode(), sha256).digest()
    return f"{head}.{body}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def vonage(fields: Mapping[str, object], secret: str = "", age_s: int = 2) -> HookRequest:
    """Sign JSON as the Messages API does."""
    body = json.dumps(fields).encode()
    claims = {
        "iat": int(PRESENT.timestamp()) - age_s,
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": sha256(body).hexdigest(),
        "api_key": "a1b2c3d",
    }
    token = token_of(claims, secret or ENVIRONMENT["NEXTBEAT_VONAGE_SIGNATURE_SECRET"])
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    return request_of("POST", "/v1/receipts/vonage", headers, body)


def vonage_status(status: str, code: str = "") -> HookRequest:
    """Tell a status by the Messages API."""
    fields: dict[str, object] = {
        "message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab",
        "to": "447700900000",
        "from": "447700900001",
        "timestamp": "2026-03-02T05:11:58.000Z",
        "status": status,
        "client_ref": MESSAGE,
        "channel": "sms",
    }
    if code:
        fields["error"] = {
            "type": f"https://developer.nexmo.com/api-errors/messages-olympus#{code}",
            "title": code,
            "detail": "told in words",
            "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf",
        }
    return vonage(fields)


def vonage_said(text: str) -> HookRequest:
    """Bring what somebody wrote, by the Messages API."""
    return vonage(
        {
            "channel": "sms",
            "message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ac",
            "to": "447700900001",
            "from": "447700900000",
            "timestamp": "2026-03-02T05:11:58Z",
            "text": text,
            "message_type": "text",
            "sms": {"num_messages": "1", "keyword": text.upper()},
        }
    )


def vonage_short(fields: Mapping[str, str], method: str = "POST", age_s: int = 2) -> HookRequest:
    """Sign fields as the SMS API does."""
    told = {**fields, "timestamp": str(int(PRESENT.timestamp()) - age_s), "nonce": "4e3a"}
    signed = "".join(
        f"&{name}={value.replace('&', '_').replace('=', '_')}"
        for name, value in sorted(told.items())
    )
    key = ENVIRONMENT["NEXTBEAT_VONAGE_SIGNATURE_SECRET"].encode()
    told["sig"] = new(key, signed.encode(), sha256).hexdigest()
    path = "/v1/receipts/vonage"
    if method == "GET":
        headers = {"accept": "*/*", "user-agent": "Nexmo/MessagingHUB/v1.0"}
        return request_of(method, f"{path}?{urlencode(told)}", headers)
    return request_of(method, path, {"content-type": _FORM}, urlencode(told).encode())


def vonage_receipt(status: str, code: str, method: str = "POST") -> HookRequest:
    """Tell a status by the SMS API."""
    fields = {
        "msisdn": "447700900000",
        "to": "Acme",
        "network-code": "12345",
        "messageId": "0A0000000123ABCD1",
        "price": "0.03330000",
        "status": status,
        "scts": "2603020511",
        "err-code": code,
        "api-key": "a1b2c3d",
        "client-ref": MESSAGE,
        "message-timestamp": "2026-03-02 05:11:58",
    }
    return vonage_short(fields, method)


def messagebird(
    query: Mapping[str, str] | None = None, body: bytes = b"", secret: str = "", **claims: object
) -> HookRequest:
    """Sign a request as MessageBird does; one without a body is a GET."""
    path = "/v1/receipts/messagebird" + (f"?{urlencode(query)}" if query else "")
    told: dict[str, object] = {
        "iss": "MessageBird",
        "nbf": int(PRESENT.timestamp()),
        "exp": int(PRESENT.timestamp()) + 60,
        "jti": "e9ab9a4c-0a1f-4a30-bb1e-0b3d5c0b8c0e",
        "url_hash": sha256((PUBLIC_URL + path).encode()).hexdigest(),
    }
    if body:
        told["payload_hash"] = sha256(body).hexdigest()
    told = {name: value for name, value in (told | claims).items() if value is not None}
    token = token_of(told, secret or ENVIRONMENT["NEXTBEAT_MESSAGEBIRD_SIGNING_KEY"])
    headers = {"messagebird-signature-jwt": token}
    if body:
        headers["content-type"] = "application/json" if body.startswith(b"{") else _FORM
    return request_of("POST" if body else "GET", path, headers, body)


def messagebird_status(status: str, reason: str = "", code: str = "") -> HookRequest:
    """Tell a status, in the query."""
    query = {
        "id": "e8077d803532c0b5937c639b60216938",
        "reference": MESSAGE,
        "recipient": "31612345678",
        "status": status,
        "statusDatetime": "2026-03-02T05:11:58+00:00",
        "mccmnc": "20408",
    }
    if reason:
        query["statusReason"] = reason
    return messagebird(query | ({"statusErrorCode": code} if code else {}))


def messagebird_said(text: str, *, is_json: bool = False) -> HookRequest:
    """Bring what somebody wrote."""
    fields = {
        "id": "58beb3a5b34b4f8a8a1f3b1e6f7a7a11",
        "recipient": "31612345670",
        "originator": "31612345678",
        "body": text,
        "createdDatetime": "2026-03-02T05:11:58+00:00",
    }
    written = json.dumps(fields) if is_json else urlencode(fields)
    return messagebird(body=written.encode())


def africastalking(fields: Mapping[str, str], key: str = "") -> HookRequest:
    """Send a form to the address that has the key."""
    key = key or ENVIRONMENT["NEXTBEAT_AFRICASTALKING_KEY"]
    path = f"/v1/receipts/africastalking?key={key}"
    return request_of("POST", path, {"content-type": _FORM}, urlencode(fields).encode())


def africastalking_report(status: str, reason: str = "") -> HookRequest:
    """Tell a status."""
    fields = {
        "id": "ATPid_SampleTxnId123",
        "status": status,
        "phoneNumber": "+254711000111",
        "networkCode": "63902",
        "retryCount": "0",
    }
    return africastalking(fields | ({"failureReason": reason} if reason else {}))


def africastalking_said(text: str) -> HookRequest:
    """Bring what somebody wrote."""
    fields = {
        "linkId": "28a92cdf-2d63-4ee3-93df-4233d3de0356",
        "text": text,
        "to": "40404",
        "id": "b68d0989-d856-494f-92ee-7c439e96e1d9",
        "date": "2026-03-02 05:11:58",
        "from": "+254711000111",
    }
    return africastalking(fields)


SAMPLES: dict[str, list[Callable[[], HookRequest]]] = {
    "africastalking": [
        lambda: africastalking_report("Success"),
        lambda: africastalking_report("Failed", "UserInBlackList"),
        lambda: africastalking_said("STOP"),
        lambda: africastalking({"senderId": "ACME", "phoneNumber": "+254711000111"}),
    ],
    "messagebird": [
        lambda: messagebird_status("delivered"),
        lambda: messagebird_status("delivery_failed", "opted out", "103"),
        lambda: messagebird_said("STOP"),
        lambda: messagebird_said("Olá ✓", is_json=True),
    ],
    "twilio": [
        lambda: twilio_status("delivered"),
        lambda: twilio_status("undelivered", "30003"),
        lambda: twilio_call("completed", AnsweredBy="human"),
        lambda: twilio_said("STOP", OptOutType="STOP"),
        lambda: twilio_said("Olá ✓ a=b&c", "whatsapp:+15558675310"),
    ],
    "vonage": [
        lambda: vonage_status("delivered"),
        lambda: vonage_status("rejected", "1240"),
        lambda: vonage_said("Stop"),
        lambda: vonage_receipt("delivered", "0"),
        lambda: vonage_receipt("failed", "9", "GET"),
    ],
}

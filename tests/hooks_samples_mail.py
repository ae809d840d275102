"""Genuine requests of e-mail providers, signed as they sign them, with secrets of our own.

The bodies are those of the providers' documentation, about a message that left from here.
"""

import hmac
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID

from adapters.channels.hooks import HookRequest
from engine.instants import SECOND_MS, format_instant

MESSAGE_ID = "m_0123456789abcdef01234567"
URL = "https://nextbeat.example.com/v1/receipts"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:receipts"
HOST = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE_URL = f"{HOST}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
SIGNING_KEY, CREDENTIALS = "key-of-the-webhooks", "postmark:a password of many characters"

_SENDGRID_KEY, _OTHER_KEY = (
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP256R1()),
)
_SNS_KEY = rsa.generate_private_key(65_537, 2_048)

Fields = dict[str, Any]


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(public).decode()


def _certificate() -> bytes:
    name = Name([NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        CertificateBuilder(name, name, _SNS_KEY.public_key(), random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(_SNS_KEY, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


ENVIRONMENT = {
    "NEXTBEAT_SENDGRID_WEBHOOK_KEY": _public(_SENDGRID_KEY),
    "NEXTBEAT_MAILGUN_SIGNING_KEY": SIGNING_KEY,
    "NEXTBEAT_POSTMARK_CREDENTIALS": CREDENTIALS,
    "NEXTBEAT_SES_TOPICS": TOPIC,
}
OTHER_ENVIRONMENT = {
    "NEXTBEAT_SENDGRID_WEBHOOK_KEY": _public(_OTHER_KEY),
    "NEXTBEAT_MAILGUN_SIGNING_KEY": "key-of-somebody-else",
    "NEXTBEAT_POSTMARK_CREDENTIALS": "postmark:a password of somebody else",
    "NEXTBEAT_SES_TOPICS": TOPIC.replace("receipts", "others"),
}
# What of a request a provider's proof covers; Postmark's says who calls, and nothing else.
COVERED = {
    "sendgrid": frozenset({"body"}),
    "mailgun": frozenset({"body"}),
    "postmark": frozenset[str](),
    "ses": frozenset({"body"}),
}
TIMED = frozenset({"sendgrid", "mailgun", "ses"})  # they sign when it was
CERTIFICATES = {CERTIFICATE_URL: _certificate()}


def now_s() -> int:
    """Tell the present, in seconds: what is signed long ago is refused."""
    return int(datetime.now(UTC).timestamp())


def _request(provider: str, headers: Mapping[str, str], body: bytes) -> HookRequest:
    told = {"content-type": "application/json", "user-agent": "provider/1.0", **headers}
    return HookRequest("POST", f"{URL}/{provider}", told, {}, body)


def sendgrid_event(event: str, **said: object) -> Fields:
    return {
        "email": "zoe@example.com",
        "timestamp": now_s(),
        "smtp-id": f"<{MESSAGE_ID}@example.org>",
        "event": event,
        "sg_event_id": f"evt-{event}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "message_id": MESSAGE_ID,
        **said,
    }


def sendgrid(*events: Fields, age_s: int = 0) -> HookRequest:
    # As SendGrid does it: one line each, and a line end of the network's kind at the end.
    body = b"[" + b",\r\n".join(map(msgspec.json.encode, events)) + b"]\r\n"
    timestamp = str(now_s() - age_s)
    signature = _SENDGRID_KEY.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    prefix = "x-twilio-email-event-webhook"
    return _request(
        "sendgrid",
        {f"{prefix}-timestamp": timestamp, f"{prefix}-signature": b64encode(signature).decode()},
        body,
    )


def mailgun_event(event: str, **said: object) -> Fields:
    return {
        "id": f"evt-{event}",
        "timestamp": now_s() + 0.25,
        "event": event,
        "log-level": "info",
        "recipient": "zoe@example.com",
        "message": {"headers": {"message-id": f"{MESSAGE_ID}@example.org", "subject": "Cart"}},
        "user-variables": {"message_id": MESSAGE_ID},
        "client-info": {"client-type": "browser", "user-agent": "Mozilla/5.0"},
        **said,
    }


def mailgun(event: Fields, *, age_s: int = 0, token: str = "") -> HookRequest:
    timestamp = str(now_s() - age_s)
    token = token or sha256(msgspec.json.encode(event)).hexdigest()[:50]
    signed = hmac.new(SIGNING_KEY.encode(), (timestamp + token).encode(), sha256).hexdigest()
    signature = {"timestamp": timestamp, "token": token, "signature": signed}
    return _request(
        "mailgun", {}, msgspec.json.encode({"signature": signature, "event-data": event})
    )


def postmark_record(kind: str, **said: object) -> Fields:
    at = "2026-11-05T16:33:54.9070259Z"
    return {
        "RecordType": kind,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Recipient": "zoe@example.com",
        "Metadata": {"message_id": MESSAGE_ID},
        "DeliveredAt": at,
        "BouncedAt": at,
        "ReceivedAt": at,
        "ChangedAt": at,
        **said,
    }


def postmark(record: Fields) -> HookRequest:
    credentials = b64encode(CREDENTIALS.encode()).decode()
    return _request(
        "postmark", {"authorization": f"Basic {credentials}"}, msgspec.json.encode(record)
    )


def ses_event(kind: str, **said: object) -> Fields:
    at = format_instant(now_s() * SECOND_MS)
    return {
        "eventType": kind,
        "mail": {
            "timestamp": at,
            "messageId": "0102018c-4d5e-0000-000000",
            "destination": ["zoe@example.com"],
            "tags": {"ses:configuration-set": ["receipts"], "message_id": [MESSAGE_ID]},
        },
        **said,
    }


def ses(
    event: object, *, kind: str = "Notification", version: str = "2", **said: str
) -> HookRequest:
    text = event if isinstance(event, str) else msgspec.json.encode(event).decode()
    envelope: dict[str, str] = {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": text,
        "Timestamp": format_instant(now_s() * SECOND_MS),
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
    }
    if kind == "Notification":
        envelope |= {"Subject": "Amazon SES", "UnsubscribeURL": f"{HOST}/?Action=Unsubscribe"}
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    else:
        url = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37f"
        envelope |= {"SubscribeURL": url, "Token": "2336412f37f"}
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    envelope |= said
    signed = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    digest = SHA1() if version == "1" else SHA256()
    signature = _SNS_KEY.sign(signed.encode(), PKCS1v15(), digest)
    envelope["Signature"] = b64encode(signature).decode()
    headers = {"x-amz-sns-message-type": kind, "content-type": "text/plain; charset=UTF-8"}
    return _request("ses", headers, msgspec.json.format(msgspec.json.encode(envelope), indent=2))


SAMPLES: dict[str, list[Callable[[], HookRequest]]] = {
    "sendgrid": [
        lambda: sendgrid(sendgrid_event("delivered", response="250 OK")),
        lambda: sendgrid(
            sendgrid_event(
                "bounce", type="bounce", status="5.1.1", reason="550 5.1.1 no such user"
            ),
            sendgrid_event("open", sg_machine_open=True),
        ),
    ],
    "mailgun": [
        lambda: mailgun(mailgun_event("delivered")),
        lambda: mailgun(mailgun_event("complained")),
    ],
    "postmark": [
        lambda: postmark(postmark_record("Delivery")),
        lambda: postmark(postmark_record("Bounce", ID=42, Type="HardBounce")),
    ],
    "ses": [
        lambda: ses(ses_event("Delivery", delivery={"timestamp": "2026-11-05T16:33:54.907Z"})),
        lambda: ses(ses_event("Complaint", complaint={"feedbackId": "f-1"}), version="1"),
    ],
}

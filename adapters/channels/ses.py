"""Amazon SES by way of SNS: what became of mail that left by SMTP through its relay.

Set the channel's `relay: ses`, so that every event has our message id, publish events of the
configuration set to a topic, and subscribe `/v1/receipts/ses` to it. The topic's ARN says which
messages are taken; the subscription is confirmed by itself.

Formats: docs.aws.amazon.com, "Contents of event data that Amazon SES publishes to Amazon SNS" and
"Verifying the signatures of Amazon SNS messages": RSA with SHA-1 (version 1) or SHA-256 (version 2)
over the named fields, by a certificate whose address stands in the message.

*Rules*
- A certificate is believed because of where it comes from: `https://sns.REGION.amazonaws.com/`, of
  the topic's own region, with the name AWS gives these files. The gateway fetches it, once.
- A subscription is confirmed only for a topic that is configured, at the same host.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from adapters.channels.bounces import find_code, judge_bounce, read_own_id
from adapters.channels.hooks import ForgedError, HookKind, HookRequest, Notice, Said
from adapters.channels.proofs import (
    Fields,
    check_age,
    find_fields,
    find_instant,
    find_text,
    read_fields,
    read_json,
)
from engine.errors import InputError
from engine.events import Failure, ReceiptStatus
from engine.instants import HOUR_MS
from engine.intake.shapes import is_array, is_object

TOPICS_VARIABLE = "NEXTBEAT_SES_TOPICS"
OWN_ID = "message_id"  # the message tag that `letter` gives along

_PATIENCE_MS = HOUR_MS  # the longest time SNS repeats what is not answered
_CERTIFICATES_MAX = 16
_ARN = re.compile(r"arn:aws(?:-cn|-us-gov)?:sns:([a-z0-9-]{1,40}):\d{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[0-9a-f]{8,64}\.pem")
_NOTIFICATION, _CONFIRMATION = "Notification", "SubscriptionConfirmation"
# What is signed, in this order; a notification without a subject leaves that out.
_SIGNED = {
    _NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    _CONFIRMATION: (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
_HASHES = {"1": SHA1, "2": SHA256}
_STATUSES = {
    "Send": ReceiptStatus.ACCEPTED,
    "Delivery": ReceiptStatus.DELIVERED,
    "DeliveryDelay": ReceiptStatus.FAILED,
    "Bounce": ReceiptStatus.FAILED,
    "Reject": ReceiptStatus.FAILED,
    "Rendering Failure": ReceiptStatus.FAILED,
    "Open": ReceiptStatus.OPENED,
    "Click": ReceiptStatus.CLICKED,
    "Complaint": ReceiptStatus.COMPLAINED,
    "Subscription": ReceiptStatus.UNSUBSCRIBED,
}
# By the subtype of a bounce, or the type of a delay; others are judged by what the server said.
_BOUNCES = {
    "NoEmail": Failure.ADDRESS_DEAD,
    "Suppressed": Failure.ADDRESS_DEAD,
    "OnAccountSuppressionList": Failure.ADDRESS_DEAD,
    "UnsubscribedRecipient": Failure.CONSENT,
    "MailboxFull": Failure.UNREACHABLE,
    "MessageTooLarge": Failure.CONTENT,
    "ContentRejected": Failure.CONTENT,
    "AttachmentRejected": Failure.CONTENT,
}


class SesHook:
    """The receiving side of a topic's subscription."""

    def __init__(self, topics: str) -> None:
        """Take the ARNs of topics, separated by commas. Raises ValueError for what is none."""
        self._topics = tuple(part.strip() for part in topics.split(",") if part.strip())
        if not self._topics or not all(map(_ARN.fullmatch, self._topics)):
            message = "expected ARNs of topics, like arn:aws:sns:eu-west-1:123456789012:receipts"
            raise ValueError(message)
        self._keys: dict[str, RSAPublicKey] = {}  # by the URL of their certificate

    def wants(self, request: HookRequest) -> str:
        """Name the certificate that is missing. Raises ForgedError where it is not of AWS."""
        url = self._certificate_url(self._open(request))
        return "" if url in self._keys else url

    def learn(self, url: str, content: bytes) -> None:
        """Take a certificate."""
        try:
            key = load_pem_x509_certificate(content).public_key()
        except ValueError:
            raise ForgedError("there is no certificate where the message says") from None
        if not isinstance(key, RSAPublicKey):
            raise ForgedError("the certificate is of another kind than those of SNS")
        if len(self._keys) >= _CERTIFICATES_MAX:
            self._keys.clear()
        self._keys[url] = key

    def verify(self, request: HookRequest, present: datetime) -> None:
        """Check the signature, by a certificate that was learnt."""
        envelope = self._open(request)
        key = self._keys.get(self._certificate_url(envelope))
        digest = _HASHES.get(find_text(envelope, "SignatureVersion"))
        if key is None or digest is None:
            raise ForgedError("the signature is of a version, or a key, that is not known")
        try:
            signature = b64decode(find_text(envelope, "Signature"), validate=True)
            key.verify(signature, _signed_text(envelope), PKCS1v15(), digest())
        except (InvalidSignature, ValueError):
            raise ForgedError("the signature is not that of SNS") from None
        check_age(find_instant(envelope, "Timestamp"), _PATIENCE_MS, present)

    def visits(self, request: HookRequest) -> str:
        """Name the address that confirms a subscription, where this asks for it."""
        envelope = self._open(request)
        if find_text(envelope, "Type") != _CONFIRMATION:
            return ""
        url = find_text(envelope, "SubscribeURL")
        if not url.startswith(f"{_host_url(find_text(envelope, 'TopicArn'))}/?"):
            raise ForgedError("the address that confirms the subscription is not that of SNS")
        return url

    def read(self, request: HookRequest) -> list[Notice | Said]:
        """Read one event."""
        envelope = read_fields(read_json(request.body))
        if find_text(envelope, "Type") != _NOTIFICATION:
            return []
        text = find_text(envelope, "Message")
        if text.startswith("Successfully validated SNS topic"):
            return []  # what SES says once, when it is told of a topic
        event = read_fields(read_json(text.encode()), "Message")
        kind = find_text(event, "eventType") or find_text(event, "notificationType")
        status = _STATUSES.get(kind)
        return [] if status is None else _read_event(event, kind, status)

    def greet(self, request: HookRequest) -> bytes | None:  # noqa: ARG002 - as hooks are asked
        """SNS asks by a message of its own; see `visits`."""
        return None

    def _open(self, request: HookRequest) -> Fields:
        """Read the envelope of a topic that is configured. Raises ForgedError for others."""
        try:
            envelope = read_json(request.body)
        except InputError:
            raise ForgedError("the body is no message of SNS") from None
        if not is_object(envelope) or find_text(envelope, "Type") not in _SIGNED:
            raise ForgedError("the body is no message of SNS")
        if find_text(envelope, "TopicArn") not in self._topics:
            raise ForgedError(f"the topic is not among {TOPICS_VARIABLE}")
        return envelope

    def _certificate_url(self, envelope: Fields) -> str:
        url = find_text(envelope, "SigningCertURL")
        host = _host_url(find_text(envelope, "TopicArn"))
        if not url.startswith(host) or not _CERTIFICATE_PATH.fullmatch(url[len(host) :]):
            raise ForgedError("the certificate is not at the address of SNS in the topic's region")
        return url


def _host_url(topic: str) -> str:
    found = _ARN.fullmatch(topic)
    assert found is not None  # the topic is a configured one
    suffix = ".cn" if topic.startswith("arn:aws-cn:") else ""
    return f"https://sns.{found[1]}.amazonaws.com{suffix}"


def _signed_text(envelope: Fields) -> bytes:
    names = _SIGNED[find_text(envelope, "Type")]
    return "".join(
        f"{name}\n{find_text(envelope, name)}\n" for name in names if name in envelope
    ).encode()


def _read_event(event: Fields, kind: str, status: ReceiptStatus) -> list[Notice | Said]:
    mail = find_fields(event, "mail")
    sent = find_text(mail, "messageId")
    if not sent:
        raise InputError("missing_field", "expected the id of a mail", "Message.mail.messageId")
    # The part that tells more is named like the event: `bounce`, `deliveryDelay`, `failure`.
    name = "failure" if kind == "Rendering Failure" else kind[0].lower() + kind[1:]
    part = find_fields(event, name)
    dated = part if find_instant(part, "timestamp") else mail
    told = Notice(
        id=f"{sent}:{kind}:{find_text(part, 'feedbackId') or find_text(dated, 'timestamp')}",
        status=status,
        at=find_instant(dated, "timestamp"),
        message_id=_find_own_id(mail),
        provider_id=sent,
    )
    if kind == "Complaint":
        return _read_complaint(told, part)
    if kind == "Subscription":
        wishes = find_fields(part, "newTopicPreferences")
        return [told] if wishes.get("unsubscribeAll") is True else []
    return [_explain(told, kind, part) if status is ReceiptStatus.FAILED else told]


def _read_complaint(told: Notice, part: Fields) -> list[Notice | Said]:
    if find_text(part, "complaintFeedbackType") == "not-spam":
        return []  # the recipient took the mail out of the spam folder
    subtype = find_text(part, "complaintSubType")
    if subtype == "OnAccountSuppressionList":  # who complained before: SES did not try
        failure = Failure.CONSENT
        told = msgspec.structs.replace(
            told, status=ReceiptStatus.FAILED, failure=failure, code=subtype, permanent=True
        )
    return [told]


def _explain(told: Notice, kind: str, part: Fields) -> Notice:
    """Add to a failure what it asks for."""
    recipients: object = part.get("bouncedRecipients") or part.get("delayedRecipients")
    first: Fields = {}
    if is_array(recipients) and recipients and is_object(recipients[0]):
        first = recipients[0]
    text = find_text(first, "diagnosticCode")
    code = find_code(find_text(first, "status"), text)
    is_final = kind != "DeliveryDelay"
    subtype = find_text(part, "bounceSubType") or find_text(part, "delayType")
    if kind in ("Reject", "Rendering Failure"):
        failure = Failure.CONTENT
    elif subtype in _BOUNCES:
        failure = _BOUNCES[subtype]
    else:
        failure = judge_bounce(code, text, is_final=is_final)
    if failure is Failure.ADDRESS_DEAD and find_text(part, "bounceType") == "Transient":
        failure = Failure.UNREACHABLE
    return msgspec.structs.replace(
        told, code=code or subtype or kind, permanent=is_final, failure=failure
    )


def _find_own_id(mail: Fields) -> str:
    """Find our id in the tags, or in the headers as we wrote them; SES has its own Message-ID."""
    tags: object = find_fields(mail, "tags").get(OWN_ID)
    if is_array(tags) and tags and isinstance(tags[0], str):
        return read_own_id(tags[0])
    headers: object = mail.get("headers")
    for header in headers if is_array(headers) else ():
        if is_object(header) and find_text(header, "name").lower() == "message-id":
            return read_own_id(find_text(header, "value"))
    return ""


def _make(environment: Mapping[str, str]) -> SesHook:
    return SesHook(environment[TOPICS_VARIABLE])


HOOK = HookKind((TOPICS_VARIABLE,), _make)

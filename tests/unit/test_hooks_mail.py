"""What e-mail providers tell, brought into our words."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.channels.bounces import find_code, judge_bounce, read_own_id
from adapters.channels.hook_registry import HOOKS, build_hooks
from adapters.channels.hooks import ForgedError, HookRequest, Notice
from adapters.channels.sendgrid import SendgridHook
from adapters.channels.ses import SesHook
from engine.errors import InputError, ProgramError
from engine.events import Failure, ReceiptStatus
from engine.instants import DAY_MS
from tests.hooks_samples_mail import (
    CERTIFICATE_URL,
    CERTIFICATES,
    ENVIRONMENT,
    HOST,
    MESSAGE_ID,
    TOPIC,
    mailgun,
    mailgun_event,
    postmark,
    postmark_record,
    sendgrid,
    sendgrid_event,
    ses,
    ses_event,
)

HOOK = build_hooks(ENVIRONMENT)
DEAD, CONTENT, CONSENT = Failure.ADDRESS_DEAD, Failure.CONTENT, Failure.CONSENT
UNREACHABLE, CONFIG = Failure.UNREACHABLE, Failure.CONFIG

# What was told, and what it comes to: the status, and of a failure the code, whether it is final,
# and what it asks for.
Case = tuple[HookRequest, str]

SENDGRID: list[Case] = [
    (sendgrid(sendgrid_event("processed")), "accepted"),
    (sendgrid(sendgrid_event("delivered", response="250 OK")), "delivered"),
    (
        sendgrid(sendgrid_event("deferred", response="452 4.2.2 The mailbox is over quota")),
        "failed 4.2.2 delayed unreachable",
    ),
    (
        sendgrid(sendgrid_event("deferred", response="400 try again later")),
        "failed 400 delayed transient",
    ),
    (
        sendgrid(
            sendgrid_event("bounce", type="bounce", status="5.1.1", reason="550 5.1.1 unknown")
        ),
        "failed 5.1.1 final address_dead",
    ),
    (
        sendgrid(sendgrid_event("bounce", type="blocked", status="5.7.1", reason="550 5.7.1 spam")),
        "failed 5.7.1 final content",
    ),
    (
        # As it came from a host that is none: without a status, and the address is no dead one.
        sendgrid(sendgrid_event("bounce", type="blocked", reason="unable to get mx info: failed")),
        "failed bounce final unreachable",
    ),
    (
        sendgrid(sendgrid_event("dropped", reason="Bounced Address")),
        "failed dropped final address_dead",
    ),
    (
        sendgrid(sendgrid_event("dropped", reason="Unsubscribed Address")),
        "failed dropped final consent",
    ),
    (sendgrid(sendgrid_event("dropped", reason="Spam Content")), "failed dropped final content"),
    (sendgrid(sendgrid_event("open")), "opened"),
    (sendgrid(sendgrid_event("open", sg_machine_open=True)), "machine_opened"),
    (sendgrid(sendgrid_event("click", url="https://example.org")), "clicked"),
    (sendgrid(sendgrid_event("spamreport")), "complained"),
    (sendgrid(sendgrid_event("unsubscribe")), "unsubscribed"),
    (sendgrid(sendgrid_event("group_unsubscribe", asm_group_id=7)), "unsubscribed"),
]


def mailgun_failed(severity: str, reason: str = "generic", **status: object) -> HookRequest:
    said = {"severity": severity, "reason": reason, "delivery-status": status}
    return mailgun(mailgun_event("failed", **said))


MAILGUN: list[Case] = [
    (mailgun(mailgun_event("accepted")), "accepted"),
    (mailgun(mailgun_event("delivered")), "delivered"),
    (
        mailgun_failed("permanent", "bounce", code=550, message="5.1.1 user unknown"),
        "failed 5.1.1 final address_dead",
    ),
    (
        mailgun_failed("permanent", "suppress-bounce", code=605),
        "failed suppress-bounce final address_dead",
    ),
    (
        mailgun_failed("permanent", "suppress-unsubscribe", code=605),
        "failed suppress-unsubscribe final consent",
    ),
    (
        mailgun_failed("permanent", "old", code=498, message="Too old"),
        "failed 498 final unreachable",
    ),
    (
        mailgun_failed("temporary", code=452, message="4.2.2 full"),
        "failed 4.2.2 delayed unreachable",
    ),
    (
        mailgun_failed("temporary", code=451, message="4.7.1 greylisted"),
        "failed 4.7.1 delayed rate",
    ),
    (mailgun(mailgun_event("rejected")), "failed failed final content"),
    (mailgun(mailgun_event("opened")), "opened"),
    (mailgun(mailgun_event("opened", **{"client-info": {"bot": "apple"}})), "machine_opened"),
    (mailgun(mailgun_event("clicked")), "clicked"),
    (mailgun(mailgun_event("clicked", **{"client-info": {"bot": "generic"}})), "machine_opened"),
    (mailgun(mailgun_event("complained")), "complained"),
    (mailgun(mailgun_event("unsubscribed")), "unsubscribed"),
]


def postmark_bounce(kind: str, details: str = "") -> HookRequest:
    return postmark(postmark_record("Bounce", ID=42, Type=kind, Details=details))


def postmark_change(**said: object) -> HookRequest:
    stated = {
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
        "Origin": "Recipient",
    }
    return postmark(postmark_record("SubscriptionChange", **{**stated, **said}))


POSTMARK: list[Case] = [
    (postmark(postmark_record("Delivery")), "delivered"),
    (
        postmark_bounce("HardBounce", "smtp;550 5.1.1 no such user"),
        "failed 5.1.1 final address_dead",
    ),
    (postmark_bounce("SoftBounce"), "failed SoftBounce final unreachable"),
    (postmark_bounce("Transient"), "failed Transient delayed transient"),
    (postmark_bounce("SpamNotification"), "failed SpamNotification final content"),
    (postmark_bounce("DMARCPolicy"), "failed DMARCPolicy final config"),
    (postmark_bounce("SpamComplaint"), "complained"),
    (postmark(postmark_record("SpamComplaint", ID=43)), "complained"),
    (postmark(postmark_record("Open", FirstOpen=True)), "opened"),
    (postmark(postmark_record("Click")), "clicked"),
    (postmark_change(), "unsubscribed"),
]


def ses_bounce(kind: str, subtype: str, **recipient: str) -> HookRequest:
    said = {
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": [recipient],
        "feedbackId": "f",
    }
    return ses(ses_event("Bounce", bounce=said))


SES: list[Case] = [
    (ses(ses_event("Send", send={})), "accepted"),
    (ses(ses_event("Delivery", delivery={})), "delivered"),
    (
        ses_bounce("Permanent", "General", status="5.1.1", diagnosticCode="smtp; 550 5.1.1"),
        "failed 5.1.1 final address_dead",
    ),
    (ses_bounce("Permanent", "NoEmail"), "failed NoEmail final address_dead"),
    (ses_bounce("Transient", "MailboxFull"), "failed MailboxFull final unreachable"),
    (ses_bounce("Transient", "General", status="4.0.0"), "failed 4.0.0 final unreachable"),
    (ses_bounce("Transient", "ContentRejected"), "failed ContentRejected final content"),
    (
        ses(ses_event("DeliveryDelay", deliveryDelay={"delayType": "MailboxFull"})),
        "failed MailboxFull delayed unreachable",
    ),
    (ses(ses_event("Reject", reject={"reason": "Bad content"})), "failed Reject final content"),
    (ses(ses_event("Open", open={"userAgent": "x"})), "opened"),
    (ses(ses_event("Click", click={"link": "https://example.org"})), "clicked"),
    (ses(ses_event("Complaint", complaint={"complaintFeedbackType": "abuse"})), "complained"),
    (
        ses(ses_event("Complaint", complaint={"complaintSubType": "OnAccountSuppressionList"})),
        "failed OnAccountSuppressionList final consent",
    ),
    (
        ses(
            ses_event(
                "Subscription", subscription={"newTopicPreferences": {"unsubscribeAll": True}}
            )
        ),
        "unsubscribed",
    ),
]

CASES = [
    pytest.param(*case, id=f"{case[0].url.rpartition('/')[2]}-{number}")
    for cases in (SENDGRID, MAILGUN, POSTMARK, SES)
    for number, case in enumerate(cases)
]


def read(request: HookRequest) -> list[Notice]:
    hook = HOOK[request.url.rpartition("/")[2]]
    if isinstance(hook, SesHook) and hook.wants(request):
        hook.learn(CERTIFICATE_URL, CERTIFICATES[CERTIFICATE_URL])
    hook.verify(request, datetime.now(UTC))
    told = hook.read(request)
    assert all(isinstance(one, Notice) for one in told)
    return [one for one in told if isinstance(one, Notice)]


@pytest.mark.parametrize(("request_", "expected"), CASES)
def test_what_is_told_is_brought_into_our_words(request_: HookRequest, expected: str) -> None:
    [notice] = read(request_)
    words: list[str] = [notice.status]
    if notice.failure is not None:
        words += [notice.code, "final" if notice.permanent else "delayed", notice.failure]
    assert " ".join(words) == expected
    assert notice.message_id == MESSAGE_ID
    assert notice.id
    assert abs(notice.at - datetime.now(UTC).timestamp() * 1_000) < 400 * DAY_MS


@pytest.mark.parametrize(
    "request_",
    [
        sendgrid(sendgrid_event("group_resubscribe")),
        sendgrid(),
        mailgun(mailgun_event("stored")),
        postmark(postmark_record("Inbound")),
        postmark_bounce("AutoResponder"),
        postmark_change(SuppressionReason="HardBounce"),
        postmark_change(SuppressSending=False),
        postmark(postmark_record("SubscriptionChange", MessageID=None)),
        ses("Successfully validated SNS topic for Amazon SES event publishing."),
        ses(ses_event("Subscription", subscription={"newTopicPreferences": {}})),
        ses(ses_event("Complaint", complaint={"complaintFeedbackType": "not-spam"})),
    ],
)
def test_what_is_of_no_use_is_left_out(request_: HookRequest) -> None:
    assert read(request_) == []


@pytest.mark.parametrize(
    "request_",
    [
        mailgun(mailgun_event("delivered", id="")),
        postmark(postmark_record("Delivery", MessageID="")),
        ses("{not json"),
        ses({"eventType": "Delivery", "mail": {}}),
    ],
)
def test_what_is_genuine_and_not_understood_says_so(request_: HookRequest) -> None:
    with pytest.raises(InputError):
        read(request_)


def test_ids_are_the_same_whenever_the_same_is_told() -> None:
    for case in (*SENDGRID, *MAILGUN, *POSTMARK, *SES):
        assert read(case[0])[0].id == read(case[0])[0].id
    delays = [
        read(ses(ses_event("DeliveryDelay", deliveryDelay={"timestamp": at})))[0].id
        for at in ("2026-11-05T16:33:54.907Z", "2026-11-05T16:43:54.907Z")
    ]
    assert len(set(delays)) == 2


def test_a_message_is_known_by_its_message_id_where_nothing_else_came_back() -> None:
    plain = sendgrid_event("delivered")
    del plain["message_id"]
    assert read(sendgrid(plain))[0].message_id == MESSAGE_ID
    event = mailgun_event("delivered", **{"user-variables": None})
    assert read(mailgun(event))[0].message_id == MESSAGE_ID
    notice = ses_event("Delivery", delivery={})
    notice["mail"] |= {
        "tags": {},
        "headers": [{"name": "Message-ID", "value": f"<{MESSAGE_ID}@example.org>"}],
    }
    assert read(ses(notice))[0].message_id == MESSAGE_ID


def test_mail_of_somebody_else_on_the_same_account_has_no_id_of_ours() -> None:
    event = sendgrid_event("delivered", **{"smtp-id": "<14c5d75ce93@ismtpd-555>", "message_id": ""})
    [notice] = read(sendgrid(event))
    assert (notice.message_id, notice.provider_id) == ("", "<14c5d75ce93@ismtpd-555>")


def test_a_token_speaks_for_one_body() -> None:
    first = mailgun(mailgun_event("delivered"), token="t" * 50)
    read(first)
    read(first)
    with pytest.raises(ForgedError, match="used before"):
        read(mailgun(mailgun_event("complained"), token="t" * 50))


def test_a_subscription_is_confirmed_for_the_topics_own_host_only() -> None:
    hook = HOOK["ses"]
    assert isinstance(hook, SesHook)
    asked = ses("You have chosen to subscribe", kind="SubscriptionConfirmation")
    assert read(asked) == []
    assert hook.visits(asked).startswith(f"{HOST}/?Action=ConfirmSubscription")
    assert hook.visits(ses(ses_event("Send"))) == ""
    for url in ("https://evil.example/?x", f"{HOST}.evil.example/?x", "http://169.254.169.254/?x"):
        turned = ses("…", kind="SubscriptionConfirmation", SubscribeURL=url)
        with pytest.raises(ForgedError, match="not that of SNS"):
            hook.visits(turned)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/SimpleNotificationService-0123456789abcdef.pem",
        f"{HOST}.evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        f"{HOST}@evil.example/SimpleNotificationService-0123456789abcdef.pem",
        f"{HOST}/../evil.pem",
        f"{HOST}/SimpleNotificationService-0123456789abcdef.pem?x=1",
        f"{HOST}:8443/SimpleNotificationService-0123456789abcdef.pem",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_fetched(url: str) -> None:
    hook = SesHook(TOPIC)
    with pytest.raises(ForgedError, match="certificate is not at"):
        hook.wants(ses(ses_event("Send"), SigningCertURL=url))


def test_another_topic_is_refused_before_anything_is_fetched() -> None:
    hook = SesHook(TOPIC)
    with pytest.raises(ForgedError, match="NEXTBEAT_SES_TOPICS"):
        hook.wants(ses(ses_event("Send"), TopicArn=f"{TOPIC}-of-somebody"))
    with pytest.raises(ForgedError, match="no certificate"):
        hook.learn(CERTIFICATE_URL, b"<html>not here</html>")


def test_the_public_key_of_sendgrids_own_tests_verifies_its_signature() -> None:
    """The vector of SendGrid's own libraries: tests of sendgrid-python, `test_eventwebhook.py`."""
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62"
        "gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
    )
    signature = (
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15Tlu"
        "LtEZtM="
    )
    body = (
        b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
        b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
        b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
        b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
    )
    prefix = "x-twilio-email-event-webhook"
    headers = {f"{prefix}-timestamp": "1600112502", f"{prefix}-signature": signature}
    request = HookRequest("POST", "", headers, {}, body)
    hook = SendgridHook(key)
    hook.verify(request, datetime.fromtimestamp(1_600_112_510, UTC))
    [notice] = hook.read(request)
    assert isinstance(notice, Notice)
    assert (notice.status, notice.failure) == (ReceiptStatus.FAILED, DEAD)


def test_what_can_not_be_right_is_said_at_start() -> None:
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    raw = edwards.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    wrong = {
        "NEXTBEAT_SENDGRID_WEBHOOK_KEY": b64encode(raw).decode(),
        "NEXTBEAT_POSTMARK_CREDENTIALS": "postmark:short",
        "NEXTBEAT_SES_TOPICS": "receipts",
    }
    with pytest.raises(ProgramError) as told:
        build_hooks(wrong)
    assert [problem.path for problem in told.value.problems] == [
        "NEXTBEAT_POSTMARK_CREDENTIALS",
        "NEXTBEAT_SENDGRID_WEBHOOK_KEY",
        "NEXTBEAT_SES_TOPICS",
    ]
    assert build_hooks({}) == {}
    assert set(HOOK) <= set(HOOKS)


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (("5.1.1", ""), "5.1.1"),
        (("", "550 5.1.1 <a@b>: unknown"), "5.1.1"),
        (("", "smtp; 550-5.7.26 unauthenticated"), "5.7.26"),
        (("550", "no"), "550"),
        (("", "blocked: 5.1.1.2 is listed"), ""),
        (("", "mail from 10.5.1.1"), ""),
        (("", ""), ""),
    ],
)
def test_the_code_is_found_in_what_servers_write(texts: tuple[str, ...], code: str) -> None:
    assert find_code(*texts) == code


@pytest.mark.parametrize(
    ("code", "text", "failure"),
    [
        ("5.1.1", "", DEAD),
        ("5.1.10", "", DEAD),
        ("5.2.1", "", DEAD),
        ("5.2.2", "", UNREACHABLE),
        ("5.4.4", "", DEAD),
        ("5.3.4", "", CONTENT),
        ("5.6.0", "", CONTENT),
        ("5.7.1", "", CONTENT),
        ("5.7.26", "", CONFIG),
        ("5.9.9", "", UNREACHABLE),
        ("4.2.2", "", UNREACHABLE),
        ("550", "Requested action not taken: mailbox unavailable", UNREACHABLE),
        ("550", "No such user here", DEAD),
        ("552", "exceeded storage allocation", UNREACHABLE),
        ("554", "message looks like spam", CONTENT),
        ("", "", UNREACHABLE),
    ],
)
def test_codes_for_good_ask_for_one_thing_each(code: str, text: str, failure: Failure) -> None:
    assert judge_bounce(code, text, is_final=True) is failure


def test_our_id_is_read_from_a_message_id_and_from_nothing_else() -> None:
    assert read_own_id(f"<{MESSAGE_ID}@example.org>") == MESSAGE_ID
    assert read_own_id(f"{MESSAGE_ID}@example.org") == MESSAGE_ID
    assert read_own_id(MESSAGE_ID) == MESSAGE_ID
    for other in ("", "<a@b>", "<m_@b>", f"<x{MESSAGE_ID}@b>", f"<{MESSAGE_ID} @b>"):
        assert read_own_id(other) == ""

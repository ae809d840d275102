"""Amazon SES over HTTP: certificates that are fetched, subscriptions that confirm themselves."""

import msgspec

from actors.ports import Temporary
from adapters.channels.hooks import HookRequest
from adapters.channels.ses import SesHook
from tests.e2e.gateway_host import Answer
from tests.e2e.reception_host import Shop, open_shop, taken
from tests.hooks_samples_mail import CERTIFICATE_URL, CERTIFICATES, HOST, TOPIC, ses, ses_event


class Amazon:
    """What there is at the addresses of SNS."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_down = False

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.is_down:
            raise Temporary("it answered 503")
        return CERTIFICATES.get(url, b"<ConfirmSubscriptionResponse/>")


async def tell(shop: Shop, request: HookRequest) -> Answer:
    return await shop.served.send("/v1/receipts/ses", request.body, headers=dict(request.headers))


async def test_a_certificate_is_fetched_once_and_a_bounce_reaches_the_customer() -> None:
    amazon = Amazon()
    async with open_shop(others={"ses": SesHook(TOPIC)}, fetch=amazon.fetch) as shop:
        await shop.call("identify", traits={"email": "zoe@example.com"})
        await shop.call("track", event="Pay")
        [send] = await shop.sent(shop.email)
        event = ses_event("Delivery", delivery={})
        event["mail"]["tags"]["message_id"] = [send.message_id]
        taken(await tell(shop, ses(event)))
        event["eventType"] = "Complaint"
        taken(await tell(shop, ses(event, version="1")))
        assert amazon.asked == [CERTIFICATE_URL]
        assert await shop.engagement("email/delivered") == 1
        assert (await shop.profile()).consents["*/email"].source == "complained"


async def test_a_subscription_confirms_itself_and_no_other_does() -> None:
    amazon = Amazon()
    async with open_shop(others={"ses": SesHook(TOPIC)}, fetch=amazon.fetch) as shop:
        asked = ses("You have chosen to subscribe", kind="SubscriptionConfirmation")
        taken(await tell(shop, asked))
        assert amazon.asked[0] == CERTIFICATE_URL
        assert amazon.asked[1].startswith(f"{HOST}/?Action=ConfirmSubscription")
        forged = msgspec.structs.replace(asked, body=asked.body.replace(b"Token=", b"Token=0"))
        (await tell(shop, forged)).refused(403, "forged")
        other = ses("…", kind="SubscriptionConfirmation", TopicArn=f"{TOPIC}-of-others")
        (await tell(shop, other)).refused(403, "forged")
        assert len(amazon.asked) == 2


async def test_what_can_not_be_verified_now_is_asked_for_again() -> None:
    amazon = Amazon()
    amazon.is_down = True
    async with open_shop(others={"ses": SesHook(TOPIC)}, fetch=amazon.fetch) as shop:
        answer = await tell(shop, ses(ses_event("Send", send={})))
        answer.refused(503, "not_verified")
        assert int(answer.headers["Retry-After"]) > 0
        amazon.is_down = False
        taken(await tell(shop, ses(ses_event("Send", send={}))))

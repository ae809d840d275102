"""USSD as an operator meets it: a form for each screen, a text back, from durable decisions."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import ClientSession

from actors.ports import Permanent
from adapters.app import App, Workspace, open_workspace
from adapters.channels.ussd import UssdChannel, UssdSettings
from adapters.gateway.settings import GatewaySettings
from engine.errors import StoreError
from engine.events import Failure
from engine.ids import stable_hash
from engine.profile import Profile
from tests.e2e.command_line import write_shop
from tests.outgoing import START, a_send

ROOT = Path(__file__).resolve().parents[2]
KEY = "a key of many characters"
ZOE = "+254711000111"


class Operator:
    """Africa's Talking, as much of it as calls us."""

    def __init__(self, app: App, session: ClientSession) -> None:
        self.app = app
        self._session = session
        self._url = f"http://127.0.0.1:{app.port}"

    async def post(
        self, fields: dict[str, str] | bytes, path: str = "", key: str = KEY
    ) -> tuple[int, str]:
        url = f"{self._url}/v1/ussd/africastalking{path}?key={quote(key)}"
        async with self._session.post(url, data=fields) as answer:
            return answer.status, await answer.text()

    async def dial(self, session: str, text: str = "", phone: str = ZOE) -> str:
        status, screen = await self.post(form(session, text, phone))
        assert status == 200
        return screen

    async def tell(self, *items: dict[str, object]) -> None:
        async with self._session.post(f"{self._url}/v1/batch", json={"batch": items}) as answer:
            assert answer.status == 200

    async def find(self, customer: str) -> Profile:
        profile = await self.app.runtime.seek(customer)
        assert profile is not None
        return profile


def form(session: str, text: str = "", phone: str = ZOE) -> dict[str, str]:
    return {
        "sessionId": session,
        "serviceCode": "*384*123#",
        "phoneNumber": phone,
        "networkCode": "63902",
        "text": text,
    }


@asynccontextmanager
async def running(workspace: Workspace, folder: Path) -> AsyncGenerator[Operator]:
    environ = {"NEXTBEAT_USSD_KEY": KEY}
    async with (
        App(workspace, folder / "data", GatewaySettings(), environ=environ) as app,
        ClientSession() as session,
    ):
        yield Operator(app, session)


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    async with running(open_workspace(ROOT / "docs" / "snippets" / "ussd"), tmp_path) as operator:
        yield operator


async def test_a_menu_is_walked_through_and_what_is_known_is_used(operator: Operator) -> None:
    traits = {"phone": "0711 000 111", "first_name": "Zoë", "balance": 250}
    await operator.tell({"type": "identify", "userId": "zoe", "traits": traits})
    menu = "CON Hello Zoë\n1. My balance\n2. Our shops"
    assert await operator.dial("ATUid_1") == menu
    assert await operator.dial("ATUid_1", "1") == "END You have 250 KES."
    assert await operator.dial("ATUid_2") == menu
    assert await operator.dial("ATUid_2", "2") == "CON Which town?"
    assert (
        await operator.dial("ATUid_2", "2*Kisumu") == "END Our shop in Kisumu is open from 8 to 6."
    )
    ending = {**form("ATUid_2"), "status": "Success", "durationInMillis": "4100", "hopsCount": "3"}
    assert await operator.post({**ending, "input": "2*Kisumu"}, "/end") == (200, "OK")
    profile = await operator.find("zoe")
    assert {name: one.count for name, one in profile.history.items()} == {
        "Identified": 1,
        "USSD Session Started": 2,
        "USSD Input": 3,
        "USSD Session Ended": 1,
    }
    assert {tuple(sent.statuses) for sent in profile.sends.values()} == {("accepted",)}
    assert profile.traits["first_name"] == "Zoë"


async def test_an_unknown_number_is_a_customer_of_its_own(operator: Operator) -> None:
    assert (await operator.dial("ATUid_1")).startswith("CON Hello there")
    assert await operator.dial("ATUid_1", "1") == "END You have 0 KES."
    customer = await operator.app.runtime.resolve("phone", ZOE)
    assert customer is not None
    assert ZOE[1:] not in customer
    assert (await operator.find(customer)).traits == {"phone": ZOE}


async def test_a_request_that_is_sent_again_is_answered_again_and_decided_once(
    operator: Operator,
) -> None:
    screens = await asyncio.gather(*(operator.dial("ATUid_1") for _ in range(5)))
    screens += [await operator.dial("ATUid_1")]
    assert len(set(screens)) == 1
    assert screens[0].startswith("CON ")
    customer = await operator.app.runtime.resolve("phone", ZOE)
    assert customer is not None
    assert len((await operator.find(customer)).sends) == 1


async def test_people_do_not_get_each_others_screens(operator: Operator) -> None:
    phones = [f"+2547110003{number:02}" for number in range(20)]
    for number, phone in enumerate(phones):
        traits = {"phone": phone, "first_name": f"Person {number}"}
        await operator.tell({"type": "identify", "userId": f"u{number}", "traits": traits})
    screens = await asyncio.gather(
        *(operator.dial(f"s{number}", "", phone) for number, phone in enumerate(phones))
    )
    for number, screen in enumerate(screens):
        assert screen.startswith(f"CON Hello Person {number}\n")


BAD: list[tuple[dict[str, str] | bytes, str]] = [
    ({}, "bad_form"),
    ({"sessionId": "s1"}, "bad_form"),
    (form("s 1"), "bad_session"),
    (form("s" * 129), "bad_session"),
    (form("s1", phone="Zoë"), "bad_phone"),
    (form("s1", phone=""), "bad_phone"),
    ({**form("s1", "1*" * 501), "input": "1*" * 501}, "bad_form"),
    (b"&".join(b"a%d=1" % number for number in range(40)), "bad_form"),
    (b"\xff\xfe\x00", "bad_form"),
    (b"sessionId=" + b"x" * 9_000, "too_large"),
]


async def test_what_is_no_request_of_a_session_is_refused(operator: Operator) -> None:
    for fields, code in BAD:
        for path in ("", "/end"):
            status, said = await operator.post(fields, path)
            assert (status, code in said) == (400, True), said


async def test_nobody_without_the_key_is_answered(operator: Operator) -> None:
    for key in ("", "another key of many characters", "ké", KEY[:-1]):
        for path in ("", "/end"):
            status, _ = await operator.post(form("s1"), path, key)
            assert status == 401
    assert operator.app.runtime.counters.received == 0


async def test_odd_text_is_taken_as_it_is(operator: Operator) -> None:
    for number, text in enumerate(("*", "**", "☎", "\x00", "1*\u202e", "'; DROP TABLE", "%00")):
        assert (await operator.dial(f"s{number}", text)).startswith("CON ")


SLOW = """
workspace: slow
defaults: {timezone: Africa/Nairobi, country: KE}
channels:
  ussd: {adapter: ussd, identity: phone, settings: {wait: 60ms, fallback: "END Not now."}}
  sms:  {adapter: log, identity: phone}
message_types:
  screen: {purpose: service, channels: [ussd, sms], counts: false, delivery: at_least_once}
messages:
  late: {type: screen, content: {default: {body: Here you are}}}
  long: {type: screen, content: {ussd: {body: "%s"}}}
journeys:
  dialled:
    trigger: {event: USSD Session Started}
    steps: [{wait: 200ms}, {send: late}]
  typed:
    trigger: {event: USSD Input, if: 'event.path == "1"'}
    steps: [{send: long}]
""" % ("x" * 183)


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Operator]:
    async with running(open_workspace(write_shop(tmp_path, SLOW)), tmp_path) as operator:
        yield operator


async def test_what_comes_too_late_goes_another_way(slow: Operator) -> None:
    assert await slow.dial("s1") == "END Not now."
    customer = f"anon:ussd-{stable_hash('ussd', ZOE).hex()}"
    async with asyncio.timeout(10):
        while len((await slow.find(customer)).sends) < len(("ussd", "sms")):
            await slow.tell()
    late, again = (await slow.find(customer)).sends.values()
    assert (late.channel, late.statuses) == ("ussd", ["failed"])
    assert again.channel == "sms"


async def test_a_message_that_fits_on_no_screen_does_not_keep_anybody_waiting(
    slow: Operator,
) -> None:
    assert await slow.dial("s1", "1") == "END Not now."
    assert await slow.dial("s1", "2") == "END Not now."  # nothing was decided


async def test_a_message_of_before_is_not_the_answer_to_what_was_dialled_after() -> None:
    channel = UssdChannel(UssdSettings(key=KEY, wait="5s"))
    asked = asyncio.Event()

    async def ask() -> None:
        asked.set()

    answering = asyncio.create_task(channel.answer(ZOE, ("s1", ""), START, ask))
    await asked.wait()
    early = a_send("m1", address=ZOE, decided_at=START - 1)
    with pytest.raises(Permanent) as caught:
        await channel.deliver(early)
    assert caught.value.failure is Failure.UNREACHABLE
    with pytest.raises(Permanent):
        await channel.deliver(a_send("m2", address="+254711000112"))
    assert await channel.deliver(a_send("m3", address=ZOE, decided_at=START)) == "s1"
    assert await answering == "END Hello"
    with pytest.raises(Permanent):
        await channel.deliver(a_send("m4", address=ZOE, decided_at=START))


async def test_what_can_not_be_stored_shows_the_fallback_and_may_be_asked_again() -> None:
    channel = UssdChannel(UssdSettings(key=KEY, wait="5s"))

    async def fail() -> None:
        raise StoreError("the disk is full")

    async def ask() -> None:
        await channel.deliver(a_send("m1", address=ZOE, decided_at=START))

    async def break_off() -> None:
        raise RuntimeError("something unheard of")

    with pytest.raises(RuntimeError):
        await channel.answer(ZOE, ("s1", ""), START, break_off)
    assert await channel.answer(ZOE, ("s1", ""), START, fail) == "END Please try again later."
    assert await channel.answer(ZOE, ("s1", ""), START, ask) == "END Hello"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"key": "short"}, "16 characters"),
        ({"key": KEY, "fallback": "Sorry"}, "END"),
        ({"key": KEY, "wait": "0s"}, "wait"),
        ({"key": KEY, "wait": "11s"}, "wait"),
    ],
)
def test_settings_that_can_not_work_are_refused(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        UssdSettings(**settings)


async def test_a_screen_is_there_in_well_under_a_second(operator: Operator) -> None:
    took: list[float] = []
    for number in range(30):
        start = time.perf_counter()
        await operator.dial(f"s{number}", phone=f"+2547110002{number:02}")
        took.append(time.perf_counter() - start)
    p50_ms, worst_ms = statistics.median(took) * 1000, max(took) * 1000
    sys.stdout.write(f"a USSD screen takes {p50_ms:.1f} ms (p50), {worst_ms:.1f} ms at worst\n")

"""Audiences of advertising networks: hashes as the networks make them, files and requests."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from standardwebhooks import Webhook

from actors.ports import Permanent, Temporary
from adapters.channels.audience import (
    AudienceChannel,
    AudienceHook,
    AudienceSettings,
    Rules,
    normalise_email,
    normalise_phone,
    write_row,
)
from adapters.channels.audience_files import AudienceFile, Row
from adapters.channels.batches import Batches
from adapters.channels.wire import Wire
from engine.effects import Send
from engine.events import Failure
from tests.pushes import PRESENT, UNREADABLE, a_push, answer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "rules", "written"),
    [
        (" Zoe.M+shop@Example.com ", "meta", "zoe.m+shop@example.com"),
        ("Zoe.M+shop@Example.com", "google", "zoe.m+shop@example.com"),
        ("Zoe.M+shop@Gmail.com", "meta", "zoe.m+shop@gmail.com"),
        # the example in Google's documentation
        ("cloudy.sanfrancisco+shopping@gmail.com", "google", "cloudysanfrancisco@gmail.com"),
        ("zo e@googlemail.com", "google", "zoe@googlemail.com"),
        ("zoe", "meta", ""),
        ("@example.com", "google", ""),
        ("zoe@", "meta", ""),
        ("", "meta", ""),
    ],
)
def test_an_e_mail_address_is_written_as_the_network_does(
    text: str, rules: Rules, written: str
) -> None:
    assert normalise_email(text, rules) == written


@pytest.mark.parametrize(
    ("text", "rules", "written"),
    [
        ("+1 (800) 555-0100", "google", "+18005550100"),
        ("+1 (800) 555-0100", "meta", "18005550100"),
        ("0027821234567", "meta", "27821234567"),
        ("0027821234567", "google", "+27821234567"),
        ("0821234567", "meta", ""),  # of which country?
        ("+12", "meta", ""),
        ("+1234567890123456", "google", ""),
        ("+27@example.com", "meta", ""),
        ("", "google", ""),
    ],
)
def test_a_phone_number_is_written_as_the_network_does(
    text: str, rules: Rules, written: str
) -> None:
    assert normalise_phone(text, rules) == written


def test_a_row_has_nothing_but_hashes() -> None:
    send = a_push("Zoe@Example.com", audience="buyers", phone="+27 82 123 4567", email="x@y.z")
    assert write_row(send, "meta") == Row(
        at="2026-03-02T05:12:00Z",
        action="add",
        email=hashed("zoe@example.com"),
        phone=hashed("27821234567"),
        message_id="m_0123456789abcdef01234567",
    )
    by_phone = write_row(a_push("+27821234567", audience="a", email=" "), "google")
    assert (by_phone.email, by_phone.phone) == ("", hashed("+27821234567"))


def test_a_customer_id_is_no_address_of_a_network() -> None:
    with pytest.raises(Permanent) as caught:
        write_row(a_push("u1", audience="a", email=""), "meta")
    assert caught.value.failure == Failure.ADDRESS_DEAD
    assert write_row(a_push("u1", email="zoe@example.com"), "meta").email


def sends(count: int, **content: str) -> list[Send]:
    return [
        msgspec.structs.replace(
            a_push(f"u{number}@example.com", **content), message_id=f"m_{number}"
        )
        for number in range(count)
    ]


def channel(tmp_path: Path, form: str = "ndjson", wait_s: float = 0.0) -> AudienceChannel:
    settings = msgspec.convert(
        {"directory": str(tmp_path / "out"), "format": form, "wait_s": wait_s}, AudienceSettings
    )
    return AudienceChannel(settings, Wire())


def ids(path: Path) -> list[str]:
    return [json.loads(line)["message_id"] for line in path.read_text().splitlines()]


async def test_rows_are_in_the_file_of_their_audience_once_and_in_order(tmp_path: Path) -> None:
    made = channel(tmp_path)
    added = sends(50, audience="buyers")
    assert await asyncio.gather(*map(made.deliver, added)) == [send.message_id for send in added]
    await made.deliver(sends(1, audience="buyers")[0])  # again
    removed = msgspec.structs.replace(
        a_push("u7@example.com", audience="buyers", action="remove"), message_id="m_r"
    )
    await made.deliver(removed)
    await made.deliver(sends(1, audience="others")[0])
    await made.close()
    path = tmp_path / "out" / "buyers.ndjson"
    assert ids(path) == [*(f"m_{number}" for number in range(50)), "m_r"]
    last = json.loads(path.read_text().splitlines()[-1])
    assert last == {
        "at": "2026-03-02T05:12:00Z",
        "action": "remove",
        "email": hashed("u7@example.com"),
        "message_id": "m_r",
    }
    assert ids(tmp_path / "out" / "others.ndjson") == ["m_0"]


@pytest.mark.parametrize("form", ["ndjson", "csv"])
async def test_after_a_crash_half_a_line_is_gone_and_no_row_is_there_twice(
    tmp_path: Path, form: str
) -> None:
    first = channel(tmp_path, form)
    three = sends(3, audience="buyers")
    await asyncio.gather(*map(first.deliver, three))
    path = tmp_path / "out" / f"buyers.{form}"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    again = channel(tmp_path, form)
    await asyncio.gather(*map(again.deliver, three))
    assert path.read_bytes() == whole


async def test_a_csv_file_has_a_header_and_may_be_taken_away(tmp_path: Path) -> None:
    made = channel(tmp_path, "csv")
    await made.deliver(sends(1, audience="buyers")[0])
    path = tmp_path / "out" / "buyers.csv"
    taken = path.rename(tmp_path / "taken.csv")
    assert taken.read_text().splitlines() == [
        "at,action,email,phone,message_id",
        f"2026-03-02T05:12:00Z,add,{hashed('u0@example.com')},,m_0",
    ]
    await made.deliver(sends(2, audience="buyers")[1])
    assert path.read_text().splitlines()[0] == "at,action,email,phone,message_id"
    assert path.read_text().count("m_") == 1


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a\nb", "a\0b", "Zoë"])
async def test_an_audience_is_never_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(Permanent) as caught:
        await channel(tmp_path).deliver(a_push("a@b.c", audience=name))
    assert caught.value.failure == Failure.CONTENT
    assert not (tmp_path / "out").exists()


async def test_an_action_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(Permanent):
        await channel(tmp_path).deliver(a_push("a@b.c", audience="a", action="delete"))


async def test_a_disk_that_can_not_be_written_is_for_later(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, and no folder")
    with pytest.raises(Temporary) as caught:
        await channel(tmp_path).deliver(a_push("a@b.c", audience="a"))
    assert caught.value.failure == Failure.CONFIG
    assert not caught.value.maybe_taken


def test_lines_of_others_in_the_file_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"".join(body.replace(b"\n", b"") + b"\n" for body in UNREADABLE))
    before = path.read_bytes()
    row = Row("2026-03-02T05:12:00Z", "add", "e", "", "m_1")
    asyncio.run(AudienceFile(path, is_csv=False).put([row]))
    assert path.read_bytes() == before + msgspec.json.encode(row) + b"\n"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"directory": "a", "url": "https://x.example"},
        {"url": "https://x.example"},
        {"url": "https://x.example", "secret": "x"},
        {"directory": "a", "rules": "other"},
        {"directory": "a", "rows": 10_001},
        {"directory": "a", "wait_s": 6},
    ],
)
def test_settings_that_could_never_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, AudienceSettings)


HOOK = AudienceHook("buyers", AudienceSettings(url="https://x.example/in", secret=SECRET), Wire())
ROWS = [write_row(send, "meta") for send in sends(3, audience="buyers")]


def test_a_request_is_signed_and_known_again() -> None:
    made, again = HOOK.build(ROWS, PRESENT), HOOK.build(ROWS, PRESENT)
    assert made == again
    assert HOOK.build(ROWS[:2], PRESENT).headers["webhook-id"] != made.headers["webhook-id"]
    signature = Webhook(SECRET).sign(made.headers["webhook-id"], PRESENT, made.body.decode())
    assert made.headers["webhook-signature"] == signature
    told = json.loads(made.body)
    assert told["type"] == "audience.changed"
    assert told["data"]["audience"] == "buyers"
    assert [row["message_id"] for row in told["data"]["rows"]] == ["m_0", "m_1", "m_2"]
    assert b"example.com" not in made.body


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, Failure.CONTENT),
        (413, Failure.CONTENT),
        (401, Failure.CONFIG),
        (404, Failure.CONFIG),
        (429, Failure.RATE),
        (500, Failure.TRANSIENT),
        (503, Failure.TRANSIENT),
    ],
)
def test_a_status_asks_for_one_thing(status: int, failure: Failure) -> None:
    assert HOOK.judge(answer(status), PRESENT).failure == failure


class Work:
    """Takes note of lots, and waits or fails as it is told."""

    def __init__(self) -> None:
        self.lots: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    async def do(self, items: list[int]) -> None:
        self.lots.append(items)
        await self.open.wait()
        if self.fails:
            raise Temporary("no")


async def test_what_comes_meanwhile_goes_together_next_and_in_lots_that_fit() -> None:
    work = Work()
    batches = Batches(work.do, items_max=3, wait_s=0)
    work.open.clear()
    first = asyncio.create_task(batches.add(0))
    while not work.lots:  # noqa: ASYNC110 - the first is under way, alone
        await asyncio.sleep(0)
    others = [asyncio.create_task(batches.add(number)) for number in range(1, 6)]
    await asyncio.sleep(0)
    others[0].cancel()
    work.open.set()
    await asyncio.gather(first, *others[1:])
    assert work.lots == [[0], [2, 3, 4], [5]]


async def test_a_lot_goes_as_soon_as_it_is_full_however_long_it_might_wait() -> None:
    work = Work()
    batches = Batches(work.do, items_max=2, wait_s=3_600)
    await asyncio.gather(batches.add(1), batches.add(2))
    assert work.lots == [[1, 2]]


async def test_a_lot_that_fails_fails_for_all_in_it_and_for_nobody_else() -> None:
    work = Work()
    batches = Batches(work.do, items_max=2, wait_s=0.001)
    work.fails = True
    told = await asyncio.gather(batches.add(1), batches.add(2), return_exceptions=True)
    assert [type(error) for error in told] == [Temporary, Temporary]
    work.fails = False
    await batches.add(3)
    await batches.close()
    assert work.lots == [[1, 2], [3]]

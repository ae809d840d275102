"""Opt-out registries: files of hashes, what they stop, and that it can be told again."""

import gzip
import hmac
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from adapters.files.registries import HashedRegistry, load_registries
from engine.errors import ProgramError
from engine.events import Listing, Scrubbed
from engine.instants import DAY_MS, format_instant
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.program import Program
from engine.step import step
from tests.e2e.customer_pages import SHOP, Shop, open_shop
from tests.e2e.gateway_host import NOW

LISTED, FREE = "+27821234567", "+27821234568"
RULE: dict[str, Any] = {"file": "list.txt", "channels": ["sms"], "max_age": "30d"}


def write(folder: Path, *addresses: str, as_of: int = NOW, name: str = "list.txt") -> None:
    hashes = [sha256(address.encode()).hexdigest() for address in addresses]
    text = "\n".join([f"# as_of: {format_instant(as_of)}", *hashes, ""])
    raw = text.encode()
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)


def program(**rule: Any) -> Program:
    return compile_source({**SHOP, "registries": {"za": {**RULE, **rule}}})


def load(folder: Path, **rule: Any) -> HashedRegistry:
    return load_registries(program(**rule), folder, {"LIST_KEY": "secret"})["za"]


async def send_news(shop: Shop, phone: str = "") -> list[str]:
    """Have u1 cause the newsletter; gives the reason of each drop so far, newest first."""
    if phone:
        await shop.call("identify", traits={"phone": phone})
    await shop.call("track", event="News")
    answer = await shop.get("/v1/customers/u1/decisions?outcome=drop")
    return [one["reason"] for one in answer.said["decisions"]]


async def opened(shop: Shop, folder: Path) -> None:
    shop.runtime.scrubber.use(load_registries(shop.runtime.program, folder, {}))
    await shop.call("identify", traits={"channel_preferences": {"newsletter": "sms"}})
    await shop.sign_up(channel="sms")


async def test_nothing_of_the_purpose_goes_to_a_listed_number(tmp_path: Path) -> None:
    write(tmp_path, LISTED)
    async with open_shop(registries={"za": RULE}) as shop:
        await opened(shop, tmp_path)
        assert await send_news(shop, LISTED) == ["opt_out_registry"]
        assert await shop.sent("news") == []
        await send_news(shop, FREE)
        assert [send.address for send in await shop.sent("news")] == [FREE]
        await send_news(shop, LISTED)
        assert [send.address for send in await shop.sent("news")] == [FREE]


async def test_service_messages_go_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, LISTED)
    async with open_shop(registries={"za": {**RULE, "channels": ["sms", "email"]}}) as shop:
        await opened(shop, tmp_path)
        await shop.call("identify", traits={"phone": LISTED, "email": "zoe@example.com"})
        await shop.call("track", event="Ordered")
        assert len(await shop.sent("order")) == 1


async def test_without_its_list_nothing_of_the_purpose_goes(tmp_path: Path) -> None:
    async with open_shop(registries={"za": RULE}) as shop:
        await shop.call("identify", traits={"channel_preferences": {"newsletter": "sms"}})
        await shop.sign_up(channel="sms")
        assert await send_news(shop, FREE) == ["registry_stale"]
        write(tmp_path)
        shop.runtime.scrubber.use(load_registries(shop.runtime.program, tmp_path, {}))
        await send_news(shop)
        assert len(await shop.sent("news")) == 1


async def test_a_list_that_is_too_old_is_not_relied_on(tmp_path: Path) -> None:
    write(tmp_path, as_of=NOW)
    async with open_shop(registries={"za": RULE}) as shop:
        await opened(shop, tmp_path)
        await send_news(shop, FREE)
        assert len(await shop.sent("news")) == 1
        shop.clock.jump_to(NOW + 30 * DAY_MS)
        assert await send_news(shop) == ["registry_stale"]
        write(tmp_path, as_of=NOW + 29 * DAY_MS)
        shop.runtime.scrubber.use(load_registries(shop.runtime.program, tmp_path, {}))
        await send_news(shop)
        assert len(await shop.sent("news")) == 2


async def test_a_number_that_is_listed_later_is_left_alone_from_then_on(tmp_path: Path) -> None:
    write(tmp_path)
    async with open_shop(registries={"za": RULE}) as shop:
        await opened(shop, tmp_path)
        await send_news(shop, FREE)
        write(tmp_path, FREE, as_of=NOW + 1)
        shop.runtime.scrubber.use(load_registries(shop.runtime.program, tmp_path, {}))
        assert await send_news(shop) == ["opt_out_registry"]
        timeline = (await shop.get("/v1/customers/u1/timeline")).said
        assert "scrubbed" in [entry["kind"] for entry in timeline["entries"]]


async def test_a_number_that_cannot_be_read_is_not_written_to(tmp_path: Path) -> None:
    write(tmp_path)
    async with open_shop(registries={"za": RULE}) as shop:
        await opened(shop, tmp_path)
        assert await send_news(shop, "12") == ["registry_stale"]


def test_what_a_registry_said_is_taken_as_it_was_whatever_it_says_now() -> None:
    profile = Profile("u1", traits={"phone": FREE})
    said = Scrubbed((Listing("za", "phone", FREE, listed=True, as_of=NOW),), NOW)
    assert step(profile, said, program(), NOW).records == []
    assert profile.listings["za/phone"].listed


@pytest.mark.parametrize("name", ["list.txt", "list.txt.gz"])
def test_a_file_is_read_in_any_order_packed_or_not(tmp_path: Path, name: str) -> None:
    numbers = [f"+2782{number:07d}" for number in range(2_000)]
    write(tmp_path, *numbers, name=name)
    registry = load(tmp_path, file=name)
    assert len(registry) == 2_000
    assert all(registry.lists(number) for number in numbers)
    assert not any(registry.lists(f"+2783{number:07d}") for number in range(2_000))
    assert registry.as_of == NOW


def test_hashes_may_have_a_key(tmp_path: Path) -> None:
    digest = hmac.digest(b"secret", LISTED.encode(), sha256).hex()
    (tmp_path / "list.txt").write_text(digest.upper())
    registry = load(tmp_path, key={"env": "LIST_KEY"})
    assert registry.lists(LISTED)
    assert not registry.lists(FREE)
    with pytest.raises(ProgramError, match="LIST_KEY is not set"):
        load_registries(program(key={"env": "LIST_KEY"}), tmp_path, {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("abc\n", "line 1 is no SHA-256"),
        (f"{'0' * 64}\n{'g' * 64}\n", "line 2 is no SHA-256"),
        (f"{LISTED}\n", "line 1 is no SHA-256"),
        ("# as_of: soon\n", "line 1 says no date"),
        ("é\n", "can't be read"),
    ],
)
def test_half_a_list_is_no_list(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ProgramError, match=told):
        load(tmp_path)


def test_a_list_that_is_not_there_or_cut_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="No such file"):
        load(tmp_path)
    with pytest.raises(ProgramError, match=rf"put list.txt into {tmp_path}\)") as missing:
        load(tmp_path)
    assert "SHA-256" not in str(missing.value)
    write(tmp_path, LISTED, name="list.txt.gz")
    with pytest.raises(ProgramError, match=r"did you mean 'list.txt.gz'\?"):
        load(tmp_path)
    whole = (tmp_path / "list.txt.gz").read_bytes()
    (tmp_path / "list.txt.gz").write_bytes(whole[:-9])
    with pytest.raises(ProgramError, match="can't be read"):
        load(tmp_path, file="list.txt.gz")

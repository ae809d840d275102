"""What every store remembers of messages after they were handed on."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from actors.endings import OutboxState
from actors.letters import DEAD_STATES
from actors.outgoing import CALLS
from actors.ports import Store
from actors.rows import Commit, Erased, LetterQuery, OutboxChange, OutboxRow, Spent
from engine.effects import Send
from tests.contract.test_store_contract import KINDS, make_store

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = make_store(request.param, tmp_path)
    await made.open()
    yield made
    await made.close()


def a_row(number: int, customer: str = "u1", channel: str = "sms") -> OutboxRow:
    return OutboxRow(f"m{number}", customer, channel, "queued", 0, b"b")


async def test_a_message_is_found_by_what_its_provider_calls_it(store: Store) -> None:
    await store.commit(Commit(outbox=[a_row(number) for number in range(4)]))
    await store.commit(
        Commit(
            outbox_changes=[
                OutboxChange("m0", "dispatching", 1, "", provider="twilio"),
                OutboxChange("m1", "sent", 1, "", provider="twilio", provider_id="SM1"),
                OutboxChange("m2", "sent", 1, "", provider="vonage", provider_id="SM2"),
                OutboxChange("m3", "sent", 1, "", provider="twilio", provider_id="SM3"),
            ]
        )
    )
    found = await store.messages_by_provider("twilio", ["SM1", "SM2", "SM3", "SM9", ""])
    sent = OutboxRow("m1", "u1", "sms", "sent", 1, b"b", "", "", "twilio", "SM1")
    assert found == {"SM1": sent, "SM3": (await store.messages(["m3"]))[0]}
    assert await store.messages_by_provider("twilio", []) == {}
    await store.commit(Commit(erased=Erased(messages=["m1"])))
    assert await store.messages_by_provider("twilio", ["SM1"]) == {}


async def test_dead_letters_are_those_that_did_not_arrive_newest_first(store: Store) -> None:
    states = [state.value for state in OutboxState]
    rows = [
        a_row(number, f"u{number % 2}", "sms" if number < 6 else "email") for number in range(9)
    ]
    await store.commit(Commit(outbox=[*rows, a_row(99, channel=CALLS)]))
    changes = [OutboxChange(f"m{n}", states[n % len(states)], 1, "why", "code") for n in range(9)]
    await store.commit(Commit(outbox_changes=[*changes, OutboxChange("m99", "failed", 1, "")]))

    async def listed(**asked: str | int) -> list[str]:
        return [row.message_id for row in await store.dead_letters(LetterQuery(**asked))]  # type: ignore[arg-type]

    dead = [f"m{n}" for n in reversed(range(9)) if states[n % len(states)] in DEAD_STATES]
    assert await listed() == dead
    assert await listed(limit=2) == dead[:2]
    assert await listed(limit=2, before=dead[1]) == dead[2:4]
    assert await listed(before="unknown") == []
    assert await listed(state="failed") == ["m3"]
    assert await listed(customer="u1") == [name for name in dead if int(name[1:]) % 2]
    assert await listed(channel="email", state="sent") == []
    (row,) = await store.dead_letters(LetterQuery(state="failed"))
    assert (row.detail, row.code) == ("why", "code")


async def test_what_was_spent_on_a_day_adds_up_and_comes_back(store: Store) -> None:
    await store.commit(Commit(outbox=[a_row(1), a_row(2)]))
    paid = OutboxChange("m1", "dispatching", 1, "", spent=Spent("sms", 20_000, 350_000))
    again = OutboxChange("m2", "dispatching", 1, "", spent=Spent("sms", 20_000, 350_000))
    back = OutboxChange("m2", "failed", 1, "", spent=Spent("sms", 20_000, -350_000))
    await store.commit(Commit(outbox_changes=[paid, again, back]))
    await store.commit(Commit(outbox_changes=[again]))
    mail = OutboxChange("m2", "dispatching", 1, "", spent=Spent("email", 20_001, 400))
    await store.commit(Commit(outbox_changes=[mail, mail]))
    assert await store.spending(20_000) == {"sms": 700_000}
    assert await store.spending(20_001) == {"email": 800}
    assert await store.spending(19_999) == {}


def a_send(message_id: str, customer: str, channel: str, address: str) -> OutboxRow:
    send = Send(message_id, "d", customer, channel, address, "m", "t", "p", "", "", {}, 1, None)
    return OutboxRow(message_id, customer, channel, "queued", 0, msgspec.msgpack.encode(send))


async def test_whom_messages_went_to_at_an_address_the_latest_first(store: Store) -> None:
    assert await store.addressees("+27820000001", ["sms"]) == []
    rows = [
        a_send("m1", "u1", "sms", "+27820000001"),
        a_send("m2", "u2", "sms", "+27820000001"),
        a_send("m3", "u1", "sms", "+27820000001"),
        a_send("m4", "u3", "email", "+27820000001"),
        a_send("m5", "u4", "sms", "+278200000012"),  # longer, and not the same
        a_row(6, "u5"),
    ]
    await store.commit(Commit(outbox=rows))
    assert await store.addressees("+27820000001", ["sms"]) == ["u1", "u2"]
    assert await store.addressees("+27820000001", ["sms", "email"]) == ["u3", "u1", "u2"]
    assert await store.addressees("+27820000001", []) == []

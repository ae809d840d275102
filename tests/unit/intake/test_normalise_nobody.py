"""Ids that stand for nobody: what broken clients send must not make everybody one customer."""

import msgspec
import pytest

from engine.errors import InputError
from engine.events import Event, Receipt
from engine.instants import parse_instant
from engine.intake.clocks import Envelope
from engine.intake.item import read_item
from engine.intake.normalise import normalise

NOW = parse_instant("2026-03-02T12:00:00Z")
NOBODY = (
    *("null", "NULL", "None", "none", "undefined", "0", 0, "NaN", "(null)", "[object Object]"),
    "00000000-0000-0000-0000-000000000000",
)


def take(**said: object) -> tuple[Event | Receipt, list[str]]:
    """Normalise a call; give what it became, and what was mended."""
    envelope = Envelope(NOW)
    raw = msgspec.json.encode({"type": "track", "event": "Odd", "messageId": "m1", **said})
    return normalise(read_item(raw, envelope.oddities), envelope), envelope.oddities


def refusal(**said: object) -> InputError:
    with pytest.raises(InputError) as caught:
        take(**said)
    return caught.value


@pytest.mark.parametrize("nobody", NOBODY)
def test_a_user_id_that_stands_for_nobody_leaves_the_anonymous_id(nobody: object) -> None:
    event, mended = take(userId=nobody, anonymousId="a-1")
    assert isinstance(event, Event)
    assert (event.user, event.anonymous, mended) == (None, "a-1", ["worthless_id"])


@pytest.mark.parametrize("nobody", NOBODY)
def test_a_customer_has_no_anonymous_id_that_stands_for_nobody(nobody: object) -> None:
    event, mended = take(userId="u1", anonymousId=nobody)
    assert isinstance(event, Event)
    assert (event.user, event.anonymous, mended) == ("u1", None, ["worthless_id"])


@pytest.mark.parametrize("name", ["nil", "nan", "Nan", "nobody", "00", "undefined-7"])
def test_what_may_be_a_name_is_one(name: str) -> None:
    event, mended = take(userId=name)
    assert (event.user, mended) == (name, [])


def test_where_nobody_remains_the_refusal_names_the_id() -> None:
    error = refusal(userId="undefined")
    assert (error.code, error.path) == ("no_user_anon_id", "userId")
    assert '"undefined" stands for nobody' in error.message
    assert refusal(anonymousId="null").path == "anonymousId"
    assert "stands for nobody" not in refusal().message


def test_nobody_was_a_customer_before() -> None:
    event, mended = take(type="alias", userId="u1", previousId="undefined")
    assert isinstance(event, Event)
    assert (event.anonymous, event.properties, mended) == (None, {}, ["worthless_id"])


def test_a_receipt_of_nobody_is_refused() -> None:
    error = refusal(type="receipt", userId="null", message="m_1", status="opened")
    assert (error.code, error.path) == ("no_user_anon_id", "userId")
    assert '"null" stands for nobody' in error.message

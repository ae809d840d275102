"""What was stored once can be read for ever: a file for each struct and each form it has had.

`python tests/replay/test_stored_forms.py` writes the files that are missing: a new form gets a new
number, and the files of older forms stay as they are.
"""

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from actors.cuts import Scope
from engine.effects import Call, Send
from engine.events import (
    Abridged,
    Answered,
    ChangeKind,
    ConsentStatement,
    ConsentStatus,
    Departed,
    Event,
    EventKind,
    Input,
    LegalBasis,
    Linked,
    Listing,
    Merged,
    Rebirth,
    Receipt,
    ReceiptStatus,
    Redeliver,
    Refused,
    Restored,
    Review,
    Scrubbed,
    SeenIds,
    Tick,
    TraitChange,
    Unlinked,
)
from engine.ledger import Slot, Tally
from engine.measures.affinity import Affinity
from engine.measures.distinct import Distinct, Firsts
from engine.measures.engaged import Engaged
from engine.measures.reach import Reach
from engine.measures.series import MILLION, Series, add
from engine.measures.summary import Summary
from engine.origins import Origin
from engine.profile import History, Instance, Pending, Profile, Sent, Timer
from engine.reasons import Outcome, Reason
from engine.records import (
    AgendaKept,
    Allotted,
    Assigned,
    Branched,
    BranchEnded,
    Called,
    CallRecalled,
    Check,
    ConsentNoted,
    Counted,
    Decided,
    Duplicated,
    Emitted,
    Entered,
    Exited,
    Gathered,
    Migrated,
    Moved,
    Overtaken,
    ReachNoted,
    ReceiptNoted,
    Record,
    Remembered,
    SegmentEntered,
    SegmentLeft,
    SegmentsReviewed,
    SessionBegan,
    Shape,
    Suppressed,
    Truncated,
    Unmatched,
    WakeCleared,
    WakeSet,
)
from engine.seen import SeenPart

FORMS = Path(__file__).parent / "forms"
AT = 1_772_445_600_000
ORIGIN = Origin(AT - 5, "email", "news", "e-mail", "Spring", "web")

_SAID = ConsentStatement(
    "marketing",
    "email",
    ConsentStatus.PENDING,
    AT,
    "centre",
    LegalBasis.SOFT_OPT_IN,
    "https://shop.example/form",
    AT + 1,
    "newsletter",
)
_SENT = Sent(
    "m_1", 4, "cart", "promo", "email", AT, "recovery", 3, "first", AT - 5, AT + 5, "email",
    ("sms",), 1, ["accepted", "opened"], {"price": 80}, is_over=True,
)  # fmt: skip
_PENDING = Pending(
    5,
    "offer",
    "promo",
    "email",
    "recovery",
    3,
    "second",
    9,
    AT + 60,
    AT,
    AT + 90,
    "",
    ("sms",),
    1,
    by_calendar=True,
)
_INSTANCE = Instance(3, "recovery", "v1", AT, 2, 9, AT + 60, 5, {"price": 80}, "Product Added", 1)
_KEYED = Instance(
    3, "recovery", "v1", AT, 2, event={"price": 80}, key="c1", since_at=AT - 7,
    vars={"offer": "gold"},
)  # fmt: skip
_BRANCH = Instance(4, "recovery", "v1", AT, 5, key="c1", since_at=AT - 7, parent=3)


_CALLED = Called(
    3, "recovery", "quote", "c_1", "POST", "https://crm.example/quote", {"X-Team": "growth"},
    '{"customer":"u1"}', AT, 10_000, {"Authorization": "CRM_TOKEN"}, "CRM_SECRET",
    takes_answer=True, allow_private=True, refused="the body is too long",
)  # fmt: skip
_FOLLOW_UP = Decided(
    "d_3", AT, "receipt", "r-2", "recovery", 4, "first", "cart", "promo", Outcome.DROP,
    Reason.TOO_COSTLY, "sms", None, (), "sha256:0", 6, AT - 5, None, "sms", (), 1, follows=4,
)  # fmt: skip


def _series() -> Series:
    series = Series()
    add(series, AT - 9, edge_at=0)
    add(series, AT, {"price": 2 * MILLION}, edge_at=0)
    return series


VALUES: dict[str, msgspec.Struct] = {
    "event": Event(
        "e-1",
        EventKind.IDENTIFY,
        "Identified",
        "u1",
        "a1",
        AT,
        AT + 7,
        {"price": 9.5, "n": None},
        {"email": "ü@example.com", "tags": ["x", 1]},
        {"timezone": "Asia/Kathmandu"},
        (_SAID,),
        "web",
        is_history=True,
        changes=(
            TraitChange("visits", ChangeKind.INCREASE, 2),
            TraitChange("sizes", ChangeKind.ADD, ["M"]),
        ),
        only_existing=True,
    ),
    "event-bare": Event("e-2", EventKind.TRACK, "Seen", None, "a1", AT, AT),
    "receipt": Receipt(
        "r-1",
        "u1",
        "m_1",
        ReceiptStatus.FAILED,
        AT,
        AT + 7,
        code="550",
        permanent=True,
        source="esp",
        is_history=True,
    ),
    "receipt-failed": Receipt(
        "r-2", "u1", "m_1", ReceiptStatus.FAILED, AT, AT + 7, "131026", failure="not_there"
    ),
    "redeliver": Redeliver("m_1", AT),
    "answered": Answered("c_1", "u1", 200, AT, {"price": 3.5, "tags": ["x"]}, "too_large"),
    "tick": Tick(9, AT),
    "linked": Linked(
        (("anonymous_id", "a1"), ("email", "ada@example.com")),
        (SeenIds(AT - 9, AT, b"\xff\x00\xfe34567"), SeenIds(AT, AT, b"01234567")),
        AT,
    ),
    "unlinked": Unlinked((("anonymous_id", "a1"),), "u2", AT),
    "merged": Merged("anon:a1", 7, b"\x91\xa2u1", (("anonymous_id", "a1"),), "anonymous_id", AT),
    "departed": Departed("u1", "anonymous_id", AT),
    "refused": Refused(("email", "ada@example.com"), "u2", "they were parted by hand", AT),
    "scrubbed": Scrubbed((Listing("za", "phone", "+27821234567", listed=True, as_of=AT),), AT),
    "restored": Restored(b"\x91\xa2u1", "anon:a1", AT),
    "review": Review(77, AT),
    "rebirth": Rebirth(7 << 20, AT),
    "abridged": Abridged(b"\x91\xa2u1", AT),
    "scope": Scope({"u1": 7, "anon:a1": 0}, [("user_id", "u1"), ("anonymous_id", "a1")]),
    "decided": Decided(
        "d_1",
        AT,
        "event",
        "e-1",
        "recovery",
        3,
        "first",
        "cart",
        "promo",
        Outcome.SUBSTITUTE,
        Reason.OUTSIDE_WINDOW,
        "push",
        None,
        (Check("email", "window", "blocked", "channels.email.window", AT + 60, "09:00-20:00"),),
        "sha256:0",
        4,
        AT - 5,
        AT + 5,
        "email",
        ("sms",),
        1,
        "m_1",
        "token",
        {"body": "b"},
        "marketing",
        counts=False,
    ),
    "decided-vars": Decided(
        "d_2",
        AT,
        "timer",
        "9",
        "recovery",
        4,
        "first",
        "cart",
        "promo",
        Outcome.DEFER,
        Reason.CHANNEL_CAP,
        "push",
        AT + 60,
        (),
        "sha256:0",
        4,
        AT - 5,
        None,
        "",
        (),
        event={"price": 80},
        vars={"offer": "gold"},
    ),
    "decided-follows": _FOLLOW_UP,
    "gathered": Gathered("0f3a", Shape.AFFINITY, AT, "shoes", 86_400_000, 2.5),
    "counted": Counted("Order Completed", AT, 86_400_000, {"revenue": 12.5}),
    "suppressed": Suppressed("just_bought", AT),
    "entered": Entered(3, "recovery", "v1", AT, {"price": 80}, "Product Added", 1),
    "entered-keyed": Entered(3, "recovery", "v1", AT, {}, "Product Added", 1, "c1", AT - 7),
    "entered-counted": Entered(3, "recovery", "v1", AT, {}, "Go", 1, "c1", AT - 7, 9),
    "called": _CALLED,
    "call-recalled": CallRecalled("c_1"),
    "call": Call(
        "c_1",
        "u1",
        "recovery",
        "quote",
        "POST",
        "https://crm.example/quote",
        {"X-Team": "growth"},
        {"Authorization": "CRM_TOKEN"},
        '{"customer":"u1"}',
        AT,
        AT + 10_000,
        "CRM_SECRET",
        takes_answer=True,
        allow_private=True,
    ),
    "moved": Moved(3, 2),
    "migrated": Migrated(3, "v2", 1),
    "exited": Exited(3, "recovery", "goal_met", AT, converted=True),
    "exited-out": Exited(3, "recovery", "no_interest", AT, taken_out=True),
    "branched": Branched(4, 3, 5, AT),
    "branch-ended": BranchEnded(4),
    "remembered": Remembered(3, "offer", {"a": [1, None]}),
    "allotted": Allotted(3, "recovery", "test", "control", AT),
    "emitted": Emitted("Cart Left", AT, {"price": 80}, 3),
    "assigned": Assigned("stage", {"a": [1, None]}),
    "wake-set": WakeSet(9, AT, "proposal", 4),
    "wake-cleared": WakeCleared(9, AT),
    "receipt-noted": ReceiptNoted("m_1", "failed", AT, "550", released=True, hour=9),
    "reach-noted": ReachNoted("whatsapp", "+27821234567", "not_there", "131026", AT, AT + 9),
    "overtaken": Overtaken("m_1"),
    "session-began": SessionBegan(AT, "Seen", ORIGIN),
    "consent-noted": ConsentNoted(_SAID),
    "segment-entered": SegmentEntered("vip", AT, reviewed=True),
    "segment-left": SegmentLeft("vip", AT, reviewed=True),
    "segments-reviewed": SegmentsReviewed(77),
    "agenda-kept": AgendaKept("Asia/Kathmandu", AT + 75, AT + 80),
    "duplicated": Duplicated("e-1"),
    "unmatched": Unmatched("tick"),
    "truncated": Truncated("moves", "recovery"),
    "send": Send(
        "m_1",
        "d_1",
        "u1",
        "email",
        "a@example.com",
        "cart",
        "promo",
        "marketing",
        "recovery",
        "first",
        {"subject": "s", "body": "b"},
        AT,
        AT + 5,
        {"k": 1},
    ),
    "profile": Profile(
        "u1",
        {"email": "a@example.com", "age": 7},
        {"marketing/email": _SAID},
        [SeenPart(AT - 9, AT, bytearray(b"\xff\x00\xfe34567"))],
        {"Seen": History(3, AT - 9, AT, _series())},
        {"email/opened": [AT]},
        [Slot(AT, "m_1", "cart", "email", "marketing", "promo", counts=True)],
        {"m_1": _SENT},
        {5: _PENDING},
        {3: _INSTANCE},
        {9: Timer(AT + 60, "proposal", 5)},
        {"recovery": AT},
        {"welcome": AT - 9},
        {"just_bought": AT + 9},
        "Asia/Kathmandu",
        AT - 3,
        AT - 2,
        AT - 9,
        9,
        3,
        5,
        7,
        {"welcome/completed": 2},
        [Tally("email", "marketing", "promo", counts=True, sent_at=[AT])],
        {"anonymous_id": {"a1": AT}},
        {"anon:a1": 7},
        "u2",
        ["u3"],
        ["email/u4"],
        traits_at=AT - 4,
        written={"tags": AT - 5},
        context_at=AT - 6,
        measures={
            "0f3a": Affinity(86_400_000, 9, {"shoes": 2.5}),
            "1b": Distinct({"shoes": AT}),
            "2c": Firsts({"Durban": AT}),
            "3d": Summary(2, 3_000_000, 1_000_000, 2_000_000, AT - 9, "a", AT, "b"),
            "4e": _series(),
            "engaged/email": Engaged(9, 2.5, 2.0, 1.5, 1.0, 0.5, bytes(range(168))),
        },
        session_count=5,
        session_pages=4,
        session_products=3,
        listings={"za/phone": Listing("za", "phone", "+27821234567", listed=True, as_of=AT)},
        context_locale="en-ZA",
        first_source=ORIGIN,
        last_source=Origin(AT, "direct"),
        segments={"vip": AT},
        segments_version=77,
        segments_timer=-8,
        segments_at=AT + 70,
        numbered_from=3 << 20,
    ),
    "profile-new": Profile("u2"),
    "profile-branched": Profile(
        "u3",
        sends={"m_1": replace(_SENT, vars={"offer": "gold"})},
        pending={5: replace(_PENDING, event={"price": 80}, vars={"offer": "gold"})},
        instances={3: _KEYED, 4: _BRANCH},
    ),
    "profile-planned": Profile(
        "u4",
        entries={"recovery": [AT - 9, AT]},
        keyed={"recovery": {"c0": AT - 9, "c1": AT}},
        is_nameless=True,
        agenda_timer=11,
        agenda_at=AT + 80,
        agenda_zone="Asia/Kathmandu",
        agenda_from=AT + 75,
    ),
    "profile-followed": Profile(
        "u5",
        sends={
            "m_1": replace(
                _SENT, address="a@example.com", watch_timer=9, watch_at=AT + 9, out_at=AT + 1
            ),
            "m_2": replace(_SENT, message_id="m_2", follows=4, is_left=True),
        },
        pending={5: replace(_PENDING, follows=4)},
        reach={
            "email/00f1": Reach(AT, "unreachable", "452", 0, (AT - 9, AT), 0),
            "whatsapp/00f2": Reach(AT, "not_there", "131026", AT + 9, (), 2),
            "sms/00f2": Reach(AT, "address_dead", "21211", None),
        },
    ),
    "profile-calling": Profile("u4", instances={3: replace(_KEYED, call="c_1")}, call_count=7),
}

_INPUTS = msgspec.msgpack.Decoder(Input)
_RECORDS = msgspec.msgpack.Decoder(Record)


def decoder(value: msgspec.Struct) -> Callable[[bytes], Any]:
    """Give what the product reads such a value with."""
    if isinstance(value, typing.get_args(Input)):
        return _INPUTS.decode
    if isinstance(value, typing.get_args(Record)):
        return _RECORDS.decode
    return msgspec.msgpack.Decoder(type(value)).decode


def forms(name: str) -> list[Path]:
    """Give the files of a value's forms, oldest first."""
    found = [one for one in FORMS.glob(f"{name}.*.msgpack") if one.name.split(".")[0] == name]
    return sorted(found, key=lambda one: int(one.name.split(".")[1]))


@pytest.mark.parametrize("name", VALUES)
def test_every_form_a_value_has_had_reads_as_that_value(name: str) -> None:
    assert forms(name)
    for file in forms(name):
        assert decoder(VALUES[name])(file.read_bytes()) == VALUES[name], file.name


@pytest.mark.parametrize("name", VALUES)
def test_the_form_of_today_is_on_record(name: str) -> None:
    written = msgspec.msgpack.encode(VALUES[name])
    assert forms(name)[-1].read_bytes() == written, f"the form of {name} changed: write a new file"


def test_every_struct_that_is_stored_has_a_file() -> None:
    kinds = {type(value) for value in VALUES.values()}
    assert kinds == {*typing.get_args(Input), *typing.get_args(Record), Send, Call, Profile, Scope}


@pytest.mark.parametrize("name", ["event", "profile", "send"])
def test_every_field_of_the_largest_structs_is_put_to_use(name: str) -> None:
    """A field that is left empty would not notice that it moved.

    Fields that are younger than a value's first form are put to use by others of its kind.
    """
    values = [one for one in VALUES.values() if type(one) is type(VALUES[name])]
    fields = [field.name for field in msgspec.structs.fields(VALUES[name])]
    assert [one for one in fields if not any(getattr(value, one) for value in values)] == []


def test_what_a_newer_program_adds_at_the_end_is_passed_over() -> None:
    array: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(VALUES["tick"]))
    assert _INPUTS.decode(msgspec.msgpack.encode([*array, "more"])) == VALUES["tick"]


def _renew() -> None:
    FORMS.mkdir(exist_ok=True)
    for name, value in VALUES.items():
        written = msgspec.msgpack.encode(value)
        known = forms(name)
        if not known or known[-1].read_bytes() != written:
            (FORMS / f"{name}.{len(known) + 1}.msgpack").write_bytes(written)


if __name__ == "__main__":
    _renew()

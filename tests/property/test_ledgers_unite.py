"""The ledger of consent and customers' wishes, of two customers who turn out to be one."""

from itertools import permutations
from typing import Any

from hypothesis import given, settings, strategies as st

from engine.consents import (
    Ledger,
    find_statement,
    find_type_statement,
    is_granted,
    note_consent,
    unite_consents,
)
from engine.events import ConsentStatement, ConsentStatus, LegalBasis
from engine.localtime import zone
from engine.windows import is_open, parse_window
from engine.wishes import read_caps, unite_wishes

calm = settings(deadline=None)

PURPOSES, CHANNELS, TYPES = ("marketing", "service", "*"), ("email", "sms", "*"), ("", "news")

statements = st.builds(
    ConsentStatement,
    purpose=st.sampled_from(PURPOSES),
    channel=st.sampled_from(CHANNELS),
    status=st.sampled_from(ConsentStatus),
    at=st.integers(1, 4),
    source=st.sampled_from(("", "form", "shop")),
    basis=st.sampled_from((LegalBasis.UNSTATED, LegalBasis.CONSENT)),
    proof=st.sampled_from(("", "p")),
    expires_at=st.none() | st.integers(2, 6),
    message_type=st.sampled_from(TYPES),
)
spoken = st.lists(statements, max_size=8)


def ledger(said: list[ConsentStatement]) -> Ledger:
    """Take statements in, in the order given; keys in alphabetical order."""
    kept: Ledger = {}
    for statement in said:
        note_consent(kept, statement)
    return {key: kept[key] for key in sorted(kept)}


@calm
@given(spoken, spoken, spoken)
def test_uniting_ledgers_is_commutative_associative_and_idempotent(
    one: list[ConsentStatement], two: list[ConsentStatement], three: list[ConsentStatement]
) -> None:
    a, b, c = ledger(one), ledger(two), ledger(three)
    assert list(unite_consents(a, b).items()) == list(unite_consents(b, a).items())
    assert unite_consents(unite_consents(a, b), c) == unite_consents(a, unite_consents(b, c))
    assert unite_consents(a, a) == a
    assert unite_consents(a, {}) == a


@calm
@given(spoken, spoken)
def test_a_united_ledger_is_that_of_one_who_said_it_all(
    one: list[ConsentStatement], two: list[ConsentStatement]
) -> None:
    assert unite_consents(ledger(one), ledger(two)) == ledger([*one, *two])


@calm
@given(st.lists(statements, max_size=4))
def test_the_order_in_which_statements_arrive_does_not_matter(
    said: list[ConsentStatement],
) -> None:
    kept = [ledger(list(order)) for order in permutations(said)]
    assert all(one == kept[0] for one in kept)


@calm
@given(spoken, spoken, st.integers(0, 7))
def test_uniting_never_brings_back_what_was_taken_back_later_or_at_once(
    one: list[ConsentStatement], two: list[ConsentStatement], now: int
) -> None:
    united = unite_consents(ledger(one), ledger(two))
    for purpose in PURPOSES[:2]:
        for channel in CHANNELS[:2]:
            held = find_statement(united, purpose, channel)
            if not is_granted(held, now):
                continue
            assert held is not None
            noes = [
                said
                for said in (*one, *two)
                if not said.message_type
                and said.purpose in (purpose, "*")
                and said.channel in (channel, "*")
                and said.status is not ConsentStatus.GRANTED
            ]
            assert all(said.at < held.at for said in noes)


@calm
@given(spoken, spoken)
def test_a_type_nobody_wanted_last_stays_unwanted(
    one: list[ConsentStatement], two: list[ConsentStatement]
) -> None:
    united = unite_consents(ledger(one), ledger(two))
    said = [
        each
        for each in (*one, *two)
        if each.message_type == "news" and each.channel in ("sms", "*")
    ]
    if said and max(said, key=lambda each: each.at).status is ConsentStatus.DENIED:
        held = find_type_statement(united, "news", "sms")
        assert held is not None
        assert held.status in (ConsentStatus.DENIED, ConsentStatus.WITHDRAWN)


clock = st.integers(0, 23).map(lambda hour: f"{hour:02d}:00")
interval = st.tuples(clock, clock).filter(lambda pair: pair[0] != pair[1]).map("-".join)
hours = st.one_of(
    interval,
    st.lists(interval, min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(("mon", "sun", "tue,wed")), interval, min_size=1, max_size=3),
)
unreadable: tuple[Any, ...] = ("25:00-26:00", "nights", 7, {})
quiet = st.none() | hours | st.sampled_from(unreadable)
silence = st.none() | st.sampled_from(
    (True, False, "", "no", "off", "soon", "2026-03-02", "2026-03-02T10:00:00Z", 1_772_428_320)
)
cap = st.sampled_from(("1 / 7d", "2 / 24h", "seldom"))
caps = (
    st.none()
    | cap
    | st.lists(cap, max_size=2)
    | st.dictionaries(
        st.sampled_from(("marketing", "*")), cap | st.lists(cap, max_size=2), max_size=2
    )
)
preferences = st.none() | st.dictionaries(
    st.sampled_from(("news", "offers")), st.sampled_from(("email", "sms")), max_size=2
)
wishes = st.fixed_dictionaries(
    {
        "quiet_hours": quiet,
        "do_not_disturb": silence,
        "frequency_caps": caps,
        "channel_preferences": preferences,
        "preferred_channel": st.none() | st.sampled_from(("email", "sms")),
    }
)


@calm
@given(wishes, wishes, wishes)
def test_uniting_wishes_is_commutative_associative_and_idempotent(
    one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    assert unite_wishes(one, two) == unite_wishes(two, one)
    left = unite_wishes(unite_wishes(one, two), three)
    assert left == unite_wishes(one, unite_wishes(two, three))
    said = {name: wish for name, wish in one.items() if wish is not None}
    assert unite_wishes(one, one) == said
    assert unite_wishes(one, {}) == said


@calm
@given(hours, hours, st.integers(0, 7 * 24 * 2))
def test_it_is_quiet_where_it_was_for_one_of_the_two(one: Any, two: Any, half_hours: int) -> None:
    utc = zone("UTC")
    assert utc is not None
    now = 1_772_409_600_000 + half_hours * 1_800_000
    united = parse_window(
        unite_wishes({"quiet_hours": one}, {"quiet_hours": two})["quiet_hours"], ""
    )
    was = [is_open(parse_window(each, ""), utc, now) for each in (one, two)]
    assert is_open(united, utc, now) == any(was)


@calm
@given(caps, caps)
def test_the_caps_of_both_hold(one: Any, two: Any) -> None:
    united = read_caps(
        unite_wishes({"frequency_caps": one}, {"frequency_caps": two}).get("frequency_caps")
    )
    for written in (one, two):
        for purpose, texts in read_caps(written).items():
            assert set(texts) <= set(united[purpose])

"""Events are what they are, in whatever order they arrive: traits, counts, consent, instants."""

from typing import Any

from hypothesis import given, settings, strategies as st

from engine.events import ConsentStatement, ConsentStatus, Event, EventKind
from engine.evolve import evolve_input
from engine.profile import Profile

AT = 1_772_452_800_000
NAMES: tuple[str, ...] = ("a", "b", "c", "d")
VALUES = st.one_of(st.none(), st.integers(0, 5))
CONSENTS = st.lists(
    st.tuples(st.sampled_from(["marketing", "news"]), st.sampled_from(list(ConsentStatus))),
    max_size=2,
    unique_by=lambda said: said[0],
)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw what one customer did, at instants of their own."""
    instants = draw(st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True))
    return [_event(draw, number, AT + instant) for number, instant in enumerate(instants)]


def _event(draw: st.DrawFn, number: int, at: int) -> Event:
    traits: dict[str, Any] = draw(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
    context: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {"timezone": "Africa/Johannesburg"},
                {"timezone": "Asia/Tokyo", "active": False},
                {"device": {"token": f"token-{number}"}},
            ]
        )
    )
    consents = tuple(
        ConsentStatement(purpose, "email", status, at) for purpose, status in draw(CONSENTS)
    )
    name = draw(st.sampled_from(["Identified", "Product Viewed", "Order Completed"]))
    kind = EventKind.IDENTIFY if name == "Identified" else EventKind.TRACK
    return Event(f"e{number}", kind, name, "u", None, at, AT + 500, {}, traits, context, consents)


def fold(events: list[Event]) -> tuple[object, ...]:
    profile = Profile("u")
    for event in events:
        assert evolve_input(profile, event, AT + 500)
    return (
        profile.traits,
        profile.consents,
        {name: (one.count, one.first_at, one.last_at) for name, one in profile.history.items()},
        profile.context_timezone,
        profile.active_at,
        profile.first_at,
    )


@settings(max_examples=300, deadline=None)
@given(histories(), st.data())
def test_any_order_of_arrival_gives_the_same_customer(
    events: list[Event], data: st.DataObject
) -> None:
    in_order = sorted(events, key=lambda event: event.at)
    shuffled = data.draw(st.permutations(events))
    assert fold(shuffled) == fold(in_order)


@settings(max_examples=100, deadline=None)
@given(histories())
def test_traits_are_the_latest_that_was_said_of_each(events: list[Event]) -> None:
    expected: dict[str, Any] = {}
    for event in sorted(events, key=lambda event: event.at):
        expected |= event.traits
        device = event.context.get("device")
        if device is not None:
            expected["push_token"] = device["token"]
    traits, *_ = fold(events)
    assert traits == {name: value for name, value in expected.items() if value is not None}

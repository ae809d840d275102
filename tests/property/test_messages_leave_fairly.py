"""Whatever is offered, leaves once, in turn, and never faster than it may."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest

from hypothesis import given, settings, strategies as st

from actors.lanes import Pace, Pacing
from actors.ports import Temporary
from engine.effects import Send
from engine.instants import SECOND_MS
from tests.outgoing import START, Outgoing, a_send

some = settings(max_examples=150, deadline=None, derandomize=True)

_paces = st.builds(Pace, st.sampled_from([0.5, 3, 7, 40, 300, 1_500]), st.integers(1, 5))
_pacing = st.builds(
    Pacing,
    rate_per_second=st.sampled_from([None, 1, 4, 25, 999]),
    burst=st.integers(1, 4),
    concurrency=st.integers(1, 5),
    attempts=st.just(100),
)
_offer = st.tuples(
    st.integers(0, 900),  # milliseconds after the one before
    st.sampled_from(["u1", "u2", "u3", "u4"]),
    st.sampled_from(["email", "sms"]),
    st.sampled_from(["news", "cart", "welcome"]),
    st.sampled_from(["marketing", "marketing", "service"]),
    st.integers(0, 2),  # how often it is refused
)
_Offer = tuple[int, str, str, str, str, int]


async def leave(world: Outgoing, offers: Sequence[_Offer]) -> list[Send]:
    """Offer everything at its time, and wait until all of it has left."""
    offered: list[Send] = []
    at = START
    for number, (pause_ms, customer, channel, journey, purpose, refusals) in enumerate(offers):
        at += pause_ms
        await world.clock.sleep_until(at)
        send = a_send(f"m{number}", customer, channel=channel, journey=journey, purpose=purpose)
        provider = world.email if channel == "email" else world.sms
        provider.fails[send.message_id] = [Temporary("no") for _ in range(refusals)]
        offered.append(send)
        world.outbox.offer([send])
    await world.outbox.settle()
    return offered


def keeps(times: Sequence[int], pace: Pace | None) -> bool:
    """Say whether no span of time holds more than a burst and what the span itself allows."""
    return pace is None or all(
        place - start <= pace.burst - 1 + (times[place] - times[start]) / pace.span_ms(1) + 0.01
        for start in range(len(times))
        for place in range(start, len(times))
    )


@some
@given(
    pace=st.none() | _paces,
    email=_pacing,
    sms=_pacing,
    latency_ms=st.sampled_from([0, 0, 30, 2_000]),
    offers=st.lists(_offer, min_size=1, max_size=25),
)
def test_everything_leaves_once_and_no_faster_than_any_pace(
    pace: Pace | None, email: Pacing, sms: Pacing, latency_ms: int, offers: list[_Offer]
) -> None:
    async def run() -> tuple[Outgoing, list[Send]]:
        world = Outgoing(pace, email=email, sms=sms, is_hasty=True)
        world.email.latency_ms = latency_ms
        return world, await leave(world, offers)

    world, offered = asyncio.run(run())
    assert sorted(world.order()) == sorted(
        f"m{number}" for number, (*_, refusals) in enumerate(offers) for _ in range(refusals + 1)
    )
    assert sorted(world.told()) == sorted((send.message_id, "accepted", "") for send in offered)
    assert world.outbox.depth() == 0
    assert keeps(world.times(), pace)
    for channel, pacing in (("email", email), ("sms", sms)):
        assert keeps([at for at, name, _ in world.calls if name == channel], pacing.pace())
    check_order(world, offered)


def check_order(world: Outgoing, offered: Sequence[Send]) -> None:
    """See that what must wait for what went before it did."""
    attempts: dict[str, list[int]] = defaultdict(list)
    for place, message_id in enumerate(world.order()):
        attempts[message_id].append(place)
    said: dict[tuple[str, ...], list[int]] = defaultdict(list)
    heard: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    for send in offered:
        places = attempts[send.message_id]
        said[send.customer, send.channel, send.journey, send.purpose] += places
        heard[send.customer, send.channel].append(places)
    assert all(places == sorted(places) for places in said.values())
    for spans in heard.values():  # from the first attempt to the last there is no other
        places = list(chain.from_iterable(sorted(spans)))
        assert places == sorted(places)


@some
@given(
    waiting=st.lists(
        st.tuples(
            st.sampled_from(["news", "news", "news", "cart", "welcome"]),
            st.sampled_from(["marketing", "marketing", "service"]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_a_backlog_leaves_service_first_and_then_journey_by_journey(
    waiting: list[tuple[str, str]],
) -> None:
    backlog = [
        a_send(f"m{number}", journey=journey, purpose=purpose)
        for number, (journey, purpose) in enumerate(waiting)
    ]

    async def run() -> list[str]:
        world = Outgoing(email=Pacing(rate_per_second=SECOND_MS), is_hasty=True)
        world.outbox.offer(backlog)
        await world.outbox.settle()
        return world.order()

    service = [send for send in backlog if send.purpose == "service"]
    others = [send for send in backlog if send.purpose != "service"]
    assert asyncio.run(run()) == in_turn(service) + in_turn(others)


def in_turn(backlog: Sequence[Send]) -> list[str]:
    """Say the order slowly: in each round every journey that has something gives its oldest."""
    journeys = list(dict.fromkeys(send.journey for send in backlog))
    queues = [[s.message_id for s in backlog if s.journey == journey] for journey in journeys]
    rounds = zip_longest(*queues)
    return [message_id for one in rounds for message_id in one if message_id is not None]

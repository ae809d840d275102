"""Events that, by their sender's clock, have not happened yet.

Asked by `actors.erasures`: they may be sent again like all others, and what happened up to the cut
is refused by its time, so these have to be refused by their ids.
"""

from collections.abc import Sequence

from actors.customer import Customer
from actors.ports import Store
from actors.remains import read_chain, remains_of
from engine.events import Event
from engine.limits import FUTURE_SKEW_MS_MAX


async def find_ahead(store: Store, actors: Sequence[Customer], now: int) -> list[Event]:
    """Find the events of customers that are ahead of the clock; all they did is durable.

    None is by more than the clocks of senders may be, so older entries need not be looked at.
    """
    found: list[Event] = []
    for actor in actors:
        seq = actor.last_seq
        while seq:
            entries = await read_chain(store, actor.id, seq)
            given = [remains_of(entry).given for entry in entries]
            found += [one for one in given if isinstance(one, Event) and one.at > now]
            is_recent = entries and entries[-1].at > now - FUTURE_SKEW_MS_MAX
            seq = entries[-1].prev if is_recent else 0
    return found

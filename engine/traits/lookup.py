"""What a trait is that is worked out rather than stated: the one place that knows them all.

Called by `Scope` for conditions and by whoever shows or renders a profile. Declared traits are in
the program; built-in ones are in the table below.

*Rules*
- A declared trait goes before a stated one of its name, since conditions know its kind. A stated
  trait goes before a built-in one: who states it knows better.
- Whatever may change as time goes by tells `watch` the earliest instant at which it may.
"""

from collections.abc import Callable, Mapping
from typing import Any

from engine.traits.declared import read_declared
from engine.traits.engagement import read_engagement, read_preferred_channel
from engine.traits.live import ABSENT, Look
from engine.traits.orders import read_lifetime_value, read_orders, read_rfm, read_shopping
from engine.traits.sessions import read_session

BuiltIn = Callable[[Look], Any]

BUILT_IN: Mapping[str, BuiltIn] = {
    "engagement": read_engagement,
    "lifetime_value": read_lifetime_value,
    "orders": read_orders,
    "preferred_channel": read_preferred_channel,
    "rfm": read_rfm,
    "session": read_session,
    "shopping": read_shopping,
}


def computed(name: str, look: Look) -> Any:  # noqa: ANN401 - any value
    """Give the value of a declared or built-in trait; ABSENT where there is none.

    An `expr` trait needs a whole scope, and is read through `Scope.trait`.
    """
    declared = look.book.traits.get(name)
    if declared is not None:
        return read_declared(declared, look)
    stated = look.owner.traits.get(name, ABSENT)
    if stated is not ABSENT:
        return stated
    built_in = BUILT_IN.get(name)
    return ABSENT if built_in is None else built_in(look)

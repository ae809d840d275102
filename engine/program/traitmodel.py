"""Live traits as a team writes them, for `model`."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from engine.program.texts import ConditionText, Duration, EventName, Text

Property = Annotated[
    str, Meta(min_length=1, description="The property of the event.", examples=["revenue"])
]


class RfmSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the scores of `profile.rfm` begin, each of 1 to 5: four thresholds, ascending."""

    window: Annotated[
        Duration | UnsetType, Meta(description="Which orders count; absent: 365d.")
    ] = UNSET
    recency: Annotated[
        tuple[Duration, ...] | UnsetType,
        Meta(description="Up to how long after the last order the score is 5, 4, 3, 2."),
    ] = UNSET
    frequency: Annotated[
        tuple[Annotated[int, Meta(ge=1)], ...] | UnsetType,
        Meta(description="From how many orders the score is 2, 3, 4, 5."),
    ] = UNSET
    monetary: Annotated[
        tuple[float, ...] | UnsetType,
        Meta(description="From which sum of orders the score is 2, 3, 4, 5."),
    ] = UNSET


class TraitSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A trait that is kept up to date by events: exactly one kind, with what belongs to it."""

    count: EventName = ""
    sum: EventName = ""
    average: EventName = ""
    interval: EventName = ""
    min: EventName = ""
    max: EventName = ""
    first: EventName = ""
    last: EventName = ""
    distinct: EventName = ""
    affinity: Annotated[
        EventName | tuple[EventName, ...],
        Meta(description="The events by which a customer shows what they are drawn to."),
    ] = ()
    expr: ConditionText = ""
    of: Property = ""
    window: Annotated[
        Duration | UnsetType, Meta(description="How far back; absent: all of time.")
    ] = UNSET
    if_: ConditionText = field(default="", name="if")
    half_life: Annotated[
        Duration | UnsetType,
        Meta(description="With `affinity`: after how long something counts half; absent: 30d."),
    ] = UNSET
    weights: Annotated[
        dict[Text, Annotated[float, Meta(ge=0)]],
        Meta(description="With `affinity`: by event, how much it counts; absent: 1."),
    ] = {}

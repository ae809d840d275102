"""Journeys as a team writes them: what starts one, what ends it, and its steps.

The part of `model` for the key `journeys`.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from engine.limits import INSTANCES_MAX, REPEAT_MAX, WORKSPACE_NAME_LENGTH_MAX
from engine.program.texts import (
    CapText,
    ConditionText,
    Duration,
    EngagementKind,
    EventName,
    JourneyName,
    MessageName,
)

EXIT_REASON = "exit_on"
StepKey = Annotated[str, Meta(min_length=1, max_length=WORKSPACE_NAME_LENGTH_MAX)]
# What `migrate` may say beside names of steps.
EVERY_STEP, STAY, EXIT = "*", "stay", "exit"


class ValueSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is computed when the step is reached."""

    cel: ConditionText


class TriggerSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What makes a customer enter a journey: an event, a segment, a schedule, a date or a score."""

    event: EventName = ""
    if_: ConditionText = field(default="", name="if")
    late: Annotated[
        Duration | UnsetType,
        Meta(description="With `event`: one that comes in later than this begins nothing."),
    ] = UNSET
    segment: Annotated[str, Meta(min_length=1, description="The name of a segment.")] = ""
    on: Annotated[
        Literal["entered", "left"] | UnsetType,
        Meta(description="With `segment`: coming into it, or leaving it; absent: entered."),
    ] = UNSET
    schedule: Annotated[
        str,
        Meta(
            min_length=1,
            description=(
                "Minute, hour, day of the month, month and weekday, as cron writes them; with "
                "`segment` for who is in it then."
            ),
            examples=["0 9 * * mon", "30 18 1 * *"],
        ),
    ] = ""
    zone: Annotated[
        Literal["customer", "workspace"] | UnsetType,
        Meta(description="With `schedule`: on whose clock; absent: the customer's."),
    ] = UNSET
    date: Annotated[
        str,
        Meta(
            min_length=1,
            description="A moment relative to a date of the profile.",
            examples=["profile.renewal_date - 7d at 09:00"],
        ),
    ] = ""
    every: Annotated[
        Literal["year"] | UnsetType, Meta(description="With `date`: again each year from then on.")
    ] = UNSET
    score: Annotated[
        str,
        Meta(
            min_length=1,
            description="A name in the trait `scores`, which your own model writes.",
            examples=["churn"],
        ),
    ] = ""
    above: Annotated[
        float | UnsetType, Meta(description="With `score`: when it comes to be more than this.")
    ] = UNSET
    below: Annotated[
        float | UnsetType, Meta(description="With `score`: when it comes to be less than this.")
    ] = UNSET


class ExitSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What takes a customer out of a journey: an event, a segment, or a condition that holds."""

    event: EventName = ""
    if_: ConditionText = field(default="", name="if")
    segment: Annotated[str, Meta(min_length=1, description="The name of a segment.")] = ""
    on: Annotated[
        Literal["entered", "left"] | UnsetType,
        Meta(description="With `segment`: coming into it, or leaving it; absent: entered."),
    ] = UNSET
    reason: Annotated[
        str, Meta(min_length=1, description="What the ending is called; absent: exit_on.")
    ] = EXIT_REASON


class GoalSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What a journey is for: meeting it exits, drops what is pending, and counts as converted."""

    event: EventName
    if_: ConditionText = field(default="", name="if")
    within: Annotated[
        Duration | UnsetType, Meta(description="How long after entry it still counts.")
    ] = UNSET


class WaitUntilSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A wait for a wall-clock moment instead of a time that passes."""

    until: Annotated[
        str,
        Meta(
            min_length=1,
            description="A moment in customer time, or relative to a date of the profile.",
            examples=["Mon 09:00", "profile.renewal_date - 7d"],
        ),
    ]


class WaitForSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What ends a wait: an event, a segment, or engagement with an earlier send."""

    event: EventName = ""
    if_: ConditionText = field(default="", name="if")
    segment: Annotated[str, Meta(min_length=1, description="The name of a segment.")] = ""
    engagement: Annotated[
        str, Meta(min_length=1, description="The id of an earlier send step.")
    ] = ""
    kinds: Annotated[
        tuple[EngagementKind, ...],
        Meta(description="Which engagement; absent: opened, clicked or replied."),
    ] = ()
    up_to: Annotated[
        Duration | UnsetType, Meta(description="The longest wait; absent: for as long as it takes.")
    ] = UNSET


class EnvSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is in an environment variable, and nowhere in a file."""

    env: Annotated[str, Meta(min_length=1, description="The variable's name.")]


class WebhookSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to somebody else's service, made when the step is reached."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="Where to; what is filled in behind the host is encoded.",
            examples=["https://crm.example/customers/{{ customer }}/quote"],
        ),
    ]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: Annotated[
        dict[str, str | EnvSpec],
        Meta(description="Headers in Liquid; `{env: NAME}` reads the environment, for secrets."),
    ] = {}
    body: Annotated[
        dict[str, Any],
        Meta(description="What is sent as JSON; texts are Liquid, `{cel: …}` is computed."),
    ] = {}
    timeout: Annotated[
        Duration | UnsetType,
        Meta(description="How long to wait for the answer, at most 1h; absent: 10s."),
    ] = UNSET
    secret: Annotated[
        EnvSpec | UnsetType,
        Meta(description="What the request is signed with, as Standard Webhooks say."),
    ] = UNSET
    allow_private: Annotated[
        bool, Meta(description="For development: http and private addresses are called, too.")
    ] = False


class StepSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a journey: exactly one of the actions, with what belongs to it."""

    id: Annotated[
        str, Meta(min_length=1, description="What others call this step; absent: its path.")
    ] = ""
    send: MessageName = ""
    channel: Annotated[
        str, Meta(min_length=1, description="With `send` or `decide`: the only channel.")
    ] = ""
    wait: Duration | WaitUntilSpec | UnsetType = UNSET
    until: Annotated[
        str,
        Meta(
            min_length=1,
            description="Wait for a moment in customer time, or relative to a profile's date.",
            examples=["Mon 09:00", "profile.renewal_date - 7d"],
        ),
    ] = ""
    wait_for: WaitForSpec | UnsetType = UNSET
    if_: ConditionText = field(default="", name="if")
    then: Annotated[
        "tuple[StepSpec, ...]", Meta(description="Steps where it held or came in time.")
    ] = ()
    else_: Annotated["tuple[StepSpec, ...]", Meta(description="Steps where it did not.")] = field(
        default=(), name="else"
    )
    webhook: WebhookSpec | UnsetType = UNSET
    into: Annotated[
        str,
        Meta(min_length=1, description="With `webhook`: the variable that holds its answer."),
    ] = ""
    start: JourneyName = ""
    set: Annotated[
        dict[str, str | int | float | bool | ValueSpec],
        Meta(
            description=(
                "Profile attributes, or variables of the journey (`journey.NAME`), and their new "
                "values; `{cel: …}` is computed."
            )
        ),
    ] = {}
    exit: Annotated[str, Meta(min_length=1, description="Leave the journey, for this reason.")] = ""
    switch: Annotated[
        str,
        Meta(
            min_length=1,
            description="A value in CEL: the case of that name is taken, else `else`.",
            examples=["profile.tier"],
        ),
    ] = ""
    split: Annotated[
        dict[str, Annotated[float, Meta(gt=0)]],
        Meta(
            description="Arms and their weights; who is in one stays in it.",
            examples=[{"control": 50, "offer": 50}],
        ),
    ] = {}
    cases: Annotated[
        "dict[str, tuple[StepSpec, ...]]",
        Meta(description="With `switch` or `split`: the steps by value, or by arm."),
    ] = {}
    parallel: Annotated[
        "dict[str, tuple[StepSpec, ...]]",
        Meta(description="Branches by name, which run side by side."),
    ] = {}
    join: Annotated[
        Literal["all", "any"] | UnsetType,
        Meta(description="With `parallel`: which branches must have ended to go on; absent: all."),
    ] = UNSET
    repeat: (
        Annotated[
            int,
            Meta(ge=1, le=REPEAT_MAX, description="Do `steps` again, at most this many times."),
        ]
        | UnsetType
    ) = UNSET
    while_: Annotated[ConditionText, Meta(description="With `repeat`: asked before each time.")] = (
        field(default="", name="while")
    )
    steps: Annotated[
        "tuple[StepSpec, ...]", Meta(description="With `repeat`: what is done again.")
    ] = ()
    emit: EventName = ""
    properties: Annotated[
        dict[str, str | int | float | bool | ValueSpec],
        Meta(description="With `emit`: what the event says; `{cel: …}` is computed."),
    ] = {}
    decide: Annotated[
        tuple[MessageName, ...],
        Meta(description="Messages of which the best that can go now is sent."),
    ] = ()


class JourneySpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A path customers take: what starts it, what it is for, and its steps."""

    steps: Annotated[tuple[StepSpec, ...], Meta(min_length=1)]
    trigger: Annotated[
        TriggerSpec | UnsetType,
        Meta(description="Absent: only a `start` step of another journey enters it."),
    ] = UNSET
    reentry: Annotated[
        Duration | UnsetType,
        Meta(
            description=(
                "How long after the last entry one may enter again, or `never`; absent: after exit."
            )
        ),
    ] = UNSET
    goal: GoalSpec | UnsetType = UNSET
    key: Annotated[
        str,
        Meta(
            min_length=1,
            description="A value in CEL: for each value one may be in the journey once at a time.",
            examples=["event.cart_id"],
        ),
    ] = ""
    entries: Annotated[
        CapText | UnsetType,
        Meta(description="How often a customer may enter, in which time; not `/ session`."),
    ] = UNSET
    at_once: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=INSTANCES_MAX,
                description=(
                    "How often a customer may be in it at a time; absent: once, with `key` at will."
                ),
            ),
        ]
        | UnsetType
    ) = UNSET
    enter_if: ConditionText = ""
    exit_on: Annotated[
        tuple[ExitSpec, ...],
        Meta(description="What takes a customer out of it, wherever they are."),
    ] = ()
    migrate: Annotated[
        dict[StepKey, Annotated[str, Meta(min_length=1)]],
        Meta(
            description=(
                "Where people in older versions go on: their step, or `*` for all others, and a"
                " step of this version, `exit`, or `stay`; absent: they stay in their version."
            ),
            examples=[{"reminder": "reminder", "*": "stay"}],
        ),
    ] = {}

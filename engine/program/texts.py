"""The texts and choices a workspace is made of, with what editors are told of each.

Used by `model` and `policymodel` for the keys of their structs; `leaves` reads what they mean.
"""

from typing import Annotated, Literal

from msgspec import Meta, UnsetType

from engine.program.countries import COUNTRIES

Text = Annotated[str, Meta(min_length=1)]
Duration = Annotated[
    str,
    Meta(
        min_length=1,
        description="Elapsed time: a number and ms, s, m, h, d or w; several may be joined.",
        examples=["30m", "2h", "1d", "1h30m"],
    ),
]
CapText = Annotated[
    str,
    Meta(
        min_length=1,
        description=(
            "How many in which time: `2 / 24h` is rolling; `/ calendar_day`, `/ calendar_week` and "
            "`/ calendar_month` are in customer time; `/ session` is while they are there."
        ),
        examples=["2 / 24h", "10 / 7d", "1 / calendar_day", "1 / session"],
    ),
]
ConditionText = Annotated[
    str,
    Meta(
        min_length=1,
        description="A condition in CEL.",
        examples=['event.price > 50 && count("Order Completed", "30d") == 0'],
    ),
]
ChannelName = Annotated[str, Meta(min_length=1, description="The name of a channel.")]
JourneyName = Annotated[str, Meta(min_length=1, description="The name of a journey.")]
MessageName = Annotated[str, Meta(min_length=1, description="The name of a message.")]
Purpose = Annotated[
    str, Meta(min_length=1, description="What a message is for, as consent sees it.")
]
EventName = Annotated[
    str,
    Meta(
        min_length=1,
        description="The name of an event, as it is tracked.",
        examples=["Order Completed"],
    ),
]
CountryCode = Annotated[
    str,
    Meta(
        min_length=1,
        description="A country as ISO 3166 writes it: two capital letters.",
        extra_json_schema={"enum": list(COUNTRIES)},
    ),
]
Day = Annotated[
    str,
    Meta(
        min_length=1,
        description="A day on the customer's calendar.",
        examples=["2026-12-24"],
        extra_json_schema={"format": "date"},
    ),
]
Hours = Annotated[
    str | tuple[Text, ...] | dict[str, str | tuple[Text, ...]] | UnsetType,
    Meta(
        description=(
            "When messages may go, in customer time and half-open: `09:00-20:00`, a list, or a map "
            "by weekday; a channel may also say `session`. Absent: at any time."
        )
    ),
]
OnBlock = Literal["substitute", "fallback", "defer", "drop", "enrich"]
Release = Literal["all", "newest", "best", "drop"]
Ignorable = Literal[
    "window",
    "caps",
    "cooldown",
    "suppression",
    "holidays",
    "backoff",
    "same_message",
    "regions",
]
ConsentMode = Literal["opt_in", "opt_out"]
EngagementKind = Literal["delivered", "opened", "clicked", "replied", "failed"]

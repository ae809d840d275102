"""The mapping rules of a workspace as a team writes them: what is done to events as they come in.

Part of `engine.program.model`; `mappingcheck` says what does not fit, `mappings` compiles them.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from engine.program.texts import EventName, Text

ValueKind = Literal["number", "text", "boolean", "instant"]

# What the ways in are called, as events carry it.
SOURCES = (
    "segment",
    "stream",
    "customerio",
    "braze",
    "cloudevents",
    "consent",
    "history",
    "file",
)


class PropertySpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of one property."""

    to: Annotated[
        str, Meta(min_length=1, description="Its new name; absent: it keeps its own.")
    ] = ""
    as_: Annotated[
        ValueKind | UnsetType,
        Meta(description="What kind of value it is to be; what can't be read stays as it is."),
    ] = field(default=UNSET, name="as")
    times: Annotated[
        float | UnsetType,
        Meta(description="What a number is multiplied by.", examples=[0.01]),
    ] = UNSET
    drop: Annotated[bool, Meta(description="Leave the property out.")] = False


class MappingSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done to one event, or several, before anything else looks at them."""

    event: Annotated[
        EventName | tuple[Text, ...],
        Meta(description="The name it is sent under, or a list of names."),
    ]
    source: Annotated[
        Text | tuple[Text, ...],
        Meta(
            description="The way it must have come in; absent: any.",
            extra_json_schema={"examples": list(SOURCES)},
        ),
    ] = ()
    rename: EventName = ""
    drop: Annotated[
        bool, Meta(description="Leave the event out; what it says of consent stays.")
    ] = False
    properties: Annotated[
        dict[str, Text | PropertySpec],
        Meta(description="By name as it is sent: its new name, or more that becomes of it."),
    ] = {}
    set_traits: Annotated[
        dict[str, Text],
        Meta(description="By trait: the property, by its new name, whose value it gets."),
    ] = {}

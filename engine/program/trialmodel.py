"""Tests a workspace has of itself, as a team writes them: who, what happens, what is to follow.

The part of `model` for the key `tests`. They are no part of the program: what is decided, and its
version, are the same without them.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from engine.events import SUCCESS_END, SUCCESS_MIN
from engine.program.journeymodel import StepKey
from engine.program.texts import ChannelName, Duration, EventName, JourneyName, MessageName, Purpose
from engine.reasons import Reason

ConsentWord = Literal["granted", "denied", "withdrawn"]
ReceiptWord = Literal[
    "accepted",
    "delivered",
    "failed",
    "opened",
    "clicked",
    "replied",
    "unsubscribed",
    "complained",
    "machine_opened",
]
FailureWord = Literal[
    "address_dead",
    "not_there",
    "unreachable",
    "consent",
    "window",
    "content",
    "rate",
    "transient",
    "config",
]
OutcomeWord = Literal["send", "defer", "drop", "substitute"]
PersonName = Annotated[str, Meta(min_length=1, description="One of the test's customers.")]
Moment = Annotated[
    str,
    Meta(
        min_length=1,
        description=(
            "An instant, without an offset in the customer's time; `+2h` after the entry before; "
            "or the next `10:00`, `Mon 10:00` or `tomorrow 10:00` after it."
        ),
        examples=["2026-03-02T10:00", "+2h", "Mon 10:00"],
    ),
]


class PastSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happened before the test begins: it is counted, and begins nothing."""

    event: EventName
    ago: Annotated[Duration, Meta(description="How long before the test begins.")]
    properties: dict[str, Any] = {}


class PersonSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A customer as they are when a test begins."""

    traits: Annotated[dict[str, Any], Meta(description="What is known of them.")] = {}
    consents: Annotated[
        dict[str, ConsentWord | dict[str, ConsentWord]],
        Meta(description="By purpose what they said, or a map of channels to it."),
    ] = {}
    past: Annotated[tuple[PastSpec, ...], Meta(description="What they did before.")] = ()


class ReceiptSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What came back about the customer's latest send of a message."""

    message: MessageName
    status: ReceiptWord
    permanent: Annotated[bool, Meta(description="A failure for good.")] = False
    code: Annotated[str, Meta(min_length=1, description="The provider's code.")] = ""
    failure: Annotated[FailureWord | UnsetType, Meta(description="What the failure asks for.")] = (
        UNSET
    )


class StatementSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What the customer says about being contacted."""

    purpose: Purpose
    status: ConsentWord
    channel: Annotated[str, Meta(min_length=1, description="Absent: everywhere.")] = ""


class GivenSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that happens in a test: exactly one of event, identify, receipt and consent."""

    at: Annotated[Moment | UnsetType, Meta(description="When; absent: with the entry before.")] = (
        UNSET
    )
    customer: PersonName = ""
    event: EventName = ""
    properties: Annotated[dict[str, Any], Meta(description="Of the event.")] = {}
    context: Annotated[dict[str, Any], Meta(description="Of the event.")] = {}
    identify: Annotated[dict[str, Any] | UnsetType, Meta(description="Traits told.")] = UNSET
    receipt: ReceiptSpec | UnsetType = UNSET
    consent: StatementSpec | UnsetType = UNSET


class AnswerSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What a service answers in a test."""

    status: Annotated[
        int, Meta(ge=200, le=599, description="HTTP's; a success is 2xx. Absent: 200.")
    ] = 200
    body: Annotated[Any, Meta(description="The answer as JSON, which `into` keeps.")] = UNSET
    after: Annotated[
        Duration | UnsetType,
        Meta(description="How long it takes; from the step's timeout on nothing is answered."),
    ] = UNSET

    @property
    def is_good(self) -> bool:
        """Say whether the step goes on with `then`."""
        return SUCCESS_MIN <= self.status < SUCCESS_END


class ExpectSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A decision that is to follow. Only what is stated is compared."""

    at: Moment | UnsetType = UNSET
    customer: PersonName = ""
    message: MessageName = ""
    outcome: Annotated[
        OutcomeWord | UnsetType, Meta(description="Absent: it goes out, by `send` or `substitute`.")
    ] = UNSET
    reason: Annotated[
        str,
        Meta(
            min_length=1,
            description="Why it was decided so.",
            extra_json_schema={"enum": [reason.value for reason in Reason]},
        ),
    ] = ""
    channel: ChannelName = ""
    journey: JourneyName = ""
    step: Annotated[str, Meta(min_length=1, description="The id of a step.")] = ""
    next_eligible: Annotated[
        Moment | UnsetType, Meta(description="With `defer`: when it is decided again.")
    ] = UNSET
    contains: Annotated[
        str | tuple[str, ...], Meta(description="Texts that are in what is sent.")
    ] = ()


class TrialSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A test of the workspace: who, what happens, and what is to follow from it."""

    given: Annotated[tuple[GivenSpec, ...], Meta(description="What happens, in order.")] = ()
    customer: Annotated[PersonSpec | UnsetType, Meta(description="Whom it happens to.")] = UNSET
    customers: Annotated[
        dict[str, PersonSpec], Meta(description="Several customers, by name.")
    ] = {}
    from_: Annotated[
        Moment | UnsetType,
        Meta(description="When it begins, as an instant; absent: Monday, 2 March 2026, 10:00."),
    ] = field(default=UNSET, name="from")
    until: Annotated[
        Moment | UnsetType,
        Meta(description="How long time goes on; absent: 30 days after the last of `given`."),
    ] = UNSET
    answers: Annotated[
        dict[StepKey, Literal["timeout"] | AnswerSpec],
        Meta(
            description=(
                "What services answer, by the step that calls them: its id, or `journey/id`; "
                "`timeout`, like a step that is absent: nothing in time."
            ),
            examples=[{"price": {"status": 200, "body": {"premium": 900}}}],
        ),
    ] = {}
    arms: Annotated[
        dict[StepKey, str],
        Meta(
            description=(
                "The arm everybody goes into, by the `split` step: its id, or `journey/id`; "
                "absent: as customers are shared out."
            ),
            examples=[{"offer_or_not": "offer"}],
        ),
    ] = {}
    expect: Annotated[
        tuple[MessageName | ExpectSpec, ...] | UnsetType,
        Meta(
            description=(
                "The messages that go out, in order, with deferrals and drops among them as "
                "wanted; `[]`: nothing goes out."
            )
        ),
    ] = UNSET
    ends: Annotated[
        dict[str, str | dict[str, str]],
        Meta(description="By journey, why it was left last; with `customers` by customer first."),
    ] = {}
    stays_in: Annotated[
        tuple[JourneyName, ...] | dict[str, tuple[JourneyName, ...]],
        Meta(description="Journeys somebody is in when the test ends; or by customer."),
    ] = ()
    traits: Annotated[
        dict[str, Any],
        Meta(description="Traits as they are when the test ends; with `customers` by customer."),
    ] = {}

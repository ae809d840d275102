"""What a workspace says of personal data: what it is, and how long what is kept is kept.

`compile` reads the sections `pii` and `retention` into this; `adapters.masking` and the sweep of
old data (`adapters.retention`) ask it. Nothing here has a say in what is decided.
"""

from collections.abc import Callable
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.program.texts import Duration

# Traits that say who somebody is, whatever a workspace marks. Written without case and separators,
# so that `firstName` and `first_name` are one.
PII_TRAITS = frozenset({
    "email", "mail", "phone", "mobile", "msisdn", "tel", "telephone", "whatsapp", "whatsappid",
    "name", "firstname", "lastname", "middlename", "fullname", "surname", "givenname",
    "familyname", "nickname", "username", "address", "street", "address1", "address2",
    "streetaddress", "postcode", "postalcode", "zip", "zipcode", "birthday", "birthdate",
    "dateofbirth", "dob", "pushtoken", "token", "devicetoken", "advertisingid", "idfa", "gaid",
    "ip", "ipaddress", "nationalid", "passport", "ssn", "taxid", "iban", "accountnumber",
    "cardnumber", "latitude", "longitude",
})  # fmt: skip
# The same in properties of events, where `name` is mostly that of a thing.
PII_PROPERTIES = PII_TRAITS - {"name"} | {"billingaddress", "shippingaddress", "recipient"}


class PiiSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Which traits and properties say who somebody is, besides those that always do."""

    traits: Annotated[
        tuple[str, ...],
        Meta(description="Names of traits.", examples=[["loyalty_card"]]),
    ] = ()
    properties: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description="By event, names of properties."),
    ] = {}
    shown: Annotated[
        tuple[str, ...],
        Meta(description="Names of traits that are no secret here, though they always are else."),
    ] = ()


class RetentionSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How long what is no longer needed is kept, by kind; what is not named is kept for ever."""

    events: Annotated[
        Duration | UnsetType, Meta(description="Inputs, and what they led to, in the journal.")
    ] = UNSET
    decisions: Annotated[
        Duration | UnsetType, Meta(description="Decisions, as they can be searched.")
    ] = UNSET
    outbox: Annotated[
        Duration | UnsetType, Meta(description="Messages that left, with their content.")
    ] = UNSET
    quarantine: Annotated[
        Duration | UnsetType, Meta(description="Items that were not understood.")
    ] = UNSET
    inbox: Annotated[Duration | UnsetType, Meta(description="In-app messages, fetched or not.")] = (
        UNSET
    )


class Pii(Struct, frozen=True):
    """What is personal, by names without case and separators."""

    traits: frozenset[str] = PII_TRAITS
    properties: dict[str, frozenset[str]] = {}  # by event
    marked: frozenset[str] = frozenset()  # the traits this workspace adds


class Retention(Struct, frozen=True):
    """How long each kind is kept, in milliseconds; None: for ever."""

    events_ms: int | None = None
    decisions_ms: int | None = None
    outbox_ms: int | None = None
    quarantine_ms: int | None = None
    inbox_ms: int | None = None


def compile_pii(spec: PiiSpec) -> Pii:
    """Read what a workspace marks as personal."""
    marked = frozenset(map(same_name, spec.traits))
    shown = frozenset(map(same_name, spec.shown))
    return Pii(
        traits=(PII_TRAITS | marked) - shown,
        properties={
            event: frozenset(map(same_name, names)) for event, names in spec.properties.items()
        },
        marked=marked,
    )


def compile_retention(
    spec: RetentionSpec, read: Callable[[str | UnsetType, str], int | None]
) -> Retention:
    """Read how long each kind is kept; `read` reads the duration of a key."""
    return Retention(
        events_ms=read(spec.events, "events"),
        decisions_ms=read(spec.decisions, "decisions"),
        outbox_ms=read(spec.outbox, "outbox"),
        quarantine_ms=read(spec.quarantine, "quarantine"),
        inbox_ms=read(spec.inbox, "inbox"),
    )


def same_name(name: str) -> str:
    """Write a name without what people write differently: case, `_`, `-`, spaces."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")

"""What a workspace says of personal data: which traits and properties say who somebody is.

`compile` reads the section `pii` into this, `adapters.masking` asks it. Nothing here has a say in
what is decided.
"""

from typing import Annotated

from msgspec import Meta, Struct

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


class Pii(Struct, frozen=True):
    """What is personal, by names without case and separators."""

    traits: frozenset[str] = PII_TRAITS
    properties: dict[str, frozenset[str]] = {}  # by event
    marked: frozenset[str] = frozenset()  # the traits this workspace adds


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


def same_name(name: str) -> str:
    """Write a name without what people write differently: case, `_`, `-`, spaces."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")

"""The section `identity` of a workspace: which identities count, and which make two customers one.

The words are the workspace's; `engine.identities` has what they come to.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.identities import WORTHLESS_VALUES, IdentityRules, JoinRule, Namespace, Priority
from engine.program.faults import Faults, quote, suggest
from engine.program.places import Path

Reading = Literal["text", "name", "email", "phone"]
_SOME, _MANY = 5, 20
_OWN = ("user_id", "anonymous_id")  # they count without being named


class NamespaceSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of identity: where its values are, how they are compared, how many are too many."""

    traits: Annotated[
        tuple[str, ...],
        Meta(description="The traits that hold it, the first that is there counts."),
    ] = ()
    read: Annotated[
        Reading | UnsetType,
        Meta(description="How values are compared: as `text`, `name`, `email` or `phone`."),
    ] = UNSET
    priority: Annotated[
        Literal["person", "device", "browser"] | UnsetType,
        Meta(description="What a value stands for. Only of a person too many hold up a merge."),
    ] = UNSET
    limit: (
        Annotated[int, Meta(ge=1, le=100, description="How many one customer may have.")]
        | UnsetType
    ) = UNSET
    unique: Annotated[
        bool, Meta(description="A value belongs to whoever has it last, not to who had it first.")
    ] = False
    hash: Annotated[bool, Meta(description="Keep the SHA-256 of a value, never the value.")] = False


class JoinSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Customers who have the same here are one person."""

    same: Annotated[
        str | tuple[str, ...],
        Meta(description="A namespace, or several that must all be the same."),
    ]


class IdentitySpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How customers are told apart, and when two turn out to be one."""

    namespaces: Annotated[
        dict[str, NamespaceSpec],
        Meta(description="Identities beside user id and anonymous id, by name."),
    ] = {}
    rules: Annotated[
        tuple[JoinSpec, ...], Meta(description="What two customers who are one have in common.")
    ] = ()
    worthless: Annotated[
        tuple[str, ...],
        Meta(description="Values that say nothing, like `noemail@*`; `*` stands for anything."),
    ] = ()
    user_ids: Annotated[
        int,
        Meta(ge=1, le=100, description="How many user ids one customer may come to by rules."),
    ] = 1
    anonymous_ids: Annotated[
        int, Meta(ge=1, le=100, description="How many anonymous ids one customer keeps.")
    ] = 50
    merges: Annotated[
        int, Meta(ge=1, le=1_000, description="Of how many customers one may come to be by rules.")
    ] = 50


# What is known of namespaces that everybody has: traits, reading, priority, limit.
_KNOWN: dict[str, tuple[tuple[str, ...], Reading, Priority, int]] = {
    "email": (("email",), "email", Priority.PERSON, _SOME),
    "phone": (("phone",), "phone", Priority.PERSON, _SOME),
    "whatsapp_id": (("whatsapp_id", "wa_id"), "phone", Priority.PERSON, _SOME),
    "hashed_email": (("hashed_email",), "text", Priority.PERSON, _SOME),
    "loyalty_card": (("loyalty_card", "loyalty_id"), "text", Priority.PERSON, _SOME),
    "push_token": (("push_token",), "text", Priority.DEVICE, _MANY),
    "device_id": (("device_id",), "text", Priority.DEVICE, _MANY),
}


def check_identity(spec: IdentitySpec, faults: Faults) -> None:
    """Note what can't work in the section."""
    for name in spec.namespaces:
        if name in _OWN:
            path: Path = ("identity", "namespaces", name)
            faults.add(path, f"{name} always counts", "leave it out", at_key=True)
    for index, rule in enumerate(spec.rules):
        path = ("identity", "rules", index, "same")
        parts = _parts(rule)
        if not parts:
            faults.add(path, "this names nothing", "like `same: email`")
        for part in parts:
            if part in _OWN:
                message = f"{part} makes customers one without a rule"
                faults.add(path, message, "leave it out")
            elif part not in spec.namespaces and part not in _KNOWN and len(parts) == 1:
                hint = suggest(part, [*_KNOWN, *spec.namespaces]) or "write it in `namespaces:`"
                faults.add(path, f"unknown namespace {quote(part)}", hint)


def compile_identity(spec: IdentitySpec, country: str) -> IdentityRules:
    """Give the rules; `country` is where phone numbers without a calling code are."""
    rules = tuple(JoinRule("+".join(_parts(rule)), _parts(rule)) for rule in spec.rules)
    alone = {rule.parts[0] for rule in rules if len(rule.parts) == 1}
    named = dict.fromkeys([*spec.namespaces, *(part for rule in rules for part in rule.parts)])
    namespaces = {
        name: _compile_namespace(
            name, spec.namespaces, indexed=name in spec.namespaces or name in alone
        )
        for name in named
    }
    return IdentityRules(
        namespaces=namespaces,
        rules=rules,
        worthless=(*WORTHLESS_VALUES, *(one.lower() for one in spec.worthless)),
        user_ids_max=spec.user_ids,
        anonymous_ids_max=spec.anonymous_ids,
        merges_max=spec.merges,
        home=country,
        hashed=tuple(one for one in namespaces.values() if one.is_hashed),
    )


def _parts(rule: JoinSpec) -> tuple[str, ...]:
    return (rule.same,) if isinstance(rule.same, str) else rule.same


def _compile_namespace(
    name: str, specs: Mapping[str, NamespaceSpec], *, indexed: bool
) -> Namespace:
    spec = specs.get(name, NamespaceSpec())
    unknown: tuple[tuple[str, ...], Reading, Priority, int] = (
        (name,),
        "text" if indexed else "name",
        Priority.PERSON,
        _SOME,
    )
    traits, reading, priority, count_max = _KNOWN.get(name, unknown)
    return Namespace(
        name=name,
        traits=spec.traits or traits,
        reading=reading if spec.read is UNSET else spec.read,
        priority=priority if spec.priority is UNSET else Priority(spec.priority),
        count_max=count_max if spec.limit is UNSET else spec.limit,
        is_unique=spec.unique,
        is_hashed=spec.hash,
        is_indexed=indexed,
    )

"""Which identities a call carries, and what may be done about those that are another customer's.

Called by `actors.intake` for calls that carry any, and by replay. Pure: whose an identity is comes
from outside.

*Rules*
- A user id names a customer, an anonymous id one until it is linked. Other namespaces count only
  where the workspace names them.
- Values are compared as they are normalised: e-mail addresses in lower case, phone numbers as
  E.164, names without regard to case, anything else without spaces around it. What is worthless
  is no identity.
- An anonymous id goes to whoever was seen with it last, and what an anonymous visitor did goes
  with it. A device that changes hands takes nothing along.
- A namespace a rule names joins customers of whom at most one has a user id, unless the workspace
  allows a customer more than one. Any other value stays whose it was first, or, where the
  namespace is unique, goes to whoever has it last.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

import msgspec

from engine.events import Event, EventKind, Key
from engine.phones import e164
from engine.profile import Profile

_HASHED = re.compile("[0-9a-f]{64}")

ANONYMOUS = "anonymous_id"
ANONYMOUS_PREFIX = "anon:"
USER = "user_id"

# What programs write where they have no id. These are whole ids, in the ways they are spelt;
# `nil` and `nan` in small letters are names people have.
_NO_ID = ("null", "none", "undefined", "0", "(null)", "00000000-0000-0000-0000-000000000000")
_SPELLINGS = (str.lower, str.upper, str.capitalize)
WORTHLESS_IDS = frozenset(
    ("[object Object]", "NaN", *(spell(word) for word in _NO_ID for spell in _SPELLINGS))
)

# What programs, people and forms write into other identities, as patterns of small letters.
WORTHLESS_VALUES = (
    *_NO_ID,
    "[[]object object]",
    "noemail@*",
    "no-email@*",
    "none@*",
    "noreply@*",
    "no-reply@*",
    "test@test.*",
    "unknown",
    "n/a",
    "na",
    "-",
    "0000000000",
    "1111111111",
    "1234567890",
)


class Priority(StrEnum):
    """What an identity stands for; a value of a lower kind never holds up a merge."""

    PERSON = "person"
    DEVICE = "device"
    BROWSER = "browser"


class Namespace(msgspec.Struct, frozen=True):
    """One kind of identity, and how its values are read.

    `traits` are looked at in order, the first that says something counts; `count_max` is how many
    values one customer may have.
    """

    name: str
    traits: tuple[str, ...]
    reading: str  # text, name, email or phone
    priority: Priority
    count_max: int
    is_unique: bool = False  # a value belongs to whoever has it last
    is_hashed: bool = False  # kept as SHA-256 only
    is_indexed: bool = True  # else it is looked at only together with others, by a rule


class JoinRule(msgspec.Struct, frozen=True):
    """Customers who have the same in all of these namespaces are one person."""

    namespace: str  # the name under which such values are kept
    parts: tuple[str, ...]


class IdentityRules(msgspec.Struct, frozen=True):
    """What the workspace says about identities; nothing beyond the two ids where it is silent."""

    namespaces: Mapping[str, Namespace] = {}
    rules: tuple[JoinRule, ...] = ()
    worthless: tuple[str, ...] = ()
    user_ids_max: int = 1
    anonymous_ids_max: int = 50
    merges_max: int = 50  # by rules, of one customer: more are no person
    home: str = ""  # the country of phone numbers without a calling code
    hashed: tuple[Namespace, ...] = ()  # those of which only hashes are kept

    def joins(self, namespace: str) -> bool:
        """Say whether a value in common makes two customers one."""
        return any(rule.namespace == namespace for rule in self.rules)


NO_RULES = IdentityRules()


def keys_of(event: Event, rules: IdentityRules) -> tuple[Key, ...]:
    """Give the identities a call carries beside the user id; the anonymous id comes first."""
    keys: list[Key] = []
    anonymous = _anonymous(event)
    if anonymous is not None:
        keys.append((ANONYMOUS, anonymous))
        if event.kind is EventKind.ALIAS and event.user is not None:
            keys.append((USER, anonymous))  # it may have been a user id before
    if rules.namespaces and event.traits and event.kind is not EventKind.GROUP:
        keys += _stated(event.traits, rules)
    return tuple(keys)


def _anonymous(event: Event) -> str | None:
    """Tell which anonymous id is said to be this customer's."""
    anonymous = event.anonymous
    if event.kind is EventKind.ALIAS and event.user is not None:
        previous = event.properties.get("previousId")
        anonymous = previous if isinstance(previous, str) else anonymous
    return None if not anonymous or anonymous == event.user else anonymous


def _stated(traits: Mapping[str, Any], rules: IdentityRules) -> list[Key]:
    told: dict[str, str] = {}
    for namespace in rules.namespaces.values():
        value = read_value(namespace, traits, rules)
        if value:
            told[namespace.name] = value
    keys: list[Key] = [
        (name, value) for name, value in told.items() if rules.namespaces[name].is_indexed
    ]
    for rule in rules.rules:
        if len(rule.parts) > 1 and all(part in told for part in rule.parts):
            joined = "\x1f".join(told[part] for part in rule.parts)
            keys.append((rule.namespace, sha256(joined.encode()).hexdigest()))
    return keys


def read_value(namespace: Namespace, traits: Mapping[str, Any], rules: IdentityRules) -> str:
    """Read an identity from traits, as it is compared; "" where there is none of any worth."""
    for trait in namespace.traits:
        stated = traits.get(trait)
        if isinstance(stated, bool) or not isinstance(stated, (str, int)):
            continue
        value = normalise_value(namespace, str(stated), rules.home)
        if value and not _is_worthless(value, rules.worthless):
            return _hash(value) if namespace.is_hashed else value
    return ""


def normalise_value(namespace: Namespace, stated: str, home: str) -> str:
    """Bring a value into the form in which it is compared; "" where it is none."""
    text = stated.strip()
    if namespace.reading == "email":
        return text.lower() if text.count("@") == 1 and not text.startswith("@") else ""
    if namespace.reading == "phone":
        return e164(text, home)
    return " ".join(text.casefold().split()) if namespace.reading == "name" else text


def conceal(event: Event, rules: IdentityRules) -> Event:
    """Put the hash in place of every trait of which the workspace keeps nothing else."""
    traits = event.traits
    if not traits:
        return event
    hidden: dict[str, str] = {}
    for namespace in rules.hashed:
        for trait in namespace.traits:
            stated = traits.get(trait)
            if isinstance(stated, (str, int)) and not isinstance(stated, bool):
                hidden[trait] = _hash(normalise_value(namespace, str(stated), rules.home))
    return msgspec.structs.replace(event, traits={**traits, **hidden}) if hidden else event


def _hash(value: str) -> str:
    """Hash a value, unless it is a hash already."""
    return value if _HASHED.fullmatch(value) else sha256(value.encode()).hexdigest()


def _is_worthless(value: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(value.lower(), pattern) for pattern in patterns)


class Step(msgspec.Struct, frozen=True):
    """What is to be done about an identity that is another's: see `judge`."""

    key: Key
    winner: str  # whose it is from here on
    other: str  # whose it was
    merges: bool  # the other one is the same person


def judge(customer: str, key: Key, owner: str, rules: IdentityRules) -> Step | None:
    """Say what follows where a customer is seen with an identity of another one; None: nothing."""
    namespace = key[0]
    if namespace == USER:
        return Step(key, customer, owner, merges=True)
    if namespace == ANONYMOUS:
        return Step(key, customer, owner, merges=is_anonymous(owner))
    if rules.joins(namespace):
        if is_anonymous(owner) and not is_anonymous(customer):
            return Step(key, customer, owner, merges=True)
        return Step(key, owner, customer, merges=True)
    known = rules.namespaces.get(namespace)
    if known is not None and known.is_unique:
        return Step(key, customer, owner, merges=False)
    return None


def is_anonymous(customer: str) -> bool:
    """Say whether a customer is known by an anonymous id only."""
    return customer.startswith(ANONYMOUS_PREFIX)


def name_key(customer: str) -> Key:
    """Give the identity that a customer's own name stands for."""
    if is_anonymous(customer):
        return ANONYMOUS, customer.removeprefix(ANONYMOUS_PREFIX)
    return USER, customer


def identities_of(profile: Profile) -> tuple[Key, ...]:
    """Name all identities of a customer, its own name first, unless that is another's by now."""
    told = ((name, value) for name, values in profile.identities.items() for value in values)
    own = [] if profile.is_nameless else [name_key(profile.customer)]
    return tuple(dict.fromkeys([*own, *told]))


def why_not(winner: Profile, other: Profile, key: Key, rules: IdentityRules) -> str:
    """Say why two customers are not made one though an identity speaks for it, or ""."""
    if other.customer in winner.apart or winner.customer in other.apart:
        return "they were parted by hand"
    if key[0] in (ANONYMOUS, USER):
        return ""  # it was said outright
    persons = _persons(winner) + _persons(other)
    if persons > rules.user_ids_max:
        return f"one customer would have {persons} user ids, {rules.user_ids_max} are allowed"
    if len(winner.absorbed) + len(other.absorbed) >= rules.merges_max:
        return f"one customer would be made of more than {rules.merges_max}: no person is"
    for name, namespace in rules.namespaces.items():
        values = {**winner.identities.get(name, {}), **other.identities.get(name, {})}
        if namespace.priority is Priority.PERSON and len(values) > namespace.count_max:
            return f"one customer would have {len(values)} of {name}, {namespace.count_max} at most"
    return ""


def excess_keys(profile: Profile, rules: IdentityRules) -> tuple[Key, ...]:
    """Name the identities a customer has too many of: those it had first."""
    keys: list[Key] = []
    for name, values in profile.identities.items():
        known = rules.namespaces.get(name)
        if name == ANONYMOUS:
            count_max = rules.anonymous_ids_max
        elif known is None:
            continue
        else:
            count_max = known.count_max
        if len(values) > count_max:
            oldest = sorted(values, key=lambda value: (values[value], value))
            keys += [(name, value) for value in oldest[: len(values) - count_max]]
    return tuple(keys)


def _persons(profile: Profile) -> int:
    """Count the user ids a customer goes by."""
    names = (profile.customer, *profile.absorbed)
    return sum(not is_anonymous(name) for name in names)

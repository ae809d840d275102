"""Whether what a workspace says about consent can work, and its compiled form.

`check` and `compile` call this for the sections `double_opt_in`, `preference_centre` and
`registries`.
"""

import re
from collections.abc import Iterable

from msgspec import UNSET

from engine.program.centretexts import CENTRE_TEXTS, NAMED
from engine.program.faults import Faults, quote, suggest
from engine.program.leaves import Leaves
from engine.program.model import DEFAULT_CONTENT, MessageSpec, WorkspaceSpec
from engine.program.names import Names
from engine.program.policycheck import check_country, check_purpose, check_purposes
from engine.program.program import DoubleOptIn, PreferenceCentre, Registry
from engine.program.templates import CONFIRM_NAME

_SERVICE = "service"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")


def check_double_opt_in(spec: WorkspaceSpec, names: Names, faults: Faults) -> None:
    """Note what keeps the message that asks from ever asking."""
    rule, path = spec.double_opt_in, ("double_opt_in",)
    if rule is UNSET:
        return
    names.check_all("channels", rule.channels, (*path, "channels"))
    for index, purpose in enumerate(rule.purposes):
        where = (*path, "purposes", index)
        check_purpose(purpose, where, spec, faults)
        if purpose == _SERVICE:
            hint = "leave it out, or give these messages another purpose"
            faults.add(where, "service messages need no consent to confirm", hint)
    if not names.check("messages", rule.message, (*path, "message")):
        return
    message = spec.messages.get(rule.message)
    kind = spec.message_types.get(message.type) if message is not None else None
    if message is None or kind is None:
        return  # refused for its shape, or without a type: that is reported where it is written
    if kind.purpose != _SERVICE:
        fault = f"{rule.message!r} asks for consent, so it can't need one itself"
        faults.add((*path, "message"), fault, "give it a type whose purpose is service")
    for index, channel in enumerate(rule.channels):
        _check_content(rule.message, message, channel, (*path, "channels", index), faults)


def _check_content(
    name: str, message: MessageSpec, channel: str, path: tuple[str | int, ...], faults: Faults
) -> None:
    """Note a channel on which the message has no text, or none with the link in it."""
    if channel not in message.content and DEFAULT_CONTENT not in message.content:
        hint = f"write messages.{name}.content.{channel}"
        faults.add(path, f"{name!r} has no content for this channel", hint)
    for locale, written in {"": message.content, **message.locales}.items():
        content = written.get(channel) or written.get(DEFAULT_CONTENT) or {}
        if content and all(
            isinstance(text, str) and CONFIRM_NAME not in text for text in content.values()
        ):
            hint = "write {{ " + CONFIRM_NAME + " }} where it belongs"
            where = f"on this channel in {locale}" if locale else "on this channel"
            faults.add(path, f"{name!r} has no link to confirm with {where}", hint)


def compile_double_opt_in(spec: WorkspaceSpec, leaves: Leaves) -> DoubleOptIn | None:
    """Compile the rule, None where there is none."""
    rule = spec.double_opt_in
    if rule is UNSET:
        return None
    return DoubleOptIn(
        purposes=rule.purposes,
        channels=rule.channels,
        message=rule.message,
        expires_ms=leaves.duration(rule.expires, ("double_opt_in", "expires")),
        gap_ms=leaves.duration(rule.gap, ("double_opt_in", "gap")),
    )


def check_centre(spec: WorkspaceSpec, names: Names, faults: Faults) -> None:
    """Note what the preference centre names and there is not, and words nothing says."""
    centre, path = spec.preference_centre, ("preference_centre",)
    check_purposes(centre.purposes, path, spec, faults)
    names.check_all("message_types", centre.types, (*path, "types"))
    for language, texts in centre.texts.items():
        where = (*path, "texts", language)
        if not _LANGUAGE.fullmatch(language):
            hint = "write it like en, fr or pt-BR"
            faults.add(where, f"{quote(language)} is not a language", hint, at_key=True)
        for key in texts:
            _check_text_key(key, spec, (*where, key), faults)


def _check_text_key(
    key: str, spec: WorkspaceSpec, path: tuple[str | int, ...], faults: Faults
) -> None:
    group, dot, _ = key.partition(".")
    known = list(CENTRE_TEXTS)
    if f"{group}{dot}" in NAMED:
        purposes = dict.fromkeys(kind.purpose for kind in spec.message_types.values())
        of_group: dict[str, Iterable[str]] = {
            "purpose": purposes,
            "type": spec.message_types,
            "channel": spec.channels,
        }
        known = [f"{group}.{name}" for name in of_group[group]]
    if key not in known and not faults.touches(("message_types",)):
        hint = suggest(key, known, "texts")
        faults.add(path, f"the page has no text {quote(key)}", hint, at_key=True)


def compile_centre(spec: WorkspaceSpec) -> PreferenceCentre:
    """Compile what the preference centre shows."""
    centre = spec.preference_centre
    every = dict.fromkeys(kind.purpose for kind in spec.message_types.values())
    purposes = centre.purposes or tuple(name for name in every if name != _SERVICE)
    return PreferenceCentre(purposes, centre.types, centre.texts)


def check_registries(spec: WorkspaceSpec, names: Names, faults: Faults) -> None:
    """Note registries about channels that have no addresses, or that there are not."""
    for name, registry in spec.registries.items():
        path = ("registries", name)
        check_purposes(registry.purposes, path, spec, faults)
        names.check_all("channels", registry.channels, (*path, "channels"))
        for index, country in enumerate(registry.countries):
            check_country(country, (*path, "countries", index), faults)
        for index, one in enumerate(registry.channels):
            channel = spec.channels.get(one)
            if channel is not None and not channel.identity:
                where = (*path, "channels", index)
                hint = "name channels with an `identity`, like a phone or an e-mail address"
                faults.add(where, f"{one!r} has no addresses to look up", hint)


def compile_registries(spec: WorkspaceSpec, leaves: Leaves) -> tuple[Registry, ...]:
    """Compile the registries, with the traits whose addresses each is asked about."""
    return tuple(
        Registry(
            name=name,
            file=registry.file,
            purposes=registry.purposes,
            channels=registry.channels,
            identities=_identities(spec, registry.channels),
            countries=registry.countries,
            age_ms_max=leaves.duration(registry.max_age, ("registries", name, "max_age")),
            key_variable="" if registry.key is UNSET else registry.key.env,
        )
        for name, registry in spec.registries.items()
    )


def _identities(spec: WorkspaceSpec, channels: Iterable[str]) -> tuple[str, ...]:
    named = [spec.channels[name].identity for name in channels if name in spec.channels]
    return tuple(dict.fromkeys(identity for identity in named if identity))

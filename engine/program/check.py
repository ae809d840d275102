"""Whether the parts of a workspace fit together: names that exist, rules that can work.

Called by `compile` between shape and compilation. A name counts as existing when it is written,
even where what it names was refused for its shape: one mistake is reported once.
"""

import re
from collections.abc import Iterable, Mapping

from msgspec import UNSET

from engine.localtime import zone
from engine.program.catalogue import check_catalogue
from engine.program.consentcheck import check_centre, check_double_opt_in, check_registries
from engine.program.contentcheck import check_contents, check_fields, walk_contents
from engine.program.entrycheck import check_entries
from engine.program.faults import Faults, quote, suggest
from engine.program.flow import check_flow
from engine.program.identitymodel import check_identity
from engine.program.journeymodel import StepSpec
from engine.program.model import (
    ADAPTERS,
    DEFAULT_CONTENT,
    BackupSpec,
    ChannelSpec,
    MessageSpec,
    MessageTypeSpec,
    WorkspaceSpec,
)
from engine.program.names import Names
from engine.program.nesting import walk_journeys
from engine.program.places import Path
from engine.program.plain import dict_or_none
from engine.program.policycheck import check_country, check_policies, check_purpose
from engine.program.steps import VARIABLE
from engine.program.trials import check_trials
from engine.program.wordcheck import check_words

_COUNTRY_DEFAULT = "default"
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"password|passwd|secret|token|api_?key|credential", re.IGNORECASE)


def check_workspace(spec: WorkspaceSpec, raw: Mapping[str, object], faults: Faults) -> None:
    """Note everything in a workspace that does not fit together."""
    names = Names(raw, faults)
    _check_defaults(spec, faults)
    _check_consent(spec, faults)
    check_identity(spec.identity, faults)
    for name, channel in spec.channels.items():
        _check_channel(name, channel, names, faults)
    _check_substitutes(spec.channels, faults)
    for name, kind in spec.message_types.items():
        names.check_all("channels", kind.channels, ("message_types", name, "channels"))
        _check_capabilities(name, spec, faults)
        _check_fallbacks(name, kind, names, faults)
    check_policies(spec, names, faults)
    check_words(spec, faults)
    check_catalogue(spec.catalogue, faults)
    for name, message in spec.messages.items():
        _check_message(name, message, spec, names, faults)
        _check_assigned(message.enrich, ("messages", name, "enrich"), spec, faults)
        _check_enriched(message.enrich, ("messages", name, "enrich"), faults)
    for placed in walk_journeys(spec.journeys):
        _check_references(placed.step, placed.path, spec, names, faults)
        _check_assigned(placed.step.set, (*placed.path, "set"), spec, faults)
    check_contents(spec, faults)
    check_double_opt_in(spec, names, faults)
    check_centre(spec, names, faults)
    check_registries(spec, names, faults)
    check_entries(spec.journeys, names, faults)
    check_flow(spec.journeys, faults)
    check_trials(spec, names, faults)


def _check_defaults(spec: WorkspaceSpec, faults: Faults) -> None:
    defaults, path = spec.defaults, ("defaults",)
    if zone(defaults.timezone) is None:
        hint = "write a name of the IANA list, like Africa/Johannesburg or UTC"
        faults.add((*path, "timezone"), f"unknown time zone {quote(defaults.timezone)}", hint)
    if defaults.country:
        check_country(defaults.country, (*path, "country"), faults)


def _check_consent(spec: WorkspaceSpec, faults: Faults) -> None:
    for purpose, modes in spec.consent.items():
        path: Path = ("consent", purpose)
        check_purpose(purpose, path, spec, faults, at_key=True)
        if purpose == "service":
            message = "service messages never need a grant"
            faults.add(path, message, "leave it out, or give these messages another purpose")
        for country in modes if not isinstance(modes, str) else ():
            if country != _COUNTRY_DEFAULT:
                check_country(country, (*path, country), faults, at_key=True)


def _check_channel(name: str, channel: ChannelSpec, names: Names, faults: Faults) -> None:
    path: Path = ("channels", name)
    if name == DEFAULT_CONTENT:
        message = f"no channel can be named {name!r}: it is the content for all others"
        faults.add(path, message, "choose another name", at_key=True)
    _check_adapter(channel, path, faults)
    if channel.backup is not UNSET:
        _check_adapter(channel.backup, (*path, "backup"), faults)
    if channel.budget is not UNSET and not channel.cost and not faults.touches(path):
        message = "without `cost` nothing is ever spent of it"
        faults.add((*path, "budget"), message, "write what a message costs, or leave it out")
    if channel.adapter == "smtp" and not channel.identity and not faults.touches(path):
        hint = "write `identity: email`, the trait that holds the address"
        faults.add((*path, "identity"), "smtp needs an address to send to", hint)
    if channel.substitute == name:
        faults.add((*path, "substitute"), "a channel can't replace itself", "name another channel")
    elif channel.substitute:
        names.check("channels", channel.substitute, (*path, "substitute"))
    if channel.reply_event and channel.reply_window is UNSET and not faults.touches(path):
        message = "without `reply_window` this changes nothing"
        faults.add((*path, "reply_event"), message, "write reply_window: 24h, or leave it out")


def _check_adapter(spec: ChannelSpec | BackupSpec, path: Path, faults: Faults) -> None:
    if spec.adapter not in ADAPTERS:
        hint = suggest(spec.adapter, ADAPTERS, "adapters")
        faults.add((*path, "adapter"), f"unknown adapter {quote(spec.adapter)}", hint)
    for key, value in spec.settings.items():
        _check_setting(key, value, (*path, "settings", key), faults)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _check_setting(key: str, value: object, path: Path, faults: Faults) -> None:
    nested = dict_or_none(value)
    if nested is not None and "env" in nested:
        _check_env(nested, path, faults)
    elif nested is not None:
        for inner, item in nested.items():
            _check_setting(inner, item, (*path, inner), faults)
    elif isinstance(value, str) and _SECRET.search(key):
        hint = f"write {{env: {key.upper()}}} and set that in the environment"
        faults.add(path, "a secret does not belong in a file", hint)


def _check_env(value: Mapping[str, object], path: Path, faults: Faults) -> None:
    name = value["env"]
    is_name = isinstance(name, str) and _ENV_NAME.fullmatch(name) is not None
    if len(value) > 1 or not is_name:
        message = "a reference to the environment is {env: NAME} and nothing else"
        faults.add((*path, "env"), message, "like {env: SMTP_PASSWORD}")


def _check_substitutes(channels: Mapping[str, ChannelSpec], faults: Faults) -> None:
    reported: dict[str, None] = {}
    for start in channels:
        trail: list[str] = []
        name = start
        while name in channels and name not in trail:
            trail.append(name)
            name = channels[name].substitute
        circle = trail[trail.index(name) :] if name in trail else []
        if len(circle) > 1 and not any(one in reported for one in circle):
            reported.update(dict.fromkeys(circle))
            message = f"substitutes go in a circle: {' → '.join([*circle, circle[0]])}"
            path = ("channels", circle[-1], "substitute")
            faults.add(path, message, "leave one of them without a substitute")


def _check_capabilities(name: str, spec: WorkspaceSpec, faults: Faults) -> None:
    kind = spec.message_types[name]
    channels = [spec.channels[one] for one in kind.channels if one in spec.channels]
    supported = dict.fromkeys(one for channel in channels for one in channel.supports)
    for index, capability in enumerate(kind.requires):
        if len(channels) == len(kind.channels) and capability not in supported:
            path = ("message_types", name, "requires", index)
            hint = suggest(capability, supported) or "write it in a channel's `supports:`"
            faults.add(path, f"none of its channels supports {quote(capability)}", hint)


def _check_fallbacks(name: str, kind: MessageTypeSpec, names: Names, faults: Faults) -> None:
    path: Path = ("message_types", name)
    if kind.follow_up:
        names.check("channels", kind.follow_up, (*path, "follow_up"))
    if kind.fallback is not UNSET and len(kind.channels) == 1:
        message = "there is no other channel that could follow"
        hint = "name a second channel in `channels`, or use `follow_up`"
        faults.add((*path, "fallback"), message, hint, at_key=True)
    if kind.urgent and kind.choose != "best":
        message = "without `choose: best` this changes nothing"
        faults.add((*path, "urgent"), message, "write choose: best, or leave it out", at_key=True)


def _check_message(
    name: str, message: MessageSpec, spec: WorkspaceSpec, names: Names, faults: Faults
) -> None:
    path: Path = ("messages", name)
    names.check("message_types", message.type, (*path, "type"))
    for where, channel, fields in walk_contents(message):
        if channel != DEFAULT_CONTENT:
            names.check("channels", channel, (*path, *where), at_key=True)
        check_fields(fields, (*path, *where), faults)
    kind = spec.message_types.get(message.type)
    if kind is None or DEFAULT_CONTENT in message.content:
        return
    if faults.touches((*path, "content")) or faults.touches(("message_types", message.type)):
        return
    if kind.follow_up and kind.follow_up not in message.content:
        problem = f"there is no content for {quote(kind.follow_up)}, which follows up on its type"
        faults.add((*path, "content"), problem, f"add {kind.follow_up!r} or 'default' to it")
    if not any(channel in message.content for channel in kind.channels):
        problem = f"there is no content for any channel of its type: {_list(kind.channels)}"
        faults.add((*path, "content"), problem, f"add {kind.channels[0]!r} or 'default' to it")


def _check_assigned(values: Iterable[str], path: Path, spec: WorkspaceSpec, faults: Faults) -> None:
    """Refuse to write a trait that events keep up to date."""
    for trait in values:
        if trait in spec.traits:
            message = f"{quote(trait)} is a live trait, which events keep up to date"
            faults.add((*path, trait), message, "choose another name for one of them", at_key=True)


def _check_enriched(values: Iterable[str], path: Path, faults: Faults) -> None:
    for name in values:
        if name.startswith(VARIABLE):
            message = f"{quote(name)} is a variable of a journey, and this writes the profile"
            faults.add((*path, name), message, "use the name of a trait", at_key=True)


def _check_references(
    step: StepSpec, path: Path, spec: WorkspaceSpec, names: Names, faults: Faults
) -> None:
    if step.send:
        names.check("messages", step.send, (*path, "send"))
    names.check_all("messages", step.decide, (*path, "decide"))
    if step.start:
        names.check("journeys", step.start, (*path, "start"))
    if step.wait_for is not UNSET and step.wait_for.segment:
        names.check("segments", step.wait_for.segment, (*path, "wait_for", "segment"))
    if not step.channel or not names.check("channels", step.channel, (*path, "channel")):
        return
    for name in (step.send, *step.decide):
        message = spec.messages.get(name)
        if message is not None and not faults.touches(("messages", name, "content")):
            _check_pinned(name, message, step.channel, path, faults)


def _check_pinned(
    name: str, message: MessageSpec, channel: str, path: Path, faults: Faults
) -> None:
    if DEFAULT_CONTENT not in message.content and channel not in message.content:
        problem = f"message {quote(name)} has no content for {quote(channel)}"
        hint = suggest(channel, message.content, "it has content for")
        faults.add((*path, "channel"), problem, hint)

"""The sections of a workspace, each compiled to its frozen table.

Called by `compile` with a spec whose parts fit together; texts are read by `Leaves`, which notes
the ones that can't be.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TypeVar

import msgspec
from msgspec import UNSET

from engine.effects import BODY_FORMAT, HTML
from engine.program.contentmodel import ContentSpec, TrackingSpec
from engine.program.countries import COUNTRIES
from engine.program.entry import compile_admission, compile_exits, compile_trigger
from engine.program.journey import Goal, Journey
from engine.program.journeymodel import JourneySpec
from engine.program.leaves import Leaves
from engine.program.medium import find_medium
from engine.program.model import ChannelSpec, MessageSpec, MessageTypeSpec
from engine.program.places import Path, format_path
from engine.program.plain import dict_or_none
from engine.program.policymodel import PoliciesSpec
from engine.program.program import (
    SESSION,
    UNTRACKED,
    Backup,
    Cap,
    Channel,
    Fallback,
    Message,
    MessageType,
    Template,
    Tracking,
)
from engine.program.sizes import compile_limits
from engine.program.steps import compile_steps, compile_values
from engine.traits.derived import read_locale

_EVERYWHERE = "*"
_COUNTRY_DEFAULT = "default"
_SERVICE = "service"
_PRIORITY, _PRIORITY_SERVICE = 50, 100
# Names rather than anything in angle brackets: `<hello@shop.example>` in a text is no tag.
_HTML_TAG = re.compile(
    r"<!--|<(?:!doctype|/?(?:html|head|title|meta|link|style|body|header|footer|main|section|article"
    r"|div|span|p|a|br|hr|img|picture|figure|table|thead|tbody|tr|td|th|h[1-6]|ul|ol|li|dl|dt|dd"
    r"|b|i|u|s|em|strong|small|sup|sub|font|center|pre|code|blockquote|button))(?:[\s/][^<>]*)?>",
    re.IGNORECASE,
)
_VERSION_DIGITS = 16
_MIGRATE = "migrate"  # is about older versions: it makes none of its own

_OF_JOURNEY = ("event", "entry", "journey")  # names of templates

_Item = TypeVar("_Item")


def compile_consent(
    consent: Mapping[str, str | Mapping[str, str]],
) -> dict[str, tuple[str, ...]]:
    """List, by purpose, the countries that need no grant.

    "Everywhere but in some" becomes the list of all the others, so that a customer whose country
    is unknown is asked, as the strictest reading demands.
    """
    opt_out: dict[str, tuple[str, ...]] = {}
    for purpose, written in consent.items():
        modes = {_COUNTRY_DEFAULT: written} if isinstance(written, str) else written
        default = modes.get(_COUNTRY_DEFAULT, "opt_in")
        if all(mode == default for mode in modes.values()):
            countries: tuple[str, ...] = (_EVERYWHERE,) if default == "opt_out" else ()
        else:
            countries = tuple(one for one in COUNTRIES if modes.get(one, default) == "opt_out")
        if countries:
            opt_out[purpose] = countries
    return opt_out


def compile_channel(name: str, spec: ChannelSpec, leaves: Leaves) -> Channel:
    """Compile a channel."""
    path: Path = ("channels", name)
    is_session = spec.window == SESSION
    has_hours = spec.window is not UNSET and not is_session
    return Channel(
        name=name,
        adapter=spec.adapter,
        identity=spec.identity,
        window=leaves.window(spec.window, (*path, "window")) if has_hours else None,
        session_only=is_session,
        caps=_compile_caps(spec.caps, (*path, "caps"), leaves),
        substitute=spec.substitute,
        supports=spec.supports,
        cost=spec.cost,
        settings=spec.settings,
        reply_ms=leaves.duration_or_none(spec.reply_window, (*path, "reply_window")),
        reply_event=spec.reply_event,
        limits=compile_limits(find_medium(name, spec), spec.limits),
        tracking=_compile_tracking(spec.tracking),
        unreachable_ms=leaves.duration(spec.unreachable, (*path, "unreachable")),
        engagement=spec.engagement,
        latency_ms=leaves.duration_or_none(spec.latency, (*path, "latency")),
        backup=None if spec.backup is UNSET else Backup(spec.backup.adapter, spec.backup.settings),
        budget=None if spec.budget is UNSET else spec.budget,
    )


def _compile_tracking(spec: TrackingSpec) -> Tracking:
    written = msgspec.structs.asdict(spec)
    said = {name: value for name, value in written.items() if value is not UNSET}
    return Tracking(**said) if said else UNTRACKED


def _compile_caps(texts: Sequence[str], path: Path, leaves: Leaves) -> tuple[Cap, ...]:
    caps = [leaves.cap(text, (*path, index)) for index, text in enumerate(texts)]
    return tuple(cap for cap in caps if cap is not None)


def compile_type(
    name: str, spec: MessageTypeSpec, policies: PoliciesSpec, leaves: Leaves
) -> MessageType:
    """Compile a message type; what it leaves open is the workspace's or its purpose's default."""
    delivery = spec.delivery
    if delivery is UNSET:
        delivery = "at_least_once" if spec.purpose == _SERVICE else "at_most_once"
    path: Path = ("message_types", name)
    hours = None if spec.window is UNSET else leaves.window(spec.window, (*path, "window"))
    return MessageType(
        name=name,
        purpose=spec.purpose,
        channels=spec.channels,
        requires=spec.requires,
        ignores=frozenset(spec.ignores),
        counts=spec.counts,
        expires_ms=leaves.duration_or_none(spec.expires, (*path, "expires")),
        at_least_once=delivery == "at_least_once",
        on_block=spec.on_block or policies.on_block,
        window=hours,
        caps=_compile_caps(spec.caps, (*path, "caps"), leaves),
        release=policies.release.policy if spec.release is UNSET else spec.release,
        tracking=_compile_tracking(spec.tracking),
        fallbacks=_compile_fallbacks(spec, (*path, "fallback"), leaves),
        follow_up=spec.follow_up,
        max_cost=None if spec.max_cost is UNSET else spec.max_cost,
        chooses_best=spec.choose == "best",
        is_urgent=spec.urgent,
    )


def _compile_fallbacks(spec: MessageTypeSpec, path: Path, leaves: Leaves) -> tuple[Fallback, ...]:
    """Compile when the next channel follows; one rule may stand without a list around it."""
    if spec.fallback is UNSET:
        return ()
    is_list = isinstance(spec.fallback, tuple)
    rules = spec.fallback if isinstance(spec.fallback, tuple) else (spec.fallback,)
    places = [(*path, index) if is_list else path for index in range(len(rules))]
    return tuple(
        Fallback(
            unless=rule.unless,
            within_ms=leaves.duration(rule.within, (*place, "within")),
            condition=leaves.condition_or_none(rule.if_, (*place, "if")),
            rule=format_path(place),
        )
        for rule, place in zip(rules, places, strict=True)
    )


def compile_message(
    name: str,
    spec: MessageSpec,
    kinds: Mapping[str, MessageTypeSpec],
    types: Mapping[str, MessageType],
    leaves: Leaves,
) -> Message | None:
    """Compile a message; None where its type is unknown, which `check` has noted."""
    path: Path = ("messages", name)
    content = _compile_content(spec.content, (*path, "content"), leaves)
    locales = {
        read_locale(locale): _compile_content(written, (*path, "locales", locale), leaves)
        for locale, written in spec.locales.items()
    }
    enrich = compile_values(spec.enrich, (*path, "enrich"), leaves)
    kind = types.get(spec.type)
    if kind is None:
        return None
    priority = _priority(spec, kinds[spec.type])
    tells_event = any(map(_tells_event, (content, *locales.values())))
    return Message(name, kind, content, spec.value, priority, enrich, tells_event, locales)


def _compile_content(
    spec: ContentSpec, path: Path, leaves: Leaves
) -> dict[str, dict[str, Template]]:
    return {
        channel: {
            field: leaves.template(text, (*path, channel, written), html=_is_html(field, text))
            for written, given in _mark_html(fields).items()
            if isinstance(given, str)
            for field, text in [leaves.markup(written, given, (*path, channel, written))]
        }
        for channel, fields in spec.items()
    }


def _tells_event(content: Mapping[str, Mapping[str, Template]]) -> bool:
    """Say whether some text shows what a journey began with: such a word in it is enough."""
    templates = [one for fields in content.values() for one in fields.values()]
    # What is local may ask for the currency, which is the event's.
    return any(one.is_local or any(map(one.source.__contains__, _OF_JOURNEY)) for one in templates)


def _priority(spec: MessageSpec, kind: MessageTypeSpec) -> int:
    if spec.priority is not UNSET:
        return spec.priority
    if kind.priority is not UNSET:
        return kind.priority
    return _PRIORITY_SERVICE if kind.purpose == _SERVICE else _PRIORITY


def _is_html(field: str, text: str) -> bool:
    """Say whether values in this text must be escaped: in `html`, and in a body with tags in it."""
    return field == "html" or (field == "body" and _HTML_TAG.search(text) is not None)


def _mark_html(fields: Mapping[str, object]) -> Mapping[str, object]:
    """Add the mark of a body that is HTML, for channels that carry both.

    What was rendered can't tell: a customer's name may hold a `<b>`.
    """
    body = fields.get("body")
    is_html = isinstance(body, str) and _is_html("body", body)
    return {**fields, BODY_FORMAT: HTML} if is_html else fields


def compile_journey(
    name: str, spec: JourneySpec, text: object, timezone: str, leaves: Leaves
) -> Journey:
    """Compile a journey; `text` is what its version is the hash of, `timezone` the workspace's."""
    path: Path = ("journeys", name)
    code = tuple(compile_steps(spec.steps, (*path, "steps"), leaves))
    return Journey(
        name=name,
        version=_hash_journey(name, text),
        trigger=compile_trigger(name, spec, timezone, leaves),
        admission=compile_admission(spec, path, leaves),
        goal=_compile_goal(spec, path, leaves),
        code=code,
        exits=compile_exits(spec.exit_on, (*path, "exit_on"), leaves),
        migrate=spec.migrate,
        offers={one.step: one.offered for one in code if one.offered},
    )


def _compile_goal(spec: JourneySpec, path: Path, leaves: Leaves) -> Goal | None:
    goal = spec.goal
    if goal is UNSET:
        return None
    path = (*path, "goal")
    return Goal(
        event=goal.event,
        condition=leaves.condition_or_none(goal.if_, (*path, "if")),
        within_ms=leaves.duration_or_none(goal.within, (*path, "within")),
    )


def _hash_journey(name: str, text: object) -> str:
    written = dict_or_none(text) or {}
    meant = {key: value for key, value in written.items() if key != _MIGRATE}
    canonical = msgspec.json.encode([name, meant], order="deterministic")
    return sha256(canonical).hexdigest()[:_VERSION_DIGITS]


def group(items: Sequence[_Item], name: Callable[[_Item], str]) -> dict[str, tuple[_Item, ...]]:
    """Gather items by a name of theirs, each group in the order given."""
    groups: dict[str, tuple[_Item, ...]] = {}
    for item in items:
        groups[name(item)] = (*groups.get(name(item), ()), item)
    return groups

"""A workspace as written → the Program the engine decides with.

`compile_source` is the one way in: `adapters.files` calls it with what it read from a folder, the
store with what it kept of an earlier workspace, and whoever embeds the engine with a mapping of
their own. It either gives a whole Program or raises one `ProgramError` with everything that is
wrong.
"""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import UNSET

from engine.calendars import HOLIDAYS_VERSION
from engine.errors import Problem, ProgramError
from engine.localtime import TZDATA_VERSION
from engine.phones import PHONES_VERSION
from engine.program.catalogue import compile_joins
from engine.program.cel.computed import computed_kinds
from engine.program.check import check_workspace
from engine.program.consentcheck import compile_centre, compile_double_opt_in, compile_registries
from engine.program.contentcheck import content_stamps
from engine.program.entry import compile_agenda, score_segments
from engine.program.faults import Faults
from engine.program.identitymodel import compile_identity
from engine.program.journey import Journey, Op
from engine.program.leaves import Leaves
from engine.program.lifecycle import compile_lifecycle
from engine.program.mappings import compile_mappings
from engine.program.model import DefaultsSpec, WorkspaceSpec
from engine.program.names import Names
from engine.program.orders import compile_rfm, feed_orders
from engine.program.places import Path, Places
from engine.program.policies import (
    compile_backoff,
    compile_blackouts,
    compile_cooldown,
    compile_engagement,
    compile_holidays,
    compile_pacing,
    compile_shared_caps,
    compile_suppressions,
)
from engine.program.privacy import compile_pii, compile_retention
from engine.program.program import Defaults, Message, Program
from engine.program.regions import load_packs
from engine.program.sections import (
    compile_channel,
    compile_consent,
    compile_journey,
    compile_message,
    compile_type,
    group,
)
from engine.program.segments import check_segments, compile_membership
from engine.program.shape import read_shape
from engine.program.traits import compile_expressions, compile_traits
from engine.program.trials import TESTS
from engine.program.wordcheck import check_event
from engine.traits.derived import read_locale

# What the same workspace means. Raised when a release decides otherwise on the same text, so that
# decisions of the two are not taken for decisions of one program.
SEMANTICS = 1
_EDITION_BYTES = 6

_NO_PLACES: Places = {}
_SENDS = (Op.SEND, Op.DECIDE)


def compile_source(raw: Mapping[str, Any], places: Places | None = None) -> Program:
    """Compile a workspace. Raises ProgramError with every fault that was found."""
    canonical = canonical_bytes(raw)
    # Decoded again, so that a workspace read from files and one kept by the store are the same.
    source: dict[str, Any] = msgspec.json.decode(_encode(raw))
    faults = Faults(places or _NO_PLACES)
    spec = read_shape(source, faults)
    check_workspace(spec, source, faults)
    leaves = Leaves(faults)
    program = _compile(spec, source, _hash_program(canonical, spec), leaves)
    names = Names(source, faults)
    _check_segment_uses(leaves, names, faults)
    for where, channel in leaves.channel_uses:
        names.check("channels", channel, where)
    for where, event in leaves.event_uses:
        check_event(event, where, faults)
    if faults:
        raise ProgramError(faults.problems())
    return program


def compile_earlier(
    sources: Iterable[tuple[str, bytes]], refused: Callable[[str, ProgramError], object]
) -> dict[str, Journey]:
    """Compile earlier workspaces, by version and text, for their journeys, which are by version.

    Somebody may still be in one. A text that compiles no more is handed to `refused`.
    """
    journeys: dict[str, Journey] = {}
    for version, source in sources:
        try:
            program = compile_source(msgspec.json.decode(source))
        except ProgramError as error:
            refused(version, error)
            continue
        journeys.update((one.version, one) for one in program.journeys.values())
    return journeys


def canonical_bytes(raw: Mapping[str, Any]) -> bytes:
    """Write a workspace as the JSON that stands for it: keys sorted, without its tests.

    Those are no part of what is decided: a workspace is the same one when they change.
    """
    return _encode({key: value for key, value in raw.items() if key != TESTS})


def _encode(raw: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(raw, order="deterministic")
    except (TypeError, ValueError, RecursionError) as error:
        message = f"a workspace is made of plain values only: {error}"
        raise ProgramError([Problem("$", message, "texts, numbers, lists, mappings")]) from error


def _hash_program(canonical: bytes, spec: WorkspaceSpec) -> str:
    """Name a program by all that its decisions depend on: the workspace, and whose calendars."""
    regions = spec.policies.regions
    stamps = [load_packs()[name].stamp for name in regions if name in load_packs()]
    stamps += content_stamps(spec)
    versions = (SEMANTICS, TZDATA_VERSION, HOLIDAYS_VERSION, PHONES_VERSION, *stamps)
    words = "".join(f"\n{version}" for version in versions).encode()
    return "sha256:" + sha256(canonical + words).hexdigest()


def _compile(
    spec: WorkspaceSpec, source: Mapping[str, Any], version: str, leaves: Leaves
) -> Program:
    policies = spec.policies
    rfm = compile_rfm(spec.rfm, leaves)
    feed_orders(rfm, leaves)
    traits = compile_traits(spec.traits, leaves)
    leaves.trait_kinds = computed_kinds(traits)
    compile_expressions(spec.traits, traits, leaves)
    types = {
        name: compile_type(name, kind, policies, leaves)
        for name, kind in spec.message_types.items()
    }
    messages = {
        name: compile_message(name, message, spec.message_types, types, leaves)
        for name, message in spec.messages.items()
    }
    suppressions = compile_suppressions(policies, leaves)
    scores = score_segments(spec.journeys, leaves)
    segments = check_segments(spec.segments, leaves, leaves.faults, besides=len(scores)) | scores
    journeys = {
        name: compile_journey(
            name, journey, source["journeys"][name], spec.defaults.timezone, leaves
        )
        for name, journey in sorted(spec.journeys.items())
    }
    sendable = {name: one for name, one in messages.items() if one is not None}
    urgent = sorted(journeys.values(), key=lambda journey: _urgency(journey, sendable))
    triggered = [journey for journey in urgent if journey.trigger.event]
    membership = compile_membership(segments, urgent, traits, leaves, source)
    path: Path = ("policies",)
    program = Program(
        name=spec.workspace,
        version=version,
        seed=spec.seed,
        defaults=_compile_defaults(spec.defaults),
        session_ms=leaves.duration(spec.session, ("session",)),
        opt_out=compile_consent(spec.consent),
        channels={
            name: compile_channel(name, channel, leaves) for name, channel in spec.channels.items()
        },
        types=types,
        messages=sendable,
        caps=compile_shared_caps(policies, leaves),
        backoff=compile_backoff(policies, leaves),
        cooldown=compile_cooldown(policies, leaves),
        suppressions=group(suppressions, lambda rule: rule.event),
        suppression_rules={rule.name: rule for rule in suppressions},
        same_message_ms=leaves.duration_or_none(policies.same_message, (*path, "same_message")),
        membership=membership,
        journeys=journeys,
        agenda=compile_agenda(urgent, leaves.trait_kinds),
        edition=_edition(membership.version, journeys.values()),
        triggers=group(triggered, lambda journey: journey.trigger.event),
        history=leaves.history(),  # complete: every condition is compiled by now
        holidays=compile_holidays(policies, leaves),
        blackouts_on=compile_blackouts(policies, leaves),
        regions=policies.regions,
        engagement=compile_engagement(policies, leaves),
        look_ahead_ms=leaves.duration_or_none(policies.look_ahead, (*path, "look_ahead")) or 0,
        spread_ms=leaves.duration_or_none(policies.release.spread, (*path, "release", "spread"))
        or 0,
        pacing=compile_pacing(policies),
        budget=None if policies.budget is UNSET else policies.budget,
        traits=traits,
        rfm=rfm,
    )
    return _add_people(program, spec, leaves).with_archive({})


def _compile_defaults(spec: DefaultsSpec) -> Defaults:
    locale = read_locale(spec.locale)
    return Defaults(spec.timezone, spec.country, locale, spec.currency)


def _add_people(program: Program, spec: WorkspaceSpec, leaves: Leaves) -> Program:
    """Add what is said of customers and of what comes in, rather than of messages."""
    return msgspec.structs.replace(
        program,
        double_opt_in=compile_double_opt_in(spec, leaves),
        centre=compile_centre(spec),
        registries=compile_registries(spec, leaves),
        identity=compile_identity(spec.identity, spec.defaults.country),
        mappings=compile_mappings(spec.mapping),
        pii=compile_pii(spec.pii),
        retention=compile_retention(
            spec.retention, lambda text, key: leaves.duration_or_none(text, ("retention", key))
        ),
        joins=compile_joins(spec.catalogue),
        lifecycle=compile_lifecycle(spec.lifecycle, leaves),
    )


def _edition(segments_version: int, journeys: Iterable[Journey]) -> int:
    """Name what customers may have to be looked at again for: segments, and the journeys there are.

    0 is a workspace in which there is nothing to look for.
    """
    told = [[one.name, one.version, dict(one.migrate)] for one in journeys]
    if not told:
        return segments_version
    text = msgspec.json.encode([segments_version, told], order="deterministic")
    return int.from_bytes(sha256(text).digest()[:_EDITION_BYTES], "big") or 1


def _urgency(journey: Journey, messages: Mapping[str, Message]) -> tuple[int, float]:
    """Put first the journey whose first message matters most, where one event starts several."""
    names = [one.messages or (one.message,) for one in journey.code if one.op in _SENDS]
    sends = (messages.get(sent[0]) for sent in names)
    first = next(sends, None)
    priority, value = first.rank if first is not None else (0, 0.0)
    return -priority, -value


def _check_segment_uses(leaves: Leaves, names: Names, faults: Faults) -> None:
    """Note conditions that ask for unknown segments, and segments that ask for each other."""
    uses: dict[str, list[str]] = {}
    for where, segment in leaves.segment_uses:
        names.check("segments", segment, where)
        if where[0] == "segments":
            uses.setdefault(str(where[1]), []).append(segment)
    for name in uses:
        trail = _find_segment_circle(name, uses)
        if trail:
            message = f"this segment rests on itself: {' → '.join(trail)}"
            faults.add(("segments", name), message, "write out what one of them means")


def _find_segment_circle(name: str, uses: Mapping[str, list[str]]) -> list[str]:
    """Give the way from a segment back to itself, or nothing."""
    trails = [[name, used] for used in uses[name]]
    seen: dict[str, None] = {}
    while trails:
        trail = trails.pop()
        if trail[-1] == name:
            return trail
        if trail[-1] not in seen:
            seen[trail[-1]] = None
            trails.extend([*trail, used] for used in uses.get(trail[-1], ()))
    return []

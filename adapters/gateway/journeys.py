"""Journeys for whoever asks: who is where in them, how they go, where one customer is.

`routes` is mounted by `adapters.gateway.app`; the command line asks a data folder by the same
functions. Who is where is read from the store, so what is answered is durable.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from actors.directory import decode_entry
from actors.history import History
from actors.ports import Store
from actors.rows import StayCount
from adapters.gateway.answers import answer_json
from adapters.gateway.body import read_body
from adapters.gateway.host import Host
from adapters.gateway.journeyviews import (
    CustomerJourneys,
    Elsewhere,
    GraphEdge,
    GraphNode,
    JourneyGraph,
    JourneyLeft,
    JourneyList,
    JourneyPlace,
    JourneySummary,
)
from adapters.gateway.mermaid import write_mermaid
from adapters.gateway.parameters import NoParameters, read_parameters
from adapters.gateway.plans import make_plan
from adapters.gateway.query import UnknownError, find_customer, guard
from engine.errors import InputError, ProgramError
from engine.instants import format_instant
from engine.journeys.moves import waited_from
from engine.profile import Instance, Profile
from engine.program.compile import compile_source
from engine.program.faults import suggest
from engine.program.journey import Instruction, Op
from engine.program.outline import describe_awaited, outline
from engine.program.program import Program
from engine.records import Entered, Exited, Migrated, Moved

_NAME_MAX = 80
_SCAN_MAX = (
    500  # entries looked at for what a customer left, and since when they are where they are
)
_LEFT_MAX = 20
_PLACED = (Entered, Moved, Migrated)


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    runtime = host.runtime

    async def every(request: web.Request) -> web.Response:
        read_parameters(request, NoParameters)
        return answer_json(await list_journeys(runtime.store, runtime.program))

    async def one(request: web.Request) -> web.Response:
        read_parameters(request, NoParameters)
        name = request.match_info["name"]
        counts = await runtime.store.stay_counts()
        check_journey(name, runtime.program)
        return answer_json(show_journey(name, runtime.program, counts))

    async def customer(request: web.Request) -> web.Response:
        read_parameters(request, NoParameters)
        profile = await find_customer(runtime, request)
        history = await runtime.history(profile)
        return answer_json(await customer_journeys(profile, runtime.program, history))

    async def plan(request: web.Request) -> web.Response:
        read_parameters(request, NoParameters)
        body = await read_body(request, host.settings.deadlines.body_s)
        planned = read_program(body)
        return answer_json(make_plan(await runtime.store.stay_counts(), runtime.program, planned))

    return [
        web.get("/v1/journeys", guard(host, every)),
        web.get("/v1/journeys/{name:[^/]+}", guard(host, one)),
        web.get("/v1/customers/{id:[^/]+}/journeys", guard(host, customer)),
        web.post("/v1/plan", guard(host, plan)),
    ]


def read_program(body: bytes) -> Program:
    """Compile a workspace that was sent as JSON. Raises InputError with what is wrong first."""
    try:
        return compile_source(msgspec.json.decode(body, type=dict[str, Any]))
    except msgspec.MsgspecError as error:
        raise InputError("bad_json", f"expected a workspace as JSON: {error}", "$") from None
    except ProgramError as error:
        first = error.problems[0]
        raise InputError("bad_workspace", first.message, first.path) from None


def check_journey(name: str, program: Program) -> None:
    """Insist on a journey of the workspace. Raises UnknownError."""
    if name not in program.journeys:
        near = suggest(name[:_NAME_MAX], program.journeys, "journeys")
        raise UnknownError(f"the workspace has no journey of this name; {near}")


async def list_journeys(store: Store, program: Program) -> JourneyList:
    """Show all journeys: how many people are in each, and in versions of before."""
    sizes, counts = await store.journey_sizes(), await store.stay_counts()
    found: list[JourneySummary] = []
    for name in dict.fromkeys((*program.journeys, *sizes)):
        journey = program.journeys.get(name)
        version = journey.version if journey is not None else ""
        older = [one.people for one in counts if one.journey == name and one.version != version]
        found.append(
            JourneySummary(
                journey=name,
                version=version,
                begins_with=outline(journey).nodes[0].label if journey is not None else "",
                people=sizes.get(name, 0),
                older=sum(older),
                in_force=journey is not None,
            )
        )
    return JourneyList(found)


def show_journey(name: str, program: Program, counts: Iterable[StayCount]) -> JourneyGraph:
    """Show a journey as a graph, with who stands where, in whatever version."""
    journey = program.journeys[name]
    drawn = outline(journey)
    standing: dict[str, dict[str, int]] = {node.id: {} for node in drawn.nodes}
    elsewhere: list[Elsewhere] = []
    for count in counts:
        if count.journey != name:
            continue
        step = program.step_at(name, count.version, count.position)
        if step in standing:
            versions = standing[step]
            versions[count.version] = versions.get(count.version, 0) + count.people
        else:
            elsewhere.append(Elsewhere(count.version, step, count.people))
    nodes = [
        GraphNode(
            id=node.id,
            kind=node.kind,
            label=node.label,
            people=sum(standing[node.id].values()),
            versions=standing[node.id],
        )
        for node in drawn.nodes
    ]
    graph = JourneyGraph(
        journey=name,
        version=journey.version,
        people=sum(node.people for node in nodes) + sum(one.people for one in elsewhere),
        nodes=nodes,
        edges=[GraphEdge(*edge) for edge in drawn.edges],
        elsewhere=elsewhere,
        mermaid="",
    )
    return msgspec.structs.replace(graph, mermaid=write_mermaid(graph))


async def customer_journeys(
    profile: Profile, program: Program, history: History
) -> CustomerJourneys:
    """Show where a customer is in journeys and since when, and what they left lately."""
    since: dict[int, int] = {}
    left: list[JourneyLeft] = []
    for _ in range(_SCAN_MAX):
        entry = await history.take()
        if entry is None:
            break
        for record in reversed(decode_entry(entry)[1]):
            if isinstance(record, Exited) and len(left) < _LEFT_MAX:
                left.append(JourneyLeft(record.journey, record.reason, format_instant(record.at)))
            elif isinstance(record, _PLACED) and entry.customer == profile.customer:
                since.setdefault(record.instance, entry.at)
    places = [_place(one, profile, program, since) for one in profile.instances.values()]
    return CustomerJourneys(profile.customer, places, left)


def _place(
    instance: Instance, profile: Profile, program: Program, since: dict[int, int]
) -> JourneyPlace:
    journey = program.journey(instance.journey, instance.version)
    current = program.journeys.get(instance.journey)
    is_known = journey is not None and instance.position < len(journey.code)
    instruction = journey.code[instance.position] if journey is not None and is_known else None
    until = instance.waiting_until if instance.timer else None
    pending = profile.pending.get(instance.proposal)
    if pending is not None:
        until = pending.next_eligible
    if instruction is not None and instruction.op is Op.WAIT_FOR and not instruction.duration_ms:
        until = None
    since_at = waited_from(instance, instruction) or since.get(instance.id)
    return JourneyPlace(
        journey=instance.journey,
        version=instance.version,
        is_current=current is not None and current.version == instance.version,
        step=instruction.step if instruction is not None else "",
        doing=_describe(instruction),
        entered_at=format_instant(instance.entered_at),
        since=None if since_at is None else format_instant(since_at),
        until=None if until is None else format_instant(until),
        branch=bool(instance.parent),
    )


def _describe(instruction: Instruction | None) -> str:
    """Say what somebody is doing at a step."""
    if instruction is None:
        return "stands in a version that is not known any more"
    if instruction.op in (Op.SEND, Op.DECIDE):
        return f"waits until {' or '.join(instruction.offered)} may be sent"
    if instruction.op is Op.WAIT_FOR and instruction.wait_for is not None:
        return f"waits for {describe_awaited(instruction.wait_for)}"
    if instruction.op is Op.PARALLEL:
        return "waits for its branches"
    if instruction.op in (Op.WAIT, Op.WAIT_UNTIL):
        return "waits for the time to come"
    return f"stands before {instruction.op.value}"

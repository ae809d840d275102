"""Who is where in journeys, from a running server or a data folder.

Used by `journeys`, `graph` and `plan`. Both sources give the views of the HTTP API.
"""

import asyncio
from pathlib import Path

import msgspec

from actors.ports import Store
from actors.reading import recall_history
from actors.rows import StoreState
from adapters.cli.remote import Remote, path_of
from adapters.cli.source import program_in_force, reading
from adapters.files.workspaces import load_workspace, read_workspace, source_bytes
from adapters.gateway.journeys import (
    check_journey,
    customer_journeys,
    list_journeys,
    show_journey,
)
from adapters.gateway.journeyviews import CustomerJourneys, JourneyGraph, JourneyList, Plan
from adapters.gateway.plans import make_plan
from adapters.gateway.query import UnknownError
from engine.errors import StoreError
from engine.program.compile import compile_earlier
from engine.program.program import Program

_JSON = "application/json"


def read_journeys(data: Path | None, url: str) -> JourneyList:
    """List the journeys and how many customers are in each."""
    if data is None:
        return msgspec.json.decode(Remote(url).get("/v1/journeys", {}), type=JourneyList)
    return asyncio.run(_list(data))


def read_places(data: Path | None, url: str, customer: str) -> CustomerJourneys:
    """Tell where a customer is in journeys."""
    if data is None:
        body = Remote(url).get(path_of("v1", "customers", customer, "journeys"), {})
        return msgspec.json.decode(body, type=CustomerJourneys)
    return asyncio.run(_find(data, customer))


def read_graph(workspace: Path | None, data: Path | None, url: str, name: str) -> JourneyGraph:
    """Draw a journey up: of a workspace as written, or with who is where."""
    if workspace is not None:
        program = load_workspace(workspace)
        _check(name, program)
        return show_journey(name, program, [])
    if data is None:
        body = Remote(url).get(path_of("v1", "journeys", name), {})
        return msgspec.json.decode(body, type=JourneyGraph)
    return asyncio.run(_show(data, name))


def read_plan(data: Path | None, url: str, workspace: Path) -> Plan:
    """Tell what a workspace would do to people. Raises ProgramError with every fault it has."""
    planned = load_workspace(workspace)  # so that faults are told with their places
    if data is None:
        source = source_bytes(read_workspace(workspace))
        return msgspec.json.decode(Remote(url).send("POST", "/v1/plan", source, _JSON), type=Plan)
    return asyncio.run(_plan(data, planned))


async def _list(data: Path) -> JourneyList:
    async with reading(data) as (store, state):
        return await list_journeys(store, await running_program(store, state))


async def _show(data: Path, name: str) -> JourneyGraph:
    async with reading(data) as (store, state):
        program = await running_program(store, state)
        _check(name, program)
        return show_journey(name, program, await store.stay_counts())


async def _plan(data: Path, planned: Program) -> Plan:
    async with reading(data) as (store, state):
        running = await running_program(store, state)
        return make_plan(await store.stay_counts(), running, planned)


async def _find(data: Path, customer: str) -> CustomerJourneys:
    async with reading(data) as (store, state):
        program = await running_program(store, state)
        found = await recall_history(store, state, customer)
        if found is None:
            raise StoreError("there is no customer with this id")
        return await customer_journeys(found[0], program, found[1])


async def running_program(store: Store, state: StoreState) -> Program:
    """Compile the workspace in force, with the journeys of the earlier ones."""
    program = await program_in_force(store, state)
    programs = await store.programs()
    earlier = ((version, text) for version, _, text in programs if version != program.version)
    # Of what compiles no more nobody can say who is where, and they could not go on in it, either.
    return program.with_archive(compile_earlier(earlier, lambda _version, _error: None))


def _check(name: str, program: Program) -> None:
    try:
        check_journey(name, program)
    except UnknownError as error:
        raise StoreError(str(error)) from None

"""`nextbeat erase`: a customer, whatever is known of them, and what would come late."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from actors.cuts import ErasureState
from actors.rows import StoreState
from actors.runtime import Runtime, Settings
from adapters.app import OPERATOR
from adapters.channels.registry import INBOX_FILE
from adapters.cli.output import write_json
from adapters.cli.remote import Remote, path_of
from adapters.cli.source import program_in_force, source_options
from adapters.clock import WallClock
from adapters.gateway.erasure import view
from adapters.gateway.views import Erasure
from adapters.inbox import Inbox
from adapters.sqlite.store import SqliteStore
from engine.errors import ProgramError, StoreError
from engine.program.compile import compile_source

_DONE = ErasureState.DONE.value
_POLL_S = 1.0


@click.command()
@click.argument("customer")
@source_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait",
    default=60,
    show_default=True,
    type=click.IntRange(0),
    help="Wait so many seconds at most until nothing is left; then exit with 1.",
)
@click.option("--json", "as_json", is_flag=True, help="Write what was done as JSON.")
def erase(
    *, customer: str, data: Path | None, url: str, yes: bool, wait: int, as_json: bool
) -> None:
    """Erase CUSTOMER, named by an id or an anonymous id. It can't be taken back.

    Asks a running server, or with --data works on a folder no server runs on. Backups are not
    touched: erase again after one was restored.
    """
    if not yes:
        click.confirm(f"Erase {customer!r} for good?", abort=True)
    if data is None:
        erased = _erase_remotely(Remote(url), customer, wait)
    else:
        erased = asyncio.run(_erase_stored(data, customer, wait))
    if as_json:
        write_json(erased)
    else:
        click.echo(_describe(erased))
    if erased.state != _DONE:
        raise SystemExit(1)


def _erase_remotely(remote: Remote, customer: str, wait_s: int) -> Erasure:
    erased = _read(remote.delete(path_of("v1", "customers", customer) + "?wait=1"))
    give_up_at = time.monotonic() + wait_s
    while erased.state != _DONE and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)
        erased = _read(remote.get(path_of("v1", "erasures", str(erased.number)), {}))
    return erased


def _read(body: bytes) -> Erasure:
    return msgspec.json.decode(body, type=Erasure)


async def _erase_stored(data: Path, customer: str, wait_s: float) -> Erasure:
    """Erase in a folder at rest: nothing is sent, and no timer fires."""
    store = SqliteStore(data)
    nobody = compile_source({"workspace": "erasure"})
    keeper = Inbox(data / INBOX_FILE)
    runtime = Runtime(
        store, WallClock(), nobody, {}, settings=Settings(quiet=True), keepers=[keeper]
    )
    await runtime.open()
    try:
        with suppress(StoreError, ProgramError):  # it only helps to know what else tells people
            runtime.use(await program_in_force(store, StoreState(0, 0)))
        await runtime.start()
        await runtime.note_act(OPERATOR, "erased", runtime.erasures.pseudonym(customer))
        row = await runtime.erasures.erase(customer)
        row = await runtime.erasures.wait(row.number, wait_s) or row
    finally:
        await runtime.stop()
    return view(row)


def _describe(erased: Erasure) -> str:
    if not erased.entries:
        known = "nothing was stored of this customer; what arrives late about them is refused"
    else:
        known = f"erased, with {erased.entries} entries of the journal"
    if erased.state == _DONE:
        return f"{known} (erasure {erased.number})"
    return (
        f"{known} (erasure {erased.number}); there is no such customer any more, but traces are"
        " still being taken away: the server, or the next start on this folder, goes on with it"
    )

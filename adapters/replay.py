"""Event files in, decision files out: what `nextbeat replay` does.

Called by `adapters.cli`. Reads NDJSON in Segment's form, sorts it by time (ties in file order) and
writes one decision a line.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from actors.replay import Replay
from engine.errors import InputError
from engine.events import Event, Receipt
from engine.intake.mapping import take_in
from engine.intake.normalise import read_line
from engine.program.mappings import Mappings
from engine.program.program import Program
from engine.transcript import decision_object

Progress = Callable[[int, int], None]

_JSON = msgspec.json.Encoder()


class Rejected(msgspec.Struct, frozen=True):
    """A line of the file that was left out, and why."""

    line: int
    code: str
    path: str
    message: str


class Summary(msgspec.Struct):
    """What a replay did."""

    events: int = 0
    customers: int = 0
    outcomes: dict[str, int] = {}  # "outcome reason" -> how many
    rejected: list[Rejected] = []


def run_replay(
    events: Path,
    program: Program,
    *,
    until_at: int | None,
    write: Callable[[bytes], object],
    progress: Progress,
) -> Summary:
    """Replay a file through a program; `write` gets each decision as a line of JSON.

    `progress` hears (inputs done, inputs in all).
    """
    summary = Summary()
    inputs = _read(events, program.mappings, summary)
    inputs.sort(key=lambda given: given.at)  # stable: ties stay in file order
    summary.events = len(inputs)
    replay = Replay(program)
    total = len(inputs)

    def counted() -> Iterator[Event | Receipt]:
        for index, given in enumerate(inputs):
            progress(index, total)
            yield given

    for customer, decided in replay.run(counted(), until_at):
        written = decision_object(customer, decided)
        write(_JSON.encode(written) + b"\n")
        key = f"{decided.outcome} {decided.reason}"
        summary.outcomes[key] = summary.outcomes.get(key, 0) + 1
    progress(total, total)
    summary.customers = len(replay.profiles)
    return summary


def _read(events: Path, mappings: Mappings, summary: Summary) -> list[Event | Receipt]:
    inputs: list[Event | Receipt] = []
    with events.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                given = take_in(*read_line(line), mappings)
            except InputError as error:
                summary.rejected.append(Rejected(number, error.code, error.path, error.message))
            else:
                if given is not None:
                    inputs.append(given)
    return inputs

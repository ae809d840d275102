"""`nextbeat sim`: the real engine and runtime in a made-up world with faults, checked, by seed."""

import logging

import click
import msgspec

from actors.simulate.hazards import EVERY, FAULTS, read_faults
from actors.simulate.world import Plan, Report, simulate
from adapters.cli.output import show_progress, show_table, write_json


class Faults(click.ParamType[frozenset[str]]):
    """Names of faults on the command line."""

    name = "faults"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[str]:
        """Read `all`, `none`, or names with commas between them."""
        try:
            return read_faults(str(value))
        except ValueError as error:
            known = ", ".join(FAULTS)
            self.fail(f"{str(error)[:80]!r} is not a fault; there are {known}", param, ctx)


class Summary(msgspec.Struct, frozen=True):
    """What all seeds together came to."""

    seeds: int
    events: int
    decisions: int
    sends: int
    crashes: int
    recoveries: int
    operations: int
    fired: dict[str, int]
    failures: list[Report]
    trace: str  # of the last seed


@click.command()
@click.option("--seed", type=int, required=True, help="The number that makes the run.")
@click.option("--seeds", type=click.IntRange(1), default=1, help="Run this many, from SEED on.")
@click.option(
    "--days", type=click.FloatRange(0.01, 3_660), default=1.0, help="How long people do things."
)
@click.option(
    "--people", type=click.IntRange(0, 1_000), default=0, help="How many; 0: as the seed says."
)
@click.option(
    "--faults", type=Faults(), default="all", help="`all`, `none`, or names with commas between."
)
@click.option("--json", "as_json", is_flag=True, help="Write what happened as JSON.")
def sim(
    *, seed: int, seeds: int, days: float, people: int, faults: frozenset[str], as_json: bool
) -> None:
    """Run the engine in a simulated world and check that it keeps its promises.

    The disk tears, fills up and fails, providers time out and tell late, clients repeat themselves,
    clocks are set, and the process crashes between any two steps. The same seed makes the same run:
    the trace at the end is its fingerprint. Exits with 1 when something happened that must not.
    """
    logging.getLogger("nextbeat").setLevel(logging.CRITICAL)  # its disks fail all the time
    reports: list[Report] = []
    with show_progress("simulating") as progress:
        for place in range(seeds):
            reports.append(simulate(Plan(seed + place, days, faults, people)))
            progress(place + 1, seeds)
    summary = _summarize(reports)
    if as_json:
        write_json(summary)
    else:
        _show(summary)
        again = f"--days {days:g} --people {people} --faults {_name(faults)}"
        _show_failures(summary, again)
    if summary.failures:
        raise SystemExit(1)


def _summarize(reports: list[Report]) -> Summary:
    fired: dict[str, int] = {}
    for report in reports:
        for name, count in report.fired.items():
            fired[name] = fired.get(name, 0) + count
    return Summary(
        seeds=len(reports),
        events=sum(report.events for report in reports),
        decisions=sum(report.decisions for report in reports),
        sends=sum(report.sends for report in reports),
        crashes=sum(report.crashes for report in reports),
        recoveries=sum(report.recoveries for report in reports),
        operations=sum(report.operations for report in reports),
        fired=dict(sorted(fired.items())),
        failures=[report for report in reports if report.violation],
        trace=reports[-1].trace,
    )


def _show(summary: Summary) -> None:
    click.echo(
        f"{summary.events} events acknowledged, {summary.decisions} decisions, "
        f"{summary.sends} sends, {summary.operations} operations"
    )
    click.echo(f"{summary.crashes} crashes, everything checked {summary.recoveries} times")
    if summary.fired:
        click.echo()
        show_table(("fault", "fired"), [(name, str(n)) for name, n in summary.fired.items()])
    click.echo(f"\ntrace {summary.trace}")


def _name(faults: frozenset[str]) -> str:
    return "all" if faults == EVERY else ",".join(sorted(faults)) or "none"


def _show_failures(summary: Summary, again: str) -> None:
    if not summary.failures:
        click.echo("OK")
    for report in summary.failures:
        click.echo(f"VIOLATED {report.violation}", err=True)
        click.echo(f"  again: nextbeat sim --seed {report.seed} {again}", err=True)

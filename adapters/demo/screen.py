"""What the demonstration shows: the day as it is decided, and how it came out in the end.

Called by `play`. On a terminal there is a picture that changes, anywhere else there are lines.
"""

import shlex
import shutil
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adapters.demo.shoppers import ENDS_AT, OPENS_AT, SHOP_ZONE, Shopper
from engine.instants import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.reasons import Outcome, Reason, ReasonClass, classify_reason
from engine.records import Check, Decided

_PLAIN_WIDTH = 110
_ROWS_MIN, _ROWS_MAX = 5, 30
_FRAME_LINES = 11  # everything in the picture that is not a decision
_LATER_MS = 5 * MINUTE_MS  # from here on a message counts as one that waited

_VERBS = {
    Outcome.SEND: ("sent", "green"),
    Outcome.SUBSTITUTE: ("sent instead", "cyan"),
    Outcome.DEFER: ("deferred", "yellow"),
    Outcome.DROP: ("dropped", "red"),
}
_DROPPED = {
    Reason.CONSENT_WITHDRAWN: "took the agreement back while it waited",
    Reason.GOAL_MET: "did already what it was for",
    Reason.SAME_MESSAGE: "had this very message today",
    Reason.PROVIDER_FAILED: "refused for good, and there is no other channel",
    Reason.JOURNEY_EXITED: "has left the journey",
    Reason.STEP_DELETED: "the step was deleted",
    Reason.JOURNEY_DELETED: "the journey was deleted",
    Reason.MIGRATED: "was moved in the journey",
    Reason.BRANCH_ENDED: "took another branch first",
}
_BLOCKED = {
    "window": "{channel} is closed",
    "channel_cap": "{channel} is used up, {seen}",
    "shared_cap": "marketing is used up, {seen}",
    "backoff": "slowing down, {seen}",
    "cooldown": "the last message is too fresh",
    "suppress": "quiet {seen}",
    "type_cap": "enough of this kind, {seen}",
    "customer_cap": "they asked for no more, {seen}",
    "quiet_hours": "their own quiet hours",
    "do_not_disturb": "they asked to be left alone",
    "region": "the law closes {channel} now",
    "holidays": "it is a holiday: {seen}",
    "blackout": "nothing goes out today: {seen}",
    "reply_window": "they have not written on {channel}",
    "competition": "{seen}, and matters more",
    "reachable": "{channel} has no address",
    "content": "{channel} has no text for it",
    "provider": "{channel} was refused for good",
}


class Figures(msgspec.Struct, frozen=True):
    """What was counted over the day, apart from decisions."""

    ended_at: int
    sent: int  # events the library took
    lost: int
    stored: int
    duplicates: int
    quarantined: int
    receipts: int
    unsubscribed: int
    unheard: int
    mail_accepted: int  # by what the product says
    mail_failed: int
    mail_taken: int  # by what the mail server says
    mail_refused: int
    phones_accepted: int  # texts and pushes, by what the product says
    phones_taken: int  # by what the stand-ins say
    phones_told: int  # receipts of theirs
    timers: int
    commits: int


class Tally:
    """All decisions of the day, counted."""

    def __init__(self, shoppers: Mapping[str, Shopper]) -> None:
        self.shoppers = shoppers
        self.counts: Counter[tuple[str, Outcome, Reason]] = Counter()
        self.outcomes: Counter[Outcome] = Counter()
        self.stories: dict[str, list[Decided]] = {}

    def add(self, customer: str, decision: Decided) -> None:
        """Count one decision."""
        self.counts[decision.channel, decision.outcome, decision.reason] += 1
        self.outcomes[decision.outcome] += 1
        self.stories.setdefault(customer, []).append(decision)

    def find_story(self) -> tuple[str, str]:
        """Find the customer with the most varied day, and a message of theirs that was deferred.

        One that was deferred and then sent tells the most.
        """
        best = max(self.stories, key=self._rank, default="")
        story = self.stories.get(best, [])
        deferred = [d for d in story if d.outcome is Outcome.DEFER]
        told = [d for d in deferred if d.proposal in _sent(story)] or deferred
        return best, (told[0].message if told else "")

    def _rank(self, customer: str) -> tuple[bool, bool, int]:
        story = self.stories[customer]
        waited = {d.proposal for d in story if d.outcome is Outcome.DEFER}
        variety = len({(d.outcome, d.reason, d.channel) for d in story})
        return bool(waited), bool(waited & _sent(story)), variety


def _sent(story: Sequence[Decided]) -> set[int]:
    """Name the proposals that were sent in the end."""
    return {d.proposal for d in story if d.outcome is Outcome.SEND}


class Screen(Protocol):
    """Where the day is shown."""

    tally: Tally

    def decide(self, customer: str, decision: Decided) -> None:
        """Show a decision."""
        ...

    def tick(self, now: int, sent: int, mail: int) -> None:
        """Show how late it is, and how many events and e-mails there were."""
        ...


@contextmanager
def open_screen(shoppers: Mapping[str, Shopper], seconds: float) -> Generator[Screen]:
    """Give the screen that fits where standard output goes."""
    tally = Tally(shoppers)
    console = _console()
    title = (
        f"{_local(OPENS_AT, SHOP_ZONE):%A} at Marula & Co, Johannesburg: {len(shoppers)} "
        f"customers, one day in {seconds:g} seconds"
    )
    if not console.is_terminal:
        console.print(Text(f"{title}\n"))
        yield LineScreen(tally, console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveScreen(tally, live, title)


class LineScreen:
    """One line for each decision."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self.tally = tally
        self._console = console

    def decide(self, customer: str, decision: Decided) -> None:
        """Write the decision."""
        self.tally.add(customer, decision)
        time, name, message, verb, channel, why = _cells(self.tally.shoppers, customer, decision)
        line = f"{time}  {name:<9}{message:<19}{verb:<13}{channel:<7}{why}"
        self._console.print(Text(line.rstrip()), soft_wrap=True)

    def tick(self, now: int, sent: int, mail: int) -> None:
        """Say nothing: the decisions have their times."""


class LiveScreen:
    """A picture with the clock, the latest decisions and the totals."""

    def __init__(self, tally: Tally, live: Live, title: str) -> None:
        self.tally = tally
        self._live = live
        self._title = title
        self._rows: deque[tuple[Outcome, tuple[str, ...]]] = deque(maxlen=_ROWS_MAX)

    def decide(self, customer: str, decision: Decided) -> None:
        """Put the decision below the others."""
        self.tally.add(customer, decision)
        self._rows.append((decision.outcome, _cells(self.tally.shoppers, customer, decision)))

    def tick(self, now: int, sent: int, mail: int) -> None:
        """Draw."""
        self._live.update(self._draw(now, sent, mail), refresh=True)

    def _draw(self, now: int, sent: int, mail: int) -> RenderableType:
        height = self._live.console.size.height - _FRAME_LINES
        rows = list(self._rows)[-max(_ROWS_MIN, min(_ROWS_MAX, height)) :]
        table = Table(box=None, pad_edge=False, expand=True, show_header=False)
        for width in (5, 9, 22, 12, 7):
            table.add_column(width=width, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for outcome, cells in rows:
            style = _VERBS[outcome][1]
            time, name, message, verb, channel, why = (Text(cell) for cell in cells)
            verb.stylize(style)
            time.stylize("dim")
            name.stylize("bold")
            table.add_row(time, name, message, verb, channel, why)
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(width=5)
        bar.add_column(ratio=1)
        done = min(now, ENDS_AT) - OPENS_AT
        bar.add_row(
            Text(f"{_local(now, SHOP_ZONE):%H:%M}", "bold"), ProgressBar(ENDS_AT - OPENS_AT, done)
        )
        return Group(Text(self._title, "bold"), bar, "", table, "", self._totals(sent, mail))

    def _totals(self, sent: int, mail: int) -> Text:
        text = Text()
        for outcome, (verb, style) in _VERBS.items():
            text.append(f"{self.tally.outcomes[outcome]:>5} ", f"bold {style}").append(verb)
        text.append(f"\n{sent:>5} ", "bold").append("events through the Segment library")
        return text.append(f"{mail:>5} ", "bold").append("e-mails at the mail server")


def show_figures(figures: Figures, tally: Tally) -> None:
    """Show what the day came to."""
    console = _console()
    plain = not console.is_terminal
    time = f"{_local(figures.ended_at, SHOP_ZONE):%H:%M}"
    early = figures.ended_at < ENDS_AT
    heading = f"The day was stopped at {time}." if early else "The day is over."
    count = sum(tally.counts.values())
    console.print(Text(f"\n{heading} {count} decisions:\n", "bold"))
    table = Table(box=None if plain else SIMPLE_HEAD, pad_edge=False)
    for name in ("channel", "outcome", "reason"):
        table.add_column(name)
    table.add_column("count", justify="right")
    table.add_column("class")
    ordered = sorted(tally.counts.items(), key=lambda item: (item[0][0] or "~", item[0][1]))
    for channel, group in groupby(ordered, key=lambda item: item[0][0]):
        shown = channel or "(none)"
        for (_, outcome, reason), number in sorted(group, key=lambda item: -item[1]):
            style = _VERBS[outcome][1]
            kind = classify_reason(reason)
            table.add_row(
                shown,
                Text(outcome.value, "" if plain else style),
                reason.value,
                str(number),
                "" if kind is ReasonClass.HEALTHY else kind.value,
            )
            shown = shown if plain else ""  # said once where the eye can follow
    console.print(table)
    if plain:  # a drawn table ends with an empty line of its own
        console.print()
    for line in _sums(figures):
        console.print(Text(line), soft_wrap=True)


def _sums(figures: Figures) -> Iterator[str]:
    """Set numbers beside each other that were counted at both ends."""
    kept = figures.stored + figures.duplicates + figures.quarantined
    yield (
        f"events   {figures.sent} sent by the Segment library {_compare(figures.sent, kept)} "
        f"{figures.stored} stored + {figures.duplicates} duplicates "
        f"+ {figures.quarantined} quarantined"
    )
    if figures.lost:
        yield f"         {figures.lost} were given up by the library"
    yield (
        f"e-mail   {figures.mail_accepted} accepted "
        f"{_compare(figures.mail_accepted, figures.mail_taken)} "
        f"{figures.mail_taken} at the mail server; {figures.mail_failed} failed "
        f"{_compare(figures.mail_failed, figures.mail_refused)} "
        f"{figures.mail_refused} refused there"
    )
    yield (
        f"phones   {figures.phones_accepted} texts and pushes accepted "
        f"{_compare(figures.phones_accepted, figures.phones_taken)} "
        f"{figures.phones_taken} at the stand-ins of Twilio and Firebase, "
        f"{figures.phones_told} receipts"
    )
    yield (
        f"readers  {figures.receipts} opens and clicks, {figures.unsubscribed} unsubscribed"
        + (f", {figures.unheard} not taken" if figures.unheard else "")
    )
    yield f"inside   {figures.timers} timers fired, {figures.commits} commits"


def _compare(left: int, right: int) -> str:
    return "=" if left == right else "but"


def show_next(tally: Tally, data: Path, workspace: Path) -> None:
    """Say what to try now, with commands that work as they stand."""
    console = _console()
    command, folder = _name_command(), _quote(data)
    customer, message = tally.find_story()
    lines: list[tuple[str, str]] = []
    if customer:
        name = tally.shoppers[customer].name if customer in tally.shoppers else customer
        lines.append((f"{command} explain {customer} --data {folder}", f"the day of {name}"))
        if message:
            lines.append(
                (
                    f"{command} explain {customer} --message {message} --limit 5 --data {folder}",
                    "one message: when, why, by which rule",
                )
            )
    lines.append((f"{command} sandbox", "in another shell: what is sent is seen there"))
    serve = (
        f'eval "$({command} sandbox --env)"; NEXTBEAT_SECRET=$(openssl rand -hex 32) \\\n'
        f"    {command} serve --workspace {_quote(_near(workspace))} --data {folder}"
    )
    lines.append((serve, f"then: curl http://127.0.0.1:8080/v1/customers/{customer or 'thandi'}"))
    console.print(Text("\nTry next:", "bold"))
    for text, what in lines:
        console.print(Text(f"  {text}"), soft_wrap=True)
        console.print(Text(f"      {what}", "dim"), soft_wrap=True)


def _cells(
    shoppers: Mapping[str, Shopper], customer: str, decision: Decided
) -> tuple[str, str, str, str, str, str]:
    shopper = shoppers.get(customer)
    zone = shopper.zone if shopper else SHOP_ZONE
    place = shopper.place if shopper else ""
    name = shopper.name.partition(" ")[0] if shopper else customer
    why = _WHY[decision.outcome](decision, zone, place)
    verb = _VERBS[decision.outcome][0]
    time = f"{_local(decision.at, SHOP_ZONE):%H:%M}"
    return time, name, decision.message, verb, decision.channel, why


def _why_sent(decision: Decided, _zone: ZoneInfo, _place: str) -> str:
    if decision.failed:
        return f"{decision.failed[-1]} refused it for good, so {decision.channel}"
    waited_ms = decision.at - decision.proposed_at
    if waited_ms >= _LATER_MS:
        return f"waited {_span(waited_ms)} for this moment"
    for check in decision.trace:
        if check.result == "passed_over":
            return f"{_say(check)}, so {decision.channel}"
    return "nothing in the way"


def _why_substituted(decision: Decided, _zone: ZoneInfo, _place: str) -> str:
    check = _deciding(decision)
    return _say(check) if check else decision.reason.value


def _why_deferred(decision: Decided, zone: ZoneInfo, place: str) -> str:
    check = _deciding(decision)
    why = _say(check) if check else decision.reason.value
    if decision.next_eligible is None:
        return why
    return f"{why}: until {_moment(decision.next_eligible, decision.at, zone, place)}"


def _why_dropped(decision: Decided, zone: ZoneInfo, place: str) -> str:
    if decision.reason in _DROPPED:
        return _DROPPED[decision.reason]
    if decision.reason is Reason.EXPIRED:
        return _why_expired(decision, zone, place)
    said = [_say(check) for check in decision.trace if check.result == "passed_over"]
    if not said:
        return _why_substituted(decision, zone, place)
    return ", ".join(dict.fromkeys(said))


def _why_expired(decision: Decided, zone: ZoneInfo, place: str) -> str:
    """Say what would have held it back beyond its time; nothing where its time simply passed."""
    first = next((c.channel for c in decision.trace if c.result == "blocked"), "")
    check = max(
        (c for c in decision.trace if c.channel == first and c.until is not None),
        key=lambda check: check.until or 0,
        default=None,
    )
    if check is None or check.until is None:
        return "its time has passed"
    return f"{_say(check)}, until {_moment(check.until, decision.at, zone, place)}: too late"


_WHY: dict[Outcome, Callable[[Decided, ZoneInfo, str], str]] = {
    Outcome.SEND: _why_sent,
    Outcome.SUBSTITUTE: _why_substituted,
    Outcome.DEFER: _why_deferred,
    Outcome.DROP: _why_dropped,
}

_CHECKS = {
    Reason.OUTSIDE_WINDOW: "window",
    Reason.SUPPRESSED: "suppress",
    Reason.HOLIDAY: "holidays",
    Reason.REGION_RULE: "region",
    Reason.LOWER_PRIORITY: "competition",
}


def _deciding(decision: Decided) -> Check | None:
    """Find the line of the trace that the reason stands for: the last of its kind to release."""
    wanted = _CHECKS.get(decision.reason, decision.reason.value)
    blocking = [c for c in decision.trace if c.result == "blocked" and c.check == wanted]
    first = blocking[0].channel if blocking else ""
    mine = [check for check in blocking if check.channel == first]
    return max(mine, key=lambda check: check.until or 0, default=None)


def _say(check: Check) -> str:
    """Say in words what a rule said."""
    if check.check == "consent":
        never = check.seen == "no statement"
        return "never agreed to marketing" if never else f"consent {check.seen.replace('_', ' ')}"
    words = _BLOCKED.get(check.check, check.check)
    return words.format(channel=check.channel, seen=check.seen)


def _moment(at: int, now: int, zone: ZoneInfo, place: str) -> str:
    """Write an instant as the customer's own clock shows it."""
    then, today = _local(at, zone), _local(now, zone)
    days = (then.date() - today.date()).days
    day = "" if days == 0 else " tomorrow" if days == 1 else f" on {then:%A}"
    return f"{then:%H:%M}{day}" + (f" in {place}" if place else "")


def _span(span_ms: int) -> str:
    hours, rest_ms = divmod(span_ms, HOUR_MS)
    minutes = rest_ms // MINUTE_MS
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _local(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at / SECOND_MS, UTC).astimezone(zone)


def _console() -> Console:
    """Open standard output; where it is no terminal, lines are as long as they need to be."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=_PLAIN_WIDTH, color_system=None, force_terminal=False, highlight=False)


def _name_command() -> str:
    """Name this program so that typing it works, also where it is not on the path."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    if found and Path(found).resolve() == called.resolve():
        return called.name
    if called.suffix == ".py":
        return f"{_quote(_near(Path(sys.executable)))} -m adapters.cli"
    return _quote(_near(called))


def _near(path: Path) -> Path:
    """Shorten a path that lies below where we are."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _quote(path: Path) -> str:
    return shlex.quote(str(path))

"""Histories for tests: a workspace, what a customer does, what was decided."""

from typing import Any

from actors.replay import Answers, Decision, Replay
from engine.events import ConsentStatement, ConsentStatus, Event, EventKind, Receipt, ReceiptStatus
from engine.instants import DAY_MS, format_instant, parse_instant
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.transcript import decision_object

DAY = "2026-03-02"


class Story:
    """One customer's history, from a Monday on (UTC), replayed when it is asked.

    Hours are those of that day, `08:30`, or of one after it, `+1d 08:30`.
    """

    def __init__(self, workspace: dict[str, Any], *, customer: str = "u1") -> None:
        self.workspace = workspace
        self.customer = customer
        self._inputs: list[Event | Receipt] = []
        self._until: int | None = None
        self._answers: Answers | None = None

    def identify(self, hour: str, **traits: Any) -> "Story":
        """State traits."""
        return self._add(hour, EventKind.IDENTIFY, "Identified", traits=traits)

    def track(self, hour: str, name: str, **properties: Any) -> "Story":
        """Do something."""
        return self._add(hour, EventKind.TRACK, name, properties=properties)

    def report(self, hour: str, **context: Any) -> "Story":
        """Open the app, whose device reports a context."""
        return self._add(hour, EventKind.TRACK, "Application Opened", context=context)

    def consent(self, hour: str, *, purpose: str, status: str, channel: str = "*") -> "Story":
        """State consent."""
        said = ConsentStatement(purpose, channel, ConsentStatus(status), at(hour), "test")
        return self._add(hour, EventKind.CONSENT, "Consent Stated", consents=(said,))

    def receipt(  # noqa: PLR0913 - what a receipt may say
        self,
        hour: str,
        message: str,
        status: str,
        *,
        permanent: bool = False,
        name: str = "",
        failure: str = "",
        code: str = "",
    ) -> "Story":
        """Hear what became of a message, or of the one with this message id."""
        moment = at(hour)
        receipt_id = name or f"r{len(self._inputs)}"
        self._inputs.append(
            Receipt(
                receipt_id,
                self.customer,
                message,
                ReceiptStatus(status),
                moment,
                moment,
                permanent=permanent,
                failure=failure,
                code=code,
            )
        )
        return self

    def answering(self, answers: Answers) -> "Story":
        """Have the services answer that journeys call."""
        self._answers = answers
        return self

    def until(self, hour: str) -> "Story":
        """Let time pass."""
        self._until = at(hour)
        return self

    def decisions(self) -> list[dict[str, Any]]:
        """Replay and give the decision records."""
        return [decision_object(customer, decided) for customer, decided in self._run()[1]]

    def told(self) -> list[str]:
        """Replay and give each decision as `hour message outcome reason channel -> next`."""
        return [_tell(decision) for decision in self.decisions()]

    def traits(self) -> dict[str, Any]:
        """Replay and give the traits the customer has in the end."""
        return self._run()[0].profiles[self.customer].traits

    def profile(self) -> Profile:
        """Replay and give the profile as it is in the end."""
        return self._run()[0].profiles[self.customer]

    def sent(self) -> list[dict[str, str]]:
        """Replay and give the content of each message that is sent."""
        return [decided.content for _, decided in self._run()[1] if decided.message_id]

    def endings(self) -> dict[str, int]:
        """Replay and give how journeys ended."""
        return self._run()[0].profiles[self.customer].journeys_done

    def inputs(self) -> list[Event | Receipt]:
        """Give what happened, in order."""
        return sorted(self._inputs, key=lambda given: given.at)

    def _run(self) -> tuple[Replay, list[Decision]]:
        replay = Replay(compile_source(self.workspace), self._answers)
        return replay, list(replay.run(self.inputs(), self._until))

    def _add(self, hour: str, kind: EventKind, name: str, **parts: Any) -> "Story":
        moment = at(hour)
        number = len(self._inputs)
        event = Event(f"e{number}", kind, name, self.customer, None, moment, moment, **parts)
        self._inputs.append(event)
        return self


def at(hour: str) -> int:
    """Give the instant of an hour of the day histories begin on, or of a later one."""
    days, _, clock = hour.rpartition("d ")
    return parse_instant(f"{DAY}T{clock}Z") + int(days or 0) * DAY_MS


def hour_of(instant: str) -> str:
    """Write an instant as an hour of that day, with `+1d` for the next."""
    moment = parse_instant(instant)
    days = (moment - at("00:00")) // DAY_MS
    clock = format_instant(moment)[11:-1].removesuffix(":00")
    return f"+{days}d {clock}" if days else clock


def _tell(decision: dict[str, Any]) -> str:
    words = [hour_of(decision["at"]), decision["message"], decision["outcome"], decision["reason"]]
    if decision["channel"]:
        words.append(decision["channel"])
    if decision["next_eligible"]:
        words += ["->", hour_of(decision["next_eligible"])]
    return " ".join(words)

"""One customer under workspaces that follow each other, for tests: time, events, what is sent."""

from typing import Any

from engine.effects import Send
from engine.events import Event, EventKind, Input, Receipt, ReceiptStatus, Review, Tick
from engine.instants import HOUR_MS, parse_instant
from engine.journeys.migrations import is_outdated
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.journey import Journey
from engine.program.program import Program
from engine.records import Decided, Exited, Record
from engine.step import step

ORIGIN_AT = parse_instant("2026-03-02T08:00:00Z")
_BODY = {"default": {"body": "b"}}

Steps = list[dict[str, Any]]


def edition(journeys: dict[str, Steps | dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Give a workspace with these journeys; one of steps alone begins with the event Go."""
    return {
        "workspace": "editions",
        "defaults": {"timezone": "UTC"},
        "consent": {"marketing": "opt_out"},
        "channels": {
            "email": {"adapter": "log", "identity": "email"},
            "sms": {"adapter": "log", "identity": "phone"},
            "night": {"adapter": "log", "identity": "email", "window": "20:00-21:00"},
        },
        "message_types": {
            "note": {"purpose": "service", "channels": ["email", "sms"]},
            "late": {"purpose": "service", "channels": ["night"]},
        },
        "messages": {
            **{name: {"type": "note", "content": _BODY} for name in ("a", "b", "c")},
            **{name: {"type": "late", "content": _BODY} for name in ("x", "y")},
        },
        "journeys": {
            name: {"trigger": {"event": "Go"}, "steps": one} if isinstance(one, list) else one
            for name, one in journeys.items()
        },
        **changes,
    }


class Customer:
    """Somebody on their way through journeys while the workspace changes."""

    def __init__(self, source: dict[str, Any]) -> None:
        self.profile = Profile("u1")
        self.now = ORIGIN_AT
        self.told: list[str] = []  # decisions and exits, in order
        self.sends: list[Send] = []
        self.records: list[Record] = []  # of the last input
        self._archive: dict[str, Journey] = {}
        self._count = 0
        self.program: Program
        self.use(source)
        self._take(self._event(EventKind.IDENTIFY, "Identified", traits=_ADDRESSES))

    def use(self, source: dict[str, Any]) -> "Customer":
        """Have another workspace come into force."""
        compiled = compile_source(source)
        self.program = compiled.with_archive(dict(self._archive))
        self._archive.update((one.version, one) for one in compiled.journeys.values())
        return self

    def review(self) -> "Customer":
        """Look at the customer as the shard does after a change: only where there is a reason."""
        if is_outdated(self.profile, self.program):
            self._take(Review(self.program.edition, self.now))
        else:
            assert not step(self.profile, Review(0, self.now), self.program, self.now).records
        return self

    def track(self, name: str, **properties: Any) -> "Customer":
        """Have an event happen."""
        self._take(self._event(EventKind.TRACK, name, properties=properties))
        return self

    def fail(self, message_id: str) -> "Customer":
        """Have a provider say that a message can't be delivered."""
        self._count += 1
        failed = ReceiptStatus.FAILED
        told = Receipt(
            f"r{self._count}", "u1", message_id, failed, self.now, self.now, permanent=True
        )
        self._take(told)
        return self

    def advance(self, hours: float) -> "Customer":
        """Let time pass, each timer at its instant."""
        until_at = self.now + round(hours * HOUR_MS)
        while due := [(one.at, n) for n, one in self.profile.timers.items() if one.at <= until_at]:
            at, number = min(due)
            self.now = max(self.now, at)
            self._take(Tick(number, at))
        self.now = until_at
        return self

    def places(self) -> list[str]:
        """Name the steps at which the customer stands, with how old the version is."""
        return [
            self.program.step_at(one.journey, one.version, one.position)
            + ("" if self._is_current(one.journey, one.version) else " (older)")
            for one in self.profile.instances.values()
        ]

    def _is_current(self, journey: str, version: str) -> bool:
        current = self.program.journeys.get(journey)
        return current is not None and current.version == version

    def _event(self, kind: EventKind, name: str, **parts: Any) -> Event:
        self._count += 1
        return Event(f"e{self._count}", kind, name, "u1", None, self.now, self.now, **parts)

    def _take(self, given: Input) -> None:
        result = step(self.profile, given, self.program, self.now)
        self.records = result.records
        self.sends += [effect for effect in result.effects if isinstance(effect, Send)]
        hours = (self.now - ORIGIN_AT) / HOUR_MS
        for record in result.records:
            if isinstance(record, Decided):
                self.told.append(f"{hours:g}h {record.message} {record.outcome} {record.reason}")
            elif isinstance(record, Exited):
                self.told.append(f"{hours:g}h left {record.journey}: {record.reason}")


_ADDRESSES = {"email": "u1@example.com", "phone": "+447700900123"}

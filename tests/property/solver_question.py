"""The question that the engine and its oracle are both asked, in plain words.

Nothing of the engine is in here: a workspace as the team wrote it, and a customer as they were
drawn.
"""

from typing import Any, NamedTuple

REPLIED = "Wrote Back"  # the event by which a customer writes on a channel


class Said(NamedTuple):
    """A statement of consent."""

    purpose: str
    channel: str
    status: str
    at: int


class Send(NamedTuple):
    """A message that went out, or is on its way."""

    at: int
    message: str
    channel: str
    purpose: str
    kind: str
    counts: bool
    engaged: bool = False


class World(NamedTuple):
    """A workspace as written, what is known of a customer, and a question about a message.

    `zones`, `country` and `subdivision` are where the customer may be: what `traits` and `device`
    were written from.
    """

    workspace: dict[str, Any]
    message: str
    channel: str
    now: int
    zones: tuple[str, ...]
    country: str
    subdivision: str
    traits: dict[str, Any]
    device: str = ""
    consents: tuple[Said, ...] = ()
    sends: tuple[Send, ...] = ()
    waiting: tuple[str, ...] = ()
    suppressed: dict[str, int] = {}  # noqa: RUF012 - never written to
    session_at: int = 0
    active_at: int = 0
    replied_at: int | None = None
    wrote_at: int | None = None
    expires_at: int | None = None

    @property
    def kind(self) -> dict[str, Any]:
        kind: dict[str, Any] = self.workspace["message_types"][self.kind_name]
        return kind

    @property
    def kind_name(self) -> str:
        name: str = self.workspace["messages"][self.message]["type"]
        return name

    @property
    def purpose(self) -> str:
        purpose: str = self.kind["purpose"]
        return purpose

    @property
    def medium(self) -> dict[str, Any]:
        medium: dict[str, Any] = self.workspace["channels"][self.channel]
        return medium

    @property
    def policies(self) -> dict[str, Any]:
        policies: dict[str, Any] = self.workspace.get("policies", {})
        return policies

    def ignores(self, what: str) -> bool:
        return what in self.kind.get("ignores", ())

    def concerns(self, rule: dict[str, Any]) -> bool:
        """Say whether a rule, by its purposes, is about this message; none is all."""
        return not rule.get("purposes") or self.purpose in rule["purposes"]

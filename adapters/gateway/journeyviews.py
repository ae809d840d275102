"""What is shown of journeys: who is where in them, how they go, what a workspace would change."""

from typing import Literal

import msgspec

from adapters.gateway.views import Instant


class JourneySummary(msgspec.Struct, frozen=True, kw_only=True):
    """A journey and how many people are in it, `older` of them in versions of before.

    One that is not `in_force` is not in the workspace any more, and people are about to leave it.
    """

    journey: str
    version: str
    begins_with: str
    people: int
    older: int
    in_force: bool


class JourneyList(msgspec.Struct, frozen=True):
    """All journeys of the workspace, and those that people are still in."""

    journeys: list[JourneySummary]


class GraphNode(msgspec.Struct, frozen=True, kw_only=True):
    """A step: what it does, and how many people stand there, by version."""

    id: str
    kind: str
    label: str
    people: int
    versions: dict[str, int]


class GraphEdge(msgspec.Struct, frozen=True):
    """A way from one step to another; `label` says when it is taken."""

    source: str
    target: str
    label: str


class Elsewhere(msgspec.Struct, frozen=True):
    """People at a step of an older version that the version of today does not have."""

    version: str
    step: str
    people: int


class JourneyGraph(msgspec.Struct, frozen=True, kw_only=True):
    """A journey as a graph, with the people in it."""

    journey: str
    version: str
    people: int
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    elsewhere: list[Elsewhere]
    mermaid: str


class JourneyPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody is in a journey, and what is awaited there, in words.

    `since` is absent where it is not known; `branch` says that it is one of several at a time.
    """

    journey: str
    version: str
    is_current: bool
    step: str
    doing: str
    entered_at: Instant
    since: Instant | None
    until: Instant | None
    branch: bool


class JourneyLeft(msgspec.Struct, frozen=True):
    """A journey somebody left, and why."""

    journey: str
    reason: str
    at: Instant


class CustomerJourneys(msgspec.Struct, frozen=True):
    """Where a customer is in journeys, and what they left lately, the latest first."""

    customer: str
    places: list[JourneyPlace]
    left: list[JourneyLeft]


class PlannedChange(msgspec.Struct, frozen=True, kw_only=True):
    """What another workspace would do to the people at one step of one version.

    `skipped` are the steps ahead of them that would send nothing, for they are deleted.
    """

    journey: str
    version: str
    step: str
    people: int
    becomes: Literal["same", "stays", "moves", "leaves"]
    to: str
    skipped: list[str]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What another workspace would do to everybody who is in a journey."""

    program: str
    in_force: str
    people: int
    changes: list[PlannedChange]

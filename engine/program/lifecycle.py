"""The workspace's `lifecycle:` section: from when on a customer counts as new, at risk or lapsed.

Part of `model` as written, and of `Program` as compiled; read by `engine.traits.derived`.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.program.faults import Faults
from engine.program.leaves import Leaves
from engine.program.places import Path
from engine.program.program import Lifecycle
from engine.program.texts import Duration, EventName


class LifecycleSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """How long after which order a customer is in which stage of life."""

    order: EventName = "Order Completed"
    new: Annotated[
        Duration | UnsetType,
        Meta(description="How long after their first order a customer is new; absent: 30d."),
    ] = UNSET
    at_risk: Annotated[
        Duration | UnsetType,
        Meta(description="How long after their last order they are at risk; absent: 60d."),
    ] = UNSET
    lapsed: Annotated[
        Duration | UnsetType,
        Meta(description="How long after their last order they have lapsed; absent: 180d."),
    ] = UNSET


def compile_lifecycle(spec: LifecycleSpec, leaves: Leaves) -> Lifecycle:
    """Compile the section; what is not written is the default."""
    path: Path = ("lifecycle",)
    known = Lifecycle()
    lifecycle = Lifecycle(
        spec.order,
        leaves.duration_or_none(spec.new, (*path, "new")) or known.new_ms,
        leaves.duration_or_none(spec.at_risk, (*path, "at_risk")) or known.at_risk_ms,
        leaves.duration_or_none(spec.lapsed, (*path, "lapsed")) or known.lapsed_ms,
    )
    _check_order(lifecycle, leaves.faults)
    return lifecycle


def _check_order(lifecycle: Lifecycle, faults: Faults) -> None:
    path: Path = ("lifecycle",)
    if lifecycle.at_risk_ms >= lifecycle.lapsed_ms and not faults.touches(path):
        message = "who has lapsed was at risk before: `at_risk` must be shorter than `lapsed`"
        faults.add(path, message, "like {at_risk: 60d, lapsed: 180d}")

"""What a gate answers: nothing when it passes, a `Block` when it does not."""

from collections.abc import Iterable

import msgspec

from engine.reasons import Reason


class Block(msgspec.Struct, frozen=True, gc=False):
    """A rule stands in the way until `until`; None means no instant is known.

    `check` is the gate's name, `rule` where the rule is written, `seen` what it looked at,
    `version` that of a rule which is not the workspace's own, like a region's.
    """

    check: str
    reason: Reason
    until: int | None
    rule: str
    seen: str = ""
    version: str = ""


def latest_by_rule(blocks: Iterable[Block]) -> list[Block]:
    """Keep one block for each rule, the last to release: several time zones make several."""
    kept: dict[tuple[str, str], Block] = {}
    for block in blocks:
        name = (block.check, block.rule)
        known = kept.get(name)
        if known is None or release_at(known) < release_at(block):
            kept[name] = block
    return list(kept.values())


def release_at(block: Block) -> float:
    """Tell when a block releases, for comparison; never is later than any instant."""
    return float("inf") if block.until is None else block.until

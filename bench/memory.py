"""What a million known customers take in RAM when ten thousand of them are active."""

from bench.figures import Check, report
from bench.stage import Stage

KNOWN = 1_000_000
ACTIVE = 10_000


def run() -> bool:
    """Introduce a million customers through the gateway, then have ten thousand of them act."""
    with Stage(customers=ACTIVE) as stage:
        stage.introduce(range(ACTIVE, KNOWN))
        before = stage.stats()
        stage.load("port", path="/v1/batch", connections=4, seconds=5, items=100)
        after = stage.stats()
        assert after["stored"] >= KNOWN
    return report(
        "memory",
        [
            Check(
                "1,000,000 known, 10,000 active: resident",
                after["rss_mib"],
                400,
                "MiB",
                at_most=True,
            )
        ],
        {"after the introduction": before, "after the activity": after},
    )

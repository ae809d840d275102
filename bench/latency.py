"""How long until an event is durable and decided, at a rate that does not wait for answers."""

from bench.figures import Check, median, report
from bench.stage import Stage

RATE = 2_000
SECONDS = 10
ROUNDS = 3


def run() -> bool:
    """Measure from the intended send time, so that a stall counts for everyone it held up."""
    with Stage() as stage:
        stage.load("port", path="/v1/track", connections=64, seconds=2, rate=RATE)
        limits: list[dict[str, float]] = []
        ours: list[dict[str, float]] = []
        for _ in range(ROUNDS):
            job = {"path": "/v1/track", "connections": 64, "seconds": SECONDS, "rate": RATE}
            limits.append(stage.load("noop", **job)["latency_ms"])
            own = stage.load("port", **job)
            assert own["bad"] == 0, own
            ours.append(own["latency_ms"])
    return report(
        "latency",
        [
            Check(
                "2,000 POSTs/s, p99", median([own["p99"] for own in ours]), 25, "ms", at_most=True
            ),
            Check(
                "2,000 POSTs/s, p99.9",
                median([own["p999"] for own in ours]),
                100,
                "ms",
                at_most=True,
            ),
        ],
        {"durable and decided, ms": ours, "no-op handler, ms": limits},
    )

"""How many events a second are durable and decided, against a handler that does nothing."""

from bench.figures import Check, median, report
from bench.stage import Stage

ROUNDS = 5
SECONDS = 4
CUSTOMERS = 2_000  # who are all in the shop at once
CONNECTIONS = 256  # single posts: each waits for the disk, so many must wait together
SENDERS = 16  # of batches and frames


def run() -> bool:
    """Measure single posts against the limit in turn, then batches and websocket frames."""
    with Stage(customers=CUSTOMERS) as stage:
        stage.load("noop", path="/v1/track", connections=CONNECTIONS, seconds=1)
        stage.load("port", path="/v1/track", connections=CONNECTIONS, seconds=1)
        ratios: list[float] = []
        limits: list[float] = []
        ours: list[float] = []
        for _ in range(ROUNDS):
            limit = stage.load("noop", path="/v1/track", connections=CONNECTIONS, seconds=SECONDS)
            own = stage.load("port", path="/v1/track", connections=CONNECTIONS, seconds=SECONDS)
            assert own["bad"] == 0, own
            limits.append(limit["requests_per_s"])
            ours.append(own["requests_per_s"])
            ratios.append(own["requests_per_s"] / limit["requests_per_s"])
        batches: list[float] = []
        batch_limits: list[float] = []
        frames: list[float] = []
        for _ in range(3):
            batch_limit = stage.load(
                "noop", path="/v1/batch", connections=SENDERS, seconds=SECONDS, items=100
            )
            batch_limits.append(batch_limit["events_per_s"])
            own = stage.load(
                "port", path="/v1/batch", connections=SENDERS, seconds=SECONDS, items=100
            )
            assert own["bad"] == 0, own
            batches.append(own["events_per_s"])
            streamed = stage.load(
                "port", kind="stream", connections=SENDERS, seconds=SECONDS, items=100
            )
            assert streamed["nacked"] == 0, streamed
            frames.append(streamed["events_per_s"])
        stats = stage.stats()
    return report(
        "throughput",
        [
            Check("one event a POST, share of the no-op handler", median(ratios), 0.6, "x"),
            Check("100 events a POST", median(batches), 25_000, "events/s"),
            Check("websocket frames of 100 events", median(frames), 30_000, "events/s"),
        ],
        {
            "no-op handler, requests/s": median(limits),
            "one event a POST, requests/s": median(ours),
            "no-op handler, events/s in batches of 100": median(batch_limits),
            "ratios": ratios,
            "batches": batches,
            "frames": frames,
            "shard": stats,
        },
    )

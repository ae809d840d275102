"""Run the benches named on the command line, or all of them."""

import sys
from collections.abc import Callable

from bench import (
    decision,
    delivery,
    durability,
    journeys,
    latency,
    memory,
    profile,
    recovery,
    solver,
    throughput,
    timers,
    verify,
)

BENCHES: dict[str, Callable[[], bool]] = {
    "decision": decision.run,
    "solver": solver.run,
    "throughput": throughput.run,
    "latency": latency.run,
    "timers": timers.run,
    "memory": memory.run,
    "profile": profile.run,
    "journeys": journeys.run,
    "recovery": recovery.run,
    "durability": durability.run,
    "verify": verify.run,
    "delivery": delivery.run,
}


def main() -> int:
    """Run what was asked for; the exit code says whether every limit held."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"unknown bench {unknown[0]!r}: there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    held = [BENCHES[name]() for name in names]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())

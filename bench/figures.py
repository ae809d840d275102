"""Percentiles, tables and kept results of the benches."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec

RESULTS = Path(__file__).parent / "results"


class Check(msgspec.Struct, frozen=True):
    """One measure against what it must at least be (or at most, with `at_most`)."""

    measure: str
    value: float
    limit: float
    unit: str
    at_most: bool = False

    def holds(self) -> bool:
        """Say whether the measure is on the right side of its limit."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value below which `share` of the samples lie; `ordered` is ascending."""
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Describe samples the way latency is read: the middle, the tail, the worst."""
    ordered = sorted(samples)
    return {
        "count": float(len(ordered)),
        "p50": percentile(ordered, 0.50),
        "p90": percentile(ordered, 0.90),
        "p99": percentile(ordered, 0.99),
        "p999": percentile(ordered, 0.999),
        "max": ordered[-1] if ordered else float("nan"),
    }


def median(samples: Sequence[float]) -> float:
    """Give the middle of repeated measurements."""
    return statistics.median(samples)


def report(name: str, checks: Sequence[Check], details: Mapping[str, Any]) -> bool:
    """Print the checks of a bench and keep them as JSON; says whether all hold."""
    print(f"\n{name}")
    for check in checks:
        sign = "<=" if check.at_most else ">="
        verdict = "ok  " if check.holds() else "MISS"
        limit = f"{sign} {check.limit:,.2f} {check.unit}"
        print(f"  {verdict} {check.measure:<62} {check.value:>12,.2f} {limit}")
    for key, value in details.items():
        print(f"       {key}: {_short(value)}")
    sys.stdout.flush()
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "bench": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": machine(),
        "checks": [{**msgspec.structs.asdict(check), "holds": check.holds()} for check in checks],
        "details": details,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1, default=str) + "\n")
    return all(check.holds() for check in checks)


def machine() -> dict[str, Any]:
    """Describe the machine as far as it matters for reading the figures."""
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - the git on the path
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return found.stdout.strip()


def _short(value: Any) -> str:
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value)
        return "  ".join(f"{key} {_short(part)}" for key, part in value.items())
    return f"{value:,.3f}" if isinstance(value, float) else str(value)

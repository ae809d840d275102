"""Figures of a run: each test that measures something leaves them here as JSON.

Where `NEXTBEAT_FIGURES` names a folder, there is one file for each name in it afterwards.
"""

import json
import os
import random
import sys
from collections.abc import Mapping
from pathlib import Path


def choose_seed() -> int:
    """Give the seed of a run: another each time, or that of `NEXTBEAT_SEED`. It is printed."""
    seed = int(os.environ.get("NEXTBEAT_SEED") or random.SystemRandom().randrange(1 << 32))
    sys.stdout.write(f"NEXTBEAT_SEED={seed}\n")
    return seed


def keep(name: str, figures: Mapping[str, float | str]) -> None:
    """Leave the figures of a test, replacing those of its last run."""
    sys.stdout.write(f"{name} {json.dumps(figures)}\n")
    folder = os.environ.get("NEXTBEAT_FIGURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        text = json.dumps({"name": name, "figures": figures}, indent=1)
        (Path(folder) / f"{name}.json").write_text(text + "\n", encoding="utf-8")

"""The reference of the sandbox names every fate, as the code has it."""

import os
import re
from pathlib import Path

from adapters.sandbox.fates import DIGITS, WORDS, Fate

ROOT = Path(os.environ.get("NEXTBEAT_REPOSITORY") or Path(__file__).resolve().parents[2])


def test_every_fate_is_in_the_reference_with_its_digits() -> None:
    page = (ROOT / "docs" / "reference" / "sandbox.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:`(\d{4})`)? ?\| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
    words = {word: digits for digits, cell in rows for word in re.findall(r"\w+", cell)}
    digits = {fate.value: number for number, fate in DIGITS.items()}
    assert words == {word: digits.get(fate.value, "") for word, fate in WORDS.items()}
    assert set(WORDS.values()) == set(Fate)

"""`nextbeat regions`, as a person and as a script use it."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest

from engine.program.regions import load_packs
from tests.e2e.command_line import nextbeat

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "regions.md"


def test_a_region_is_listed_with_who_what_and_since_when() -> None:
    done = nextbeat("regions", "ZA")
    assert (done.returncode, done.stderr) == (0, "")
    first, headings, hours, *_ = done.stdout.splitlines()
    assert first.startswith(f"{load_packs()['ZA'].stamp}  South Africa (ZA), reviewed 20")
    assert headings.split() == ["rule", "who", "what", "since", "confidence"]
    assert re.split(r"\s{2,}", hours.strip()) == [
        "direct_marketing_hours",
        "ZA; marketing on every channel",
        "mon-fri 08:00-20:00; sat 09:00-13:00; sun closed; closed on public holidays",
        "always",
        "high",
    ]
    assert "  direct_marketing_hours: Consumer Protection Act 68 of 2008" in done.stdout


def test_all_regions_are_listed_with_one_word_of_warning() -> None:
    told = nextbeat("regions").stdout
    listed = re.findall(r"^([A-Z]{2}/\S+)  ", told, re.MULTILINE)
    assert listed == [pack.stamp for pack in load_packs().values()]
    assert told.count("not legal advice") == 1


def test_the_states_and_the_unknown_state_are_told_apart() -> None:
    told = nextbeat("regions", "US").stdout
    assert re.search(r"tx_hours +US-TX; marketing by phone +.* +2025-09-01 ", told)
    assert re.search(
        r"unknown_subdivision\[0\] +US, subdivision not known; .* at most 3 / 24h", told
    )


@pytest.mark.parametrize("name", ["za", "South Africa", "south africa"])
def test_a_region_is_found_however_it_is_spelled(name: str) -> None:
    assert nextbeat("regions", name).stdout == nextbeat("regions", "ZA").stdout


def test_a_country_shows_the_regions_that_cover_it() -> None:
    told = nextbeat("regions", "--country", "fr").stdout
    assert re.findall(r"^([A-Z]{2})/", told, re.MULTILINE) == ["EU", "FR"]


def test_a_country_without_rules_is_said_in_words() -> None:
    done = nextbeat("regions", "--country", "JP")
    assert done.returncode == 0
    assert done.stdout.startswith("No rules are built in for that country.\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ZB"], "Error: unknown region 'ZB' (regions: CA, EU, FR, GB, IN, MX, US, ZA)\n"),
        (["Frence"], "Error: unknown region 'Frence' (did you mean 'France'?)\n"),
        (
            ["--country", "ZZ"],
            "Error: unknown country 'ZZ' (write its two letters, like ZA)\n",
        ),
    ],
)
def test_a_typing_error_is_one_line_with_a_suggestion(arguments: list[str], told: str) -> None:
    done = nextbeat("regions", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_a_script_reads_the_rules_as_json() -> None:
    written = json.loads(nextbeat("regions", "US", "--json").stdout)
    assert "not legal advice" in written["notice"]
    rules = {rule["rule"]: rule for rule in written["rules"]}
    texas = rules["regions.US.tx_hours"]
    assert texas["hours"] == "mon-sat 09:00-21:00; sun 12:00-21:00"
    assert texas["effective_from"] == "2025-09-01"
    assert (texas["subdivisions"], texas["reach"]) == (["TX"], ["phone"])
    assert texas["version"] == load_packs()["US"].stamp
    assert rules["regions.US.unknown_subdivision[0]"]["subdivision_unknown"] is True
    assert rules["regions.US.can_spam"]["enforced"] is False


def test_the_reference_shows_every_region() -> None:
    # That what it shows is what is printed, the tests of the documentation see to.
    shown = re.findall(r"^\$ nextbeat regions ([A-Z]{2})$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(shown) == list(load_packs())


def test_the_reference_explains_every_key_of_a_pack() -> None:
    page = PAGE.read_text("utf-8")
    words = set(re.findall(r"`([a-z_]+)`", page))
    files = resources.files("engine.program").joinpath("packs").iterdir()
    keys = {
        key
        for file in files
        for key in re.findall(r"^([a-z_]+) = ", file.read_text("utf-8"), re.MULTILINE)
    }
    assert keys
    assert sorted(keys - words) == []

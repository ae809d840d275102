"""What the documentation shows is real: files are the files, commands run and print what is shown.

Run as a program (`make docs`), it renews what the pages show.

A fenced block after `<!-- from: FILE -->` is that file. A `console` block after
`<!-- run in: FOLDER -->` is what its commands print there. Other `console` blocks are checked
for commands and options that do not exist.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import msgspec
import pytest

import actors
import adapters
import engine
from adapters.channels.africastalking import AfricastalkingSettings
from adapters.channels.apns import ApnsSettings
from adapters.channels.audience import AudienceSettings
from adapters.channels.fcm import FcmSettings
from adapters.channels.hook_registry import HOOKS
from adapters.channels.log import LogSettings
from adapters.channels.long_tail import AppriseSettings
from adapters.channels.messagebird import MessagebirdSettings
from adapters.channels.registry import PacingSettings
from adapters.channels.smtp import SmtpSettings
from adapters.channels.twilio import TwilioSettings
from adapters.channels.ussd import UssdSettings
from adapters.channels.vonage import VonageSettings
from adapters.channels.webhook import WebhookSettings
from adapters.channels.webpush import WebPushSettings
from adapters.channels.whatsapp_cloud import WhatsAppSettings
from adapters.cli.commands import nextbeat
from engine import limits
from engine.program import (
    catalogue,
    consentmodel,
    contentmodel,
    identitymodel,
    journeymodel,
    lifecycle,
    model,
    policymodel,
    privacy,
    traitmodel,
    trialmodel,
)
from engine.reasons import Reason, classify_reason

ROOT = Path(__file__).resolve().parents[1]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(
    r"(?:<!-- (?P<kind>from|run in): (?P<place>\S+) -->\n)?"
    r"```(?P<language>\w*)\n(?P<body>.*?)```\n",
    re.DOTALL,
)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
QUOTED = ("yaml", "json", "python", "sh")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fill(text: str) -> str:
    """Write a page again with what its marked blocks should hold."""
    return BLOCK.sub(_fill_block, text)


def _fill_block(block: re.Match[str]) -> str:
    kind, place, language = block["kind"], block["place"], block["language"]
    if kind is None:
        return block[0]
    body = (
        (ROOT / place).read_text(encoding="utf-8") if kind == "from" else run(block["body"], place)
    )
    return f"<!-- {kind}: {place} -->\n```{language}\n{body}```\n"


def run(body: str, place: str) -> str:
    """Run the commands of a console block in a copy of a folder; give them with what they print."""
    environment = {**os.environ, "COLUMNS": "100"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    told: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(ROOT / place, Path(folder) / "copy")
        for command in commands(body):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=copy,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            told.append(f"$ {command}\n{done.stdout}")
    return "".join(told)


def commands(body: str) -> list[str]:
    return [line[2:] for line in body.splitlines() if line.startswith("$ ")]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_shows_what_is_real(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == fill(text), "run `make docs` to renew the page"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_quotes_files_and_nothing_else(page: Path) -> None:
    blocks = BLOCK.finditer(page.read_text(encoding="utf-8"))
    loose = [one["body"] for one in blocks if one["language"] in QUOTED and one["kind"] is None]
    assert loose == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_links_to_pages_that_exist(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_a_page_names_commands_and_options_that_exist(page: Path) -> None:
    targets = re.findall(
        r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    wrong: list[str] = []
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        for command in commands(block["body"]):
            words = shlex.split(command.partition(" | ")[0])
            if words[0] == "make" and words[1] not in targets:
                wrong.append(command)
            if words[0] == "nextbeat":
                wrong.extend(f"{command}: {option}" for option in unknown_options(words[1:]))
    assert wrong == []


def unknown_options(words: list[str]) -> list[str]:
    command = find_command(words)
    if command is None:
        return [words[0]]
    known = {name for parameter in command.params for name in parameter.opts}
    return [word for word in words if word.startswith("--") and word not in known]


def find_command(words: list[str]) -> click.Command | None:
    command: click.Command | None = nextbeat
    context = click.Context(nextbeat)
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(context, word)
    return command


def test_every_command_and_option_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    rows = {row.split("`")[1].split()[1]: row for row in page.splitlines() if "| `nextbeat" in row}
    context = click.Context(nextbeat)
    missing: list[str] = []
    for name in nextbeat.list_commands(context):
        command = nextbeat.get_command(context, name)
        assert command is not None
        missing += [
            f"{name} {option}"
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("--") and option not in rows[name]
        ]
    assert missing == []


def test_every_reason_is_in_the_reference_with_its_class() -> None:
    page = (ROOT / "docs" / "reference" / "reasons.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert dict(listed) == {reason.value: classify_reason(reason).value for reason in Reason}


def test_the_limits_in_the_reference_are_the_limits() -> None:
    page = (ROOT / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| [^|]+ \| ([\d,]+)(?: \w+)? \|$", page, re.MULTILINE)
    assert [int(number.replace(",", "")) for number in listed] == [
        limits.BODY_BYTES_MAX,
        limits.ITEM_BYTES_MAX,
        limits.ITEM_DEPTH_MAX,
        limits.ITEM_KEYS_MAX,
        limits.BATCH_ITEMS_MAX,
        limits.ID_LENGTH_MAX,
    ]


@pytest.mark.parametrize(
    "spec",
    [
        model.WorkspaceSpec,
        consentmodel.DoubleOptInSpec,
        consentmodel.PreferenceCentreSpec,
        consentmodel.RegistrySpec,
        contentmodel.LimitsSpec,
        contentmodel.TrackingSpec,
        model.DefaultsSpec,
        model.ChannelSpec,
        model.MessageTypeSpec,
        policymodel.PoliciesSpec,
        policymodel.BackoffSpec,
        policymodel.HolidaysSpec,
        policymodel.BlackoutSpec,
        policymodel.EngagementSpec,
        policymodel.ReleaseSpec,
        policymodel.PacingSpec,
        journeymodel.JourneySpec,
        journeymodel.GoalSpec,
        journeymodel.TriggerSpec,
        journeymodel.ExitSpec,
        journeymodel.StepSpec,
        journeymodel.WebhookSpec,
        journeymodel.WaitForSpec,
        identitymodel.IdentitySpec,
        identitymodel.NamespaceSpec,
        traitmodel.TraitSpec,
        traitmodel.RfmSpec,
        privacy.PiiSpec,
        privacy.RetentionSpec,
        catalogue.CatalogueKindSpec,
        lifecycle.LifecycleSpec,
        trialmodel.TrialSpec,
        trialmodel.PersonSpec,
        trialmodel.PastSpec,
        trialmodel.GivenSpec,
        trialmodel.ReceiptSpec,
        trialmodel.StatementSpec,
        trialmodel.AnswerSpec,
        trialmodel.ExpectSpec,
    ],
)
def test_every_key_of_a_workspace_is_in_the_reference(spec: type[msgspec.Struct]) -> None:
    page = (ROOT / "docs" / "reference" / "workspace.md").read_text(encoding="utf-8")
    told = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", told))))
    names = [field.encode_name for field in msgspec.structs.fields(spec)]
    assert [name for name in names if name not in words] == []


def test_every_variable_the_code_reads_is_in_the_reference_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    # What is installed may lie elsewhere than these tests.
    packages = [Path(part.__path__[0]) for part in (engine, actors, adapters)]
    files = [path for package in packages for path in package.rglob("*.py")]
    assert files
    read = {
        name
        for path in files
        for name in re.findall(r"\bNEXTBEAT_[A-Z_]+\b", path.read_text(encoding="utf-8"))
    }
    assert set(re.findall(r"^\| `(NEXTBEAT_[A-Z_]+)` \|", page, re.MULTILINE)) == read


@pytest.mark.parametrize(
    "spec",
    [
        AfricastalkingSettings,
        ApnsSettings,
        AppriseSettings,
        AudienceSettings,
        FcmSettings,
        LogSettings,
        MessagebirdSettings,
        PacingSettings,
        SmtpSettings,
        TwilioSettings,
        UssdSettings,
        VonageSettings,
        WebPushSettings,
        WebhookSettings,
        WhatsAppSettings,
    ],
)
def test_every_setting_of_a_channel_is_in_the_reference(spec: type[msgspec.Struct]) -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", page))))
    names = [field.encode_name for field in msgspec.structs.fields(spec)]
    assert [name for name in names if name not in words] == []


def test_every_provider_that_tells_of_messages_is_in_the_reference_with_its_variables() -> None:
    page = (ROOT / "docs" / "reference" / "receipts.md").read_text(encoding="utf-8")
    for name, kind in HOOKS.items():
        rows = [row for row in page.splitlines() if row.startswith(f"| `{name}` | `NEXTBEAT_")]
        assert [one for one in kind.variables if f"`{one}`" not in "".join(rows)] == []


def test_the_glossary_is_in_order_and_names_things_once() -> None:
    page = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\| ([A-Z][\w ]+) \|", page, re.MULTILINE)
    assert terms == sorted(set(terms), key=str.lower)


def test_a_page_that_is_not_real_is_found(tmp_path: Path) -> None:
    shown = "<!-- from: LICENSE -->\n```text\nnot the licence\n```\n"
    assert fill(shown) != shown
    assert unknown_options(["check", "--jsno"]) == ["--jsno"]
    assert unknown_options(["chekc"]) == ["chekc"]


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")

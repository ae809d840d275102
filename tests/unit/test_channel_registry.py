"""From a workspace's channels to running ones: settings, secrets, and what is said when wrong."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from actors.lanes import Pacing
from actors.outbox import BACKUP
from adapters.channels.inbox import InboxChannel
from adapters.channels.log import LogChannel, LogSettings, mask_address, mask_customer
from adapters.channels.registry import (
    BUILT,
    build_channels,
    build_pacing,
    find_inbox,
    name_providers,
)
from adapters.channels.smtp import SmtpChannel
from adapters.channels.webhook import WebhookChannel
from engine.effects import Send
from engine.errors import ProgramError
from engine.program.model import ADAPTERS
from engine.program.program import Backup, Channel
from tests.channels import a_program

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
ENVIRONMENT = {
    "NEXTBEAT_SECRET": "a secret of many characters",
    "NEXTBEAT_PUBLIC_URL": "https://nextbeat.example.com",
    "NEXTBEAT_SMTP_HOST": "mail.example.com",
    "NEXTBEAT_SMTP_PORT": "2525",
    "NEXTBEAT_SMTP_FROM": "shop@example.com",
    "HOOK": SECRET,
}


def a_channel(adapter: str, name: str = "email", **settings: object) -> dict[str, Channel]:
    return {name: a_program(adapter, name, name, settings)}


def faults(channels: dict[str, Channel], environment: dict[str, str]) -> list[str]:
    with pytest.raises(ProgramError) as caught:
        build_channels(channels, None, environment)
    return [str(problem) for problem in caught.value.problems]


def test_each_adapter_is_built_by_its_name(tmp_path: Path) -> None:
    channels = {
        **a_channel("smtp"),
        **a_channel("log", "sms", show_content=True),
        **a_channel("webhook", "crm", url="https://example.com/in", secret={"env": "HOOK"}),
        **a_channel("inbox", "in_app"),
        **a_channel("inbox", "badge"),
    }
    built = build_channels(channels, tmp_path, ENVIRONMENT)
    kinds = [type(channel) for channel in built.values()]
    assert kinds == [SmtpChannel, LogChannel, WebhookChannel, InboxChannel, InboxChannel]
    inbox = find_inbox(built)
    assert inbox is not None
    assert isinstance(built["badge"], InboxChannel)
    assert built["badge"].inbox is inbox
    assert list(tmp_path.iterdir()) == []


def test_a_second_provider_is_built_beside_the_first_with_settings_of_its_own() -> None:
    settings = {"url": "https://b.example", "secret": {"env": "HOOK"}, "pacing": {"per_second": 3}}
    (sms,) = a_channel("log", "sms", pacing={"per_second": 9}).values()
    channels = {"sms": replace(sms, backup=Backup("webhook", settings))}
    built = build_channels(channels, None, ENVIRONMENT)
    kinds = {name: type(channel) for name, channel in built.items()}
    assert kinds == {"sms": LogChannel, "sms" + BACKUP: WebhookChannel}
    pacing = build_pacing(channels)
    assert [one.rate_per_second for one in pacing.values()] == [9, 3]
    assert name_providers(channels) == {"sms": "log", "sms" + BACKUP: "webhook"}


def test_a_fault_of_a_second_provider_is_told_where_it_is_written() -> None:
    (sms,) = a_channel("log", "sms").values()
    for backup, words in (
        (Backup("pigeon", {}), "channels.sms.backup.adapter: there is no adapter 'pigeon'"),
        (Backup("webhook", {"secret": SECRET}), "channels.sms.backup.settings.secret: a secret"),
        (Backup("log", {"loud": 1}), "channels.sms.backup.settings"),
    ):
        found = faults({"sms": replace(sms, backup=backup)}, ENVIRONMENT)
        assert any(words in one for one in found), found


def test_a_workspace_without_an_inbox_has_none() -> None:
    assert find_inbox(build_channels(a_channel("log"), None, {})) is None


def test_a_missing_variable_is_named_with_the_channel_that_wants_it() -> None:
    channels = a_channel("webhook", "crm", url="https://example.com/", secret={"env": "NO_SUCH"})
    assert faults(channels, {}) == [
        "channels.crm.settings.secret: the environment variable NO_SUCH is not set (set NO_SUCH)"
    ]


def test_a_missing_setting_names_the_variable_that_would_do() -> None:
    [fault] = faults(a_channel("smtp"), {"NEXTBEAT_SECRET": "x" * 32})
    assert fault.startswith("channels.email.settings: ")
    assert "NEXTBEAT_SMTP_HOST" in fault


def test_a_secret_in_the_workspace_is_refused_and_never_shown() -> None:
    [fault] = faults(a_channel("smtp", password="hunter2"), ENVIRONMENT)
    assert fault.startswith("channels.email.settings.password: ")
    assert "NEXTBEAT_SMTP_PASSWORD" in fault
    assert "hunter2" not in fault
    [fault] = faults(a_channel("webhook", url="https://example.com/", secret=SECRET), ENVIRONMENT)
    assert SECRET not in fault


def test_mail_needs_a_secret_for_its_unsubscribe_links_or_says_it_has_none() -> None:
    without = {name: value for name, value in ENVIRONMENT.items() if name != "NEXTBEAT_SECRET"}
    [fault] = faults(a_channel("smtp"), without)
    assert fault.startswith("channels.email.settings.unsubscribe: ")
    assert "NEXTBEAT_SECRET" in fault
    assert build_channels(a_channel("smtp", unsubscribe="none"), None, without)


@pytest.mark.parametrize(
    ("channels", "path", "words"),
    [
        (a_channel("pigeon"), "channels.email.adapter", "there is no adapter"),
        (a_channel("log", loud=True), "channels.email.settings", "loud"),
        (a_channel("inbox", size=3), "channels.email.settings", "size"),
        (a_channel("log", show_content="maybe"), "channels.email.settings.show_content", "bool"),
        (a_channel("smtp", port="many"), "channels.email.settings.port", "int"),
        (a_channel("smtp", **{"from": "nobody"}), "channels.email.settings", "from"),
        (
            a_channel("webhook", url="http://10.0.0.1/", secret={"env": "HOOK"}),
            "channels.email.settings",
            "https",
        ),
    ],
)
def test_a_wrong_setting_is_told_with_its_place(
    channels: dict[str, Channel], path: str, words: str
) -> None:
    [fault] = faults(channels, ENVIRONMENT)
    assert fault.startswith(f"{path}: ")
    assert words in fault


def test_all_faults_of_all_channels_are_told_together() -> None:
    channels = {**a_channel("pigeon"), **a_channel("log", "sms", loud=1)}
    assert len(faults(channels, {"NEXTBEAT_SECRET": "short"})) == 3


def test_what_the_workspace_says_goes_before_the_environment() -> None:
    wrong = ENVIRONMENT | {"NEXTBEAT_SMTP_PORT": "many"}
    assert build_channels(a_channel("smtp", port=26), None, wrong)
    assert "port" in faults(a_channel("smtp"), wrong)[0]


def test_pacing_is_read_from_the_settings_of_each_channel() -> None:
    paced = a_channel(
        "log",
        "sms",
        pacing={"per_second": 20, "burst": 5, "timeout": "5s", "attempts": 3, "retry_for": "2h"},
    )
    pacing = build_pacing({**a_channel("log"), **paced})
    assert pacing["email"] == Pacing()
    assert pacing["sms"] == Pacing(
        rate_per_second=20, burst=5, timeout_ms=5_000, attempts=3, retry_ms=7_200_000
    )
    assert build_channels(paced, None, {})


@pytest.mark.parametrize(
    "pacing",
    [
        {"per_second": 0},
        {"per_second": -1},
        {"burst": 0},
        {"concurrency": 0},
        {"timeout": "soon"},
        {"retry_for": "for ever"},
        {"speed": 3},
        "fast",
    ],
)
def test_a_pacing_that_can_not_be_is_refused(pacing: object) -> None:
    with pytest.raises(ProgramError, match=r"channels\.email\.settings\.pacing"):
        build_pacing(a_channel("log", pacing=pacing))


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("alice@example.com", "a…@e….com"),
        ("a@b.co.za", "a…@b….za"),
        ("+27821234567", "+27••••••567"),
        ("082 123 4567", "082••••567"),
        ("fGx1aaaabbbbcccc", "fGx1…"),
        ("short", "…"),
        ("", "…"),
    ],
)
def test_an_address_is_masked_so_that_only_its_owner_knows_it(address: str, masked: str) -> None:
    assert mask_address(address) == masked


def test_a_customer_id_that_is_an_address_is_masked_too() -> None:
    assert mask_customer("alice@example.com") == "a…@e….com"
    assert mask_customer("+27821234567") == "+27••••••567"
    assert mask_customer("u1") == "u1"
    assert mask_customer("customer-77") == "customer-77"


@pytest.mark.parametrize("show_content", [True, False])
async def test_a_log_line_says_what_left_but_not_to_whom(*, show_content: bool) -> None:
    send = Send(
        message_id="m_1",
        decision_id="d_1",
        customer="alice@example.com",
        channel="sms",
        address="+27821234567",
        message="welcome",
        message_type="promotional",
        purpose="marketing",
        journey="onboarding",
        step="first",
        content={"body": "Hello Alice"},
        decided_at=1,
        expires_at=None,
    )
    with capture_logs() as lines:
        await LogChannel("sms", LogSettings(show_content=show_content)).deliver(send)
    [line] = lines
    assert (line["event"], line["channel"], line["message_id"]) == ("message sent", "sms", "m_1")
    assert line["to"] == "+27••••••567"
    assert ("content" in line) == show_content
    assert "alice@example.com" not in str(line)
    assert "821234" not in str(line)


def test_every_adapter_a_workspace_may_name_can_be_built() -> None:
    assert sorted(BUILT) == sorted(ADAPTERS)

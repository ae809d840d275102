"""`nextbeat preview`: what a message says to somebody, by a workspace or out of a data folder."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapters.cli.commands import nextbeat as group
from tests.e2e.command_line import nextbeat, write_shop

SHOP = """
workspace: shop
defaults: {timezone: Africa/Johannesburg, country: ZA, locale: en-ZA, currency: ZAR}
consent: {marketing: opt_out}
channels:
  sms: {adapter: log, identity: phone, cost: 0.35}
  email: {adapter: log, identity: email, tracking: {opens: true}}
message_types:
  promotional: {purpose: marketing, channels: [sms, email], expires: 48h}
messages:
  cart:
    type: promotional
    content:
      sms: {body: "Hi {{ profile.first_name }}, {{ event.total | money }}. {{ unsubscribe_url }}"}
      email: {subject: "For {{ profile.first_name }}", mjml: {file: cart.mjml}, text: "Hi"}
    locales:
      zu: {sms: {body: "Sawubona {{ profile.first_name }} ✓"}}
journeys:
  a: {trigger: {event: A}, steps: [{send: cart}]}
"""
MJML = """<mjml><mj-body><mj-section><mj-column>
<mj-text>Hi {{ profile.first_name }}</mj-text>
</mj-column></mj-section></mj-body></mjml>
"""
SAID = ("--trait", "first_name=Thandi", "--event", "total=1234.5")


def run(*arguments: str | Path) -> tuple[int, str]:
    """Run the command in this process: its exit code, and all it says."""
    done = CliRunner().invoke(group, ["preview", *map(str, arguments)])
    return done.exit_code, done.output


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = write_shop(tmp_path, SHOP)
    (folder / "content").mkdir()
    (folder / "content" / "cart.mjml").write_text(MJML, encoding="utf-8")
    return folder


def test_an_sms_is_shown_with_its_parts_and_its_price(shop: Path) -> None:
    done = nextbeat("preview", "cart", "--workspace", shop, *SAID)
    assert (done.returncode, done.stderr) == (0, "")
    assert "    Hi Thandi, R1 234,50. https://links.nextbeat.invalid/unsubscribe" in done.stdout
    assert done.stdout.endswith("1 segment, GSM-7; R0,35 a message\n")


def test_a_reader_of_another_language_is_shown_theirs(shop: Path) -> None:
    _, said = run("cart", "--workspace", shop, *SAID, "--locale", "zu-ZA")
    assert "messages.cart.locales.zu.sms (zu, for zu-ZA)" in said
    assert "1 segment, UCS-2 because of '✓'" in said


def test_a_mail_becomes_a_page(shop: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    code, said = run("cart", "--channel", "email", "--workspace", shop, *SAID, "--out", page)
    assert code == 0
    assert "subject:\n    For Thandi\n" in said
    assert f"tracked: opens\nHTML: {page}\n" in said
    assert "Hi Thandi</div>" in page.read_text(encoding="utf-8")


def test_a_customer_of_a_data_folder_is_shown_what_they_would_get(
    shop: Path, tmp_path: Path
) -> None:
    call = {
        "messageId": "1", "type": "identify", "userId": "u1",
        "traits": {"first_name": "Zoë", "phone": "+27821234567", "locale": "zu"},
        "timestamp": "2026-03-02T05:00:00Z",
    }  # fmt: skip
    events, data = tmp_path / "events.ndjson", tmp_path / "data"
    events.write_text(json.dumps(call) + "\n", encoding="utf-8")
    environment = {"NEXTBEAT_SECRET": "s" * 32, "NEXTBEAT_PUBLIC_URL": "https://shop.example"}
    loaded = nextbeat("ingest", events, "--workspace", shop, "--data", data, **environment)
    assert loaded.returncode == 0, loaded.stderr
    told = nextbeat("preview", "cart", "--data", data, "--customer", "u1", "--json")
    assert json.loads(told.stdout) == {
        "message": "cart", "channel": "sms", "rule": "messages.cart.locales.zu.sms",
        "locale": "zu", "content": {"body": "Sawubona Zoë ✓"}, "segments": 1, "encoding": "UCS-2",
    }  # fmt: skip
    code, said = run("cart", "--data", data, "--customer", "u2")
    assert code == 1
    assert "there is no customer 'u2'" in said


def test_somebody_is_described_in_a_file(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "somebody.json"
    file.write_text('{"traits": {"first_name": "Sipho"}, "event": {"total": 5}}', encoding="utf-8")
    assert "Hi Sipho, R5,00" in run("cart", "--workspace", shop, "--profile", file)[1]
    file.write_text('{"trait": {}}', encoding="utf-8")
    assert "unknown field" in run("cart", "--workspace", shop, "--profile", file)[1]


def test_what_would_be_dropped_is_said_so(shop: Path) -> None:
    code, said = run("cart", "--workspace", shop)
    assert code == 1
    assert "it would be dropped (template_error)" in said
    assert "messages.cart.content.sms.body: money: nothing is not a number" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("crt",), 1, "there is no message 'crt'; did you mean 'cart'?"),
        (("cart", "--channel", "push"), 1, "there is no channel 'push'; channels: email, sms"),
        (("cart", "--event", "x"), 2, "write it like --event name=value"),
        (("cart", "--customer", "u1"), 2, "--customer goes with --data"),
    ],
)
def test_what_there_is_not_is_said_in_words(
    shop: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    found, told = run(*arguments, "--workspace", shop)
    assert found == code
    assert said in told

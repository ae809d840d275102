"""What the log never shows, and what it must not hide."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from adapters.masking import mask_text
from adapters.telemetry.logs import RepeatLimit, configure, mask


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure("debug", json=True, stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        "could not send to zoe.o'neil+news@mail.example.co.za today",
        "zoe@example.com",
        "GET /v1/customers/zoe%40example.com",
    ],
)
def test_an_e_mail_address_is_masked_wherever_it_stands(text: str) -> None:
    masked = mask_text(text)
    assert "[email]" in masked
    assert "zoe" not in masked
    assert "example" not in masked


@pytest.mark.parametrize(
    "text",
    [
        "+27821234567",
        "+27 82 123 4567",
        "+1 (415) 555-0132",
        "0027821234567",
        "082 123 4567",
        "082-123-4567",
        "to %2B27821234567 failed",
    ],
)
def test_a_phone_number_is_masked_however_it_is_written(text: str) -> None:
    masked = mask_text(text)
    assert "[phone]" in masked
    assert "4567" not in masked
    assert "0132" not in masked


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456", "abcdef"),
        ("Authorization: Basic d3JpdGU6a2V5", "d3Jp"),
        ("POST /beacon/v1/batch?writeKey=k-123456&x=1", "k-123456"),
        ('{"writeKey": "k-123456"}', "k-123456"),
        ("smtp://mailer:hunter2@mail.example.com:25", "hunter2"),
        ("got eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJ"),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ"),
        ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOS"),
        ("password=swordfish", "swordfish"),
    ],
)
def test_a_secret_is_masked_inside_a_text(text: str, secret: str) -> None:
    assert secret not in mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T05:12:00.123Z",
        "2026-03-02T05:12:00+02:00",
        "m_0123456789abcdef01234567",
        "d_0011223344556677",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "journeys.cart_recovery.steps[2].send",
        "committed 12345 entries in 1772428320000 ms",
        "127.0.0.1:8080",
        "caps: 2 / 24h",
    ],
)
def test_ids_instants_and_paths_stay_readable(text: str) -> None:
    assert mask_text(text) == text


def test_keys_that_name_a_secret_hide_their_value_whatever_it_is() -> None:
    line = mask(
        None,
        "info",
        {
            "event": "started",
            "write_key": "plain",
            "headers": {"Authorization": "x", "Cookie": "y", "Accept": "json"},
            "settings": [{"smtp_password": "z", "port": 25}],
            "phone": 27821234567,
        },
    )
    assert line == {
        "event": "started",
        "write_key": "[secret]",
        "headers": {"Authorization": "[secret]", "Cookie": "[secret]", "Accept": "json"},
        "settings": [{"smtp_password": "[secret]", "port": 25}],
        "phone": "[phone]",
    }


def test_an_exception_is_logged_without_the_address_it_speaks_of(log: io.StringIO) -> None:
    try:
        raise ValueError("no route to zoe@example.com")  # noqa: TRY301 - the text is the test
    except ValueError:
        structlog.get_logger("outbox").exception("delivery failed")
    [line] = lines(log)
    assert line["level"] == "error"
    assert line["logger"] == "outbox"
    assert "ValueError: no route to [email]" in line["exception"]
    assert "zoe" not in log.getvalue()


def test_lines_of_the_standard_library_are_masked_too(log: io.StringIO) -> None:
    logging.getLogger("aiohttp.access").warning('"GET /v1/stream?writeKey=%s"', "k-9876543")
    [line] = lines(log)
    assert line["logger"] == "aiohttp.access"
    assert "k-9876543" not in log.getvalue()


def test_a_value_with_line_breaks_can_not_forge_a_line(log: io.StringIO) -> None:
    structlog.get_logger("x").info("refused", name='a\n{"event": "forged"}\x1b[31m')
    [line] = lines(log)
    assert line["event"] == "refused"
    assert "\n" not in line["name"]
    assert "\x1b" not in line["name"]


def test_a_huge_or_deep_value_is_cut() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(500):
        inner["a"] = {}
        inner = inner["a"]
    line = mask(None, "info", {"event": "x" * 100_000, "deep": deep, "body": b"123"})
    assert len(line["event"]) < 5_000
    assert "95.9" not in line["event"]
    assert "96000 characters more" in line["event"]
    assert "…" in json.dumps(line["deep"], ensure_ascii=False)
    assert line["body"] == "(3 bytes)"


def test_the_level_is_obeyed_and_an_unknown_one_refused(log: io.StringIO) -> None:
    configure("warning", json=True, stream=log)
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert [line["event"] for line in lines(log)] == ["loud"]
    with pytest.raises(ValueError, match="one of debug, info"):
        configure("chatty")


def test_console_lines_are_plain_text_on_what_is_no_terminal(log: io.StringIO) -> None:
    stream = io.StringIO()
    configure("info", json=False, stream=stream)
    structlog.get_logger("x").info("serving", port=8080)
    assert "serving" in stream.getvalue()
    assert "port=8080" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_repeated_warning_is_limited_and_the_next_window_says_how_many_were_left_out() -> None:
    moment = [0.0]
    limit = RepeatLimit(burst=2, window_s=60.0, clock=lambda: moment[0])
    passed = 0
    for _ in range(10):
        try:
            limit(None, "warning", {"event": "provider is slow"})
            passed += 1
        except structlog.DropEvent:
            continue
    assert passed == 2
    assert limit(None, "warning", {"event": "another"}) == {"event": "another"}
    assert limit(None, "info", {"event": "provider is slow"}) == {"event": "provider is slow"}
    moment[0] = 61.0
    line = limit(None, "warning", {"event": "provider is slow"})
    assert line == {"event": "provider is slow", "left_out": 8}

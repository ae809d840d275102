"""What becomes of messages in the sandbox: by script, by address, by dice."""

from collections import Counter

import msgspec
import pytest

from adapters.sandbox.book import KEPT_MAX, Book, Draft
from adapters.sandbox.fates import (
    DIGITS,
    ONCE,
    Asked,
    Fate,
    Rule,
    Script,
    Stage,
    choose,
    plan,
    read_address,
)

QUIET = Script()


def asked(to: str = "+27821239999", channel: str = "sms", attempt: int = 0, **more: int) -> Asked:
    return Asked("twilio", channel, to, "Hello", attempt, more.get("earlier", 0))


@pytest.mark.parametrize(("digits", "fate"), DIGITS.items())
def test_the_last_digits_of_a_number_choose(digits: str, fate: Fate) -> None:
    assert read_address(f"+2782123{digits}") is fate
    assert read_address(f"2782123{digits}") is fate


@pytest.mark.parametrize(
    ("address", "fate"),
    [
        ("dead-4711", Fate.GONE),
        ("rate-token", Fate.RATE),
        ("gone@example.com", Fate.GONE),
        ("zoe+timeout@example.com", Fate.TIMEOUT),
        ("opted_out@example.com", Fate.OPTED_OUT),
        ("zoe@gone.example.com", None),
        ("+27821234567", None),
        ("ExampleToken:APA91bH", None),
    ],
)
def test_a_word_in_an_address_chooses(address: str, fate: Fate | None) -> None:
    assert read_address(address) is fate


@pytest.mark.parametrize("fate", sorted(ONCE))
def test_what_is_of_a_first_attempt_is_over_at_the_second(fate: Fate) -> None:
    digits = next(digits for digits, chosen in DIGITS.items() if chosen is fate)
    assert choose(QUIET, asked(f"+2782123{digits}")) is fate
    assert choose(QUIET, asked(f"+2782123{digits}", attempt=1)) is Fate.DELIVERED


def test_a_fate_that_a_channel_does_not_know_is_none() -> None:
    assert choose(QUIET, asked("+27821230002")) is Fate.DELIVERED
    assert choose(QUIET, asked("+27821230002", "whatsapp")) is Fate.ABSENT
    assert choose(QUIET, asked("+27821230006")) is Fate.LANDLINE
    assert choose(QUIET, asked("+27821230006", "voice")) is Fate.DELIVERED


def test_a_template_may_be_sent_at_any_time() -> None:
    question = asked("+27821230024", "whatsapp")
    assert choose(QUIET, question) is Fate.WINDOW
    template = msgspec.structs.replace(question, is_template=True)
    assert choose(QUIET, template) is Fate.DELIVERED


def test_a_script_goes_before_what_the_address_says() -> None:
    script = Script(rules=[Rule(Fate.READ, to="+2782*", channel="whatsapp")])
    assert choose(script, asked("+27821230001", "whatsapp")) is Fate.READ
    assert choose(script, asked("+27821230001")) is Fate.UNREACHABLE


def test_a_list_of_fates_is_gone_through_message_by_message() -> None:
    script = Script(rules=[Rule([Fate.DOWN, Fate.RATE, Fate.DELIVERED])])
    chosen = [
        choose(script, asked(attempt=attempt, earlier=earlier))
        for attempt, earlier in ((0, 0), (1, 0), (0, 2), (0, 9))
    ]
    assert chosen == [Fate.DOWN, Fate.RATE, Fate.DELIVERED, Fate.DELIVERED]


def test_dice_fall_as_often_as_asked_and_the_same_way_again() -> None:
    script = Script(failing=0.2, timing_out=0.05)
    chosen = [choose(script, asked(f"+2782{number:07}")) for number in range(20_100, 24_100)]
    counts = Counter(chosen)
    failing = sum(counts[fate] for fate in (Fate.BROKEN, Fate.RATE, Fate.UNREACHABLE, Fate.GONE))
    assert 0.17 < failing / len(chosen) < 0.23
    assert 0.035 < counts[Fate.TIMEOUT] / len(chosen) < 0.065
    again = [choose(script, asked(f"+2782{number:07}")) for number in range(20_100, 24_100)]
    assert again == chosen
    other = msgspec.structs.replace(script, seed=8)
    assert [choose(other, asked(f"+2782{number:07}")) for number in range(20_100, 24_100)] != chosen


def test_shares_that_are_none_are_refused() -> None:
    for wrong in ({"failing": 1.5}, {"failing": 0.7, "timing_out": 0.7}, {"reading": -1}):
        with pytest.raises(msgspec.ValidationError, match="shares from 0 to 1"):
            msgspec.convert(wrong, Script)


def test_nothing_is_told_of_the_silent_and_everything_twice_of_the_doubled() -> None:
    assert plan(Fate.SILENT, "sms") == ()
    doubled = [step.stage for step in plan(Fate.TWICE, "sms")]
    assert doubled == [Stage.SENT, Stage.SENT, Stage.DELIVERED, Stage.DELIVERED]
    disordered = [step.stage for step in plan(Fate.DISORDER, "sms")]
    assert disordered == [Stage.READ, Stage.DELIVERED, Stage.SENT]


def test_a_whatsapp_message_waits_for_a_phone_that_is_off() -> None:
    assert [step.stage for step in plan(Fate.UNREACHABLE, "whatsapp")] == [Stage.SENT]
    assert [step.stage for step in plan(Fate.UNREACHABLE, "sms")] == [Stage.SENT, Stage.FAILED]


def test_a_book_counts_attempts_and_knows_repeats() -> None:
    book = Book(now=5)
    draft = Draft("webhook", "webhook", "crm", "Hello", key="m_1")
    assert book.count_attempts(draft) == (0, 0)
    kept = book.add(draft, Fate.DELIVERED, refused=False, now=6)
    assert book.find_twin(draft) is kept
    assert book.count_attempts(draft) == (1, 0)
    other = msgspec.structs.replace(draft, text="Bye", key="m_2")
    assert book.count_attempts(other) == (0, 1)
    assert book.find_twin(other) is None
    book.clear()
    assert (len(book), book.find_twin(draft)) == (0, None)


def test_ids_of_another_book_are_others() -> None:
    assert Book(now=1).make_id() != Book(now=2).make_id()


def test_a_book_holds_so_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEPT_MAX > 100_000
    monkeypatch.setattr("adapters.sandbox.book.KEPT_MAX", 2)
    book = Book(now=0)
    for text in ("a", "b", "c"):
        book.add(Draft("twilio", "sms", "+1", text), Fate.DELIVERED, refused=False, now=0)
    assert [message.draft.text for message in book.find()] == ["c", "b"]

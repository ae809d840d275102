"""STOP and its national words, as people write them."""

import pytest

from adapters.channels.words import Word, read_word


@pytest.mark.parametrize(
    "text",
    [
        "STOP", "stop", " Stop. ", "'STOP'", "STOP!!", "StopAll", "STOP ALL", "stop-all",
        "\nSTOP\n",
        "Unsubscribe", "CANCEL", "END", "quit", "REVOKE", "opt out", "OPT-OUT", "OptOut",
        "ARRET", "arrêt", "ARRÊTEZ", "STOP SMS", "Désabonner", "STOPP", "Abmelden",
        "BAJA", "baja.", "PARAR", "SAIR", "Disiscrivi", "AFMELDEN", "Rezygnuję", "RET",
        "İPTAL", "iptal",
        "Berhenti", "रोको", "बंद करो", "SIMAMISHA", "YIMA", "STAAK", "СТОП", "توقف", "הסר",
        "\uff33\uff34\uff2f\uff30",
    ],
)  # fmt: skip
def test_whoever_writes_this_wants_to_be_left_alone(text: str) -> None:
    assert read_word(text) is Word.STOP


@pytest.mark.parametrize("text", ["START", "unstop", "Opt in", "ALTA"])
def test_whoever_writes_this_wants_to_hear_again(text: str) -> None:
    assert read_word(text) is Word.START


@pytest.mark.parametrize("text", ["HELP", "info", "Aide?", "HILFE"])
def test_whoever_writes_this_wants_help(text: str) -> None:
    assert read_word(text) is Word.HELP


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "!", "Please stop by at the shop", "stopwatch", "don't stop", "When does it end?",
        "I want to cancel my order 17", "YES", "start now", "St op", "stop " * 20, "?" * 10_000,
        "Bus stop",
    ],
)  # fmt: skip
def test_a_sentence_is_no_word(text: str) -> None:
    assert read_word(text) is None

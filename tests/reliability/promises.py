"""What Nextbeat promises, which tests could break each promise, and what they measured.

`python -m tests.reliability.promises FOLDER` writes `RELIABILITY.md` from this list and from the
figures that a run left in FOLDER (`make reliability`).
"""

import json
import os
import platform
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

PAGE = "RELIABILITY.md"
BENCHES = Path("bench/results")


class Promise(NamedTuple):
    """A promise: its words, the tests as `file::test`, and the names of the figures."""

    name: str
    words: str
    tests: tuple[str, ...]
    figures: tuple[str, ...] = ()


PROMISES = (
    Promise(
        "What is acknowledged is on the disk",
        """Status 200 is answered after the commit that holds the event has been synced, and not
        before. It survives `kill -9` of the server, of the process that writes, or of both, at
        any moment, and a power cut: then writes that were not synced may be missing, reordered or
        torn, and the store opens all the same, whole, with everything that was acknowledged.
        A commit is there as a whole or not at all.""",
        (
            "test_kills.py::test_a_server_that_is_killed_loses_and_doubles_nothing",
            "test_crash_states.py::test_no_power_cut_loses_or_damages_what_was_acknowledged",
            "test_crash_states.py::test_a_store_that_does_not_sync_is_found_out",
            "test_sqlite_durability.py::test_what_was_answered_survives_being_killed",
            "test_runtime_commits.py::test_nothing_is_answered_sent_or_set_before_it_is_durable",
        ),
        ("kills", "kills_long", "crash_states", "crash_states_long", "durability"),
    ),
    Promise(
        "What is sent twice is stored once",
        """An event has the id its client gave it, and one id of one customer is stored once,
        for at least 48 hours; clients try again for 12. The id is in the same transaction as the
        event, so this holds over a crash: most crashes leave events that are stored and were not
        answered, and clients send them again.""",
        (
            "test_kills.py::test_a_server_that_is_killed_loses_and_doubles_nothing",
            "test_runtime_contract.py::test_an_event_sent_again_is_answered_and_stored_once",
            "test_runtime_commits.py::test_a_duplicate_is_known_after_its_customer_left_memory",
            "test_merges.py::test_it_is_a_duplicate_wherever_the_process_ends",
            "test_decisions_hold.py::test_the_same_input_twice_changes_nothing",
        ),
    ),
    Promise(
        "A message leaves once",
        """The intent is on the disk before the provider is called, and the provider gets the
        message's own id to recognise a repetition by. Where a crash leaves it unknown whether the
        provider has it, the message's type decides: with `at_most_once` (marketing, unless said
        otherwise) it is reported as `in_doubt` and not sent again; with `at_least_once` (service)
        it is sent again, under the same id and with the same bytes.""",
        (
            "test_kills.py::test_a_server_that_is_killed_loses_and_doubles_nothing",
            "test_outbox.py::test_the_provider_is_not_called_before_dispatching_is_durable",
            "test_outbox_ends.py::test_a_start_does_not_repeat_what_the_provider_may_have",
            (
                "test_outbox_ends.py::"
                "test_a_start_repeats_it_under_the_same_id_where_its_type_says_at_least_once"
            ),
            "test_simulation.py::test_a_crash_at_each_operation_of_a_short_run_loses_nothing",
        ),
        ("simulation", "simulation_long", "planted"),
    ),
    Promise(
        "Never in a closed window",
        """Nothing leaves outside the windows, quiet hours and closed days that hold where the
        customer is, to the millisecond, through both changes of the clock. What has to wait goes
        at the very first open instant, and is decided afresh then.""",
        (
            "test_decisions_hold.py::test_nothing_is_sent_outside_its_window",
            "test_decisions_hold.py::test_a_deferral_waits_for_the_very_first_instant_that_is_open",
            (
                "test_windows_against_oracle.py::"
                "test_a_window_opens_at_the_first_instant_the_clock_shows_it_open"
            ),
            "test_solver_against_oracle.py::test_hours_open_when_the_oracle_says",
        ),
    ),
    Promise(
        "Caps are exact",
        """No window of time, wherever it begins, ever holds more messages than its cap: under
        concurrency, retries, late and doubled events, and crashes. A slot is given back by a
        definitive failure, once.""",
        (
            "test_decisions_hold.py::test_no_sliding_window_ever_holds_more_than_its_cap",
            "test_caps_hold.py::test_no_window_ever_holds_more_than_its_cap",
            "test_ledger.py::test_a_slot_is_given_back_once",
        ),
    ),
    Promise(
        "Consent comes first",
        """What is not clearly a grant is none. After a withdrawal was acknowledged nothing that
        it forbids leaves any more, what was waiting included.""",
        (
            "test_decisions_hold.py::test_nothing_goes_where_consent_was_taken_back",
            "test_runtime_messages.py::test_a_withdrawal_in_the_same_commit_stops_a_message",
            (
                "test_runtime_messages.py::"
                "test_a_message_that_waited_while_the_process_was_away_is_checked_for_consent"
            ),
            "test_ingest_consent.py::test_what_is_not_clear_is_never_a_grant",
        ),
    ),
    Promise(
        "A replay is what was live",
        """A start folds what was recorded and decides nothing again. Deciding again from the
        inputs gives the same decisions to the last byte, on another machine, in another process,
        under another hash seed.""",
        (
            (
                "test_decisions_hold.py::"
                "test_folding_what_was_journaled_gives_the_live_profile_byte_for_byte"
            ),
            "test_replay_is_identical.py::test_a_history_leads_to_the_decisions_it_always_led_to",
            "test_runtime_contract.py::test_everything_is_as_before_after_a_kill",
            "test_simulation.py::test_a_seed_makes_the_same_run_in_another_process",
        ),
        ("verify",),
    ),
    Promise(
        "Erased is erased",
        """When an erasure is done, a scan of all files of the data directory finds nothing of the
        customer: no id, address, event or message, as text, wide, in hex or base64. Nothing of
        theirs leaves after it was answered, what arrives late about them is refused and stored
        in no form, and the hash chain still verifies. A process that is killed in the middle
        finishes it when it is started again.""",
        (
            "test_erasure.py::test_a_scan_finds_nothing_of_who_was_erased",
            "test_erasure.py::test_an_erasure_that_was_answered_is_finished_after_a_kill",
            "test_erasure_elsewhere.py::test_nothing_is_found_of_who_was_taken_for_somebody_else",
            "test_erasure_elsewhere.py::test_nothing_is_found_in_what_others_were_told",
            "test_erasures.py::test_a_message_that_waits_does_not_leave",
            "test_erasures.py::test_what_happened_before_is_refused_and_acknowledged",
            "test_scrub.py::test_what_sqlite_leaves_of_deleted_rows_is_gone",
            "test_campaign.py::test_no_promise_is_broken_in_thousands_of_worlds",
        ),
        ("erasure",),
    ),
    Promise(
        "Damage is found",
        """SQLite notices neither a flipped bit in a row nor a log that was cut short. Every row
        is part of a hash chain, its end is marked outside the database, and what is not in the
        chain has checksums: a start and `nextbeat verify` name the first entry that is not what
        was written.""",
        (
            "test_bit_flips.py::test_every_flip_in_what_is_stored_is_found_and_named",
            "test_bit_flips.py::test_every_flip_in_the_log_of_a_killed_process_is_found",
            "test_bit_flips.py::test_every_flip_in_the_marker_is_found",
        ),
        ("bit_flips",),
    ),
    Promise(
        "A disk that fails costs nothing that was acknowledged",
        """After a read, write or sync that failed only the disk knows what it holds: the store
        acknowledges nothing more, the server says why and ends with exit code 1, and the next
        start recovers from what is on the disk.""",
        (
            (
                "test_disk_errors.py::"
                "test_a_disk_that_fails_once_or_for_good_costs_nothing_acknowledged"
            ),
            "test_cli_serve.py::test_a_server_whose_disk_fails_acknowledges_nothing_more_and_ends",
        ),
        ("disk_errors", "disk_errors_long"),
    ),
    Promise(
        "A full disk is survived",
        """A commit that finds no room is answered with 503 and `Retry-After`; reading goes on,
        and `/readyz` says why nothing is taken. A ballast file is given up, so that the log can
        be folded and the server can be stopped well; when there is room again events are taken
        again, without a restart.""",
        (
            "test_full_disk.py::test_a_full_disk_is_said_survived_and_over_when_there_is_room",
            "test_sqlite_ballast.py::test_a_full_disk_costs_the_ballast_and_folds_the_log",
            "test_sqlite_ballast.py::test_a_full_disk_lets_the_store_end_well",
        ),
        ("full_disk",),
    ),
    Promise(
        "A stop takes five seconds at most",
        """After `SIGTERM` what was taken is made durable and answered, a request that was not
        taken gets no answer and leaves nothing behind, and the log is folded. Neither a provider
        that hangs nor half a request holds it up.""",
        (
            "test_stop.py::test_a_stop_at_full_load_takes_five_seconds_at_most_and_loses_nothing",
            "test_stop.py::test_neither_a_slow_provider_nor_half_a_request_holds_up_a_stop",
            "test_runtime_commits.py::test_a_stop_answers_everything_that_was_taken",
        ),
        ("stop", "stop_held_up"),
    ),
)
_HEAD = """# What is promised, and how it is tested

Each promise is followed by the tests that could break it, and by what they measured in the last
run. The figures are written by `make reliability`, which runs the campaign; `make test-long` runs
it at ten times the length. A test that fails prints a seed: `NEXTBEAT_SEED=… make test` repeats it.
"""


def write_page(figures: dict[str, dict[str, Any]], run: str) -> str:
    """Write the page; figures nobody asks for come at its end."""
    lines = [_HEAD, run]
    told: set[str] = set()
    for promise in PROMISES:
        lines += ["", f"## {promise.name}", "", _wrap(promise.words), ""]
        lines += [f"- `{test}`" for test in promise.tests]
        for name in promise.figures:
            if name in figures:
                told.add(name)
                lines += _table(name, figures[name])
    others = sorted(figures.keys() - told)
    if others:
        lines += ["", "## Other figures"]
        for name in others:
            lines += _table(name, figures[name])
    return "\n".join(lines) + "\n"


def _wrap(words: str) -> str:
    return textwrap.fill(" ".join(words.split()), 100, break_long_words=False)


def _table(name: str, figures: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"| {name.replace('_', ' ')} | |", "|---|---:|")
    for what, value in figures.items():
        is_number = isinstance(value, int | float) and what != "seed"
        shown = f"{round(value, 2):,}" if is_number else str(value)
        yield f"| {what} | {shown} |"


def read_figures(folder: Path) -> dict[str, dict[str, Any]]:
    """Read what a run left."""
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {one["name"]: one["figures"] for one in kept}


def read_benches(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Read what benches measured, with the limits."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        path = folder / f"{name}.json"
        if path.exists():
            checks = json.loads(path.read_text(encoding="utf-8"))["checks"]
            found[name] = {
                f"{one['measure']}, in {one['unit']}"
                f" ({'at most' if one['at_most'] else 'at least'} {one['limit']:,})": one["value"]
                for one in checks
            }
    return found


def describe_run() -> str:
    """Say when and where it was."""
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"Last run: {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {system}."


if __name__ == "__main__":
    _figures = read_figures(Path(sys.argv[1])) | read_benches(BENCHES, ("durability", "verify"))
    Path(PAGE).write_text(write_page(_figures, describe_run()), encoding="utf-8")

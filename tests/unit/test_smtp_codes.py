"""What the reply of a mail server asks for, by its codes and by what it refused."""

import pytest

from adapters.channels.smtpcodes import Stage, classify
from engine.events import Failure


@pytest.mark.parametrize(
    ("code", "enhanced", "stage", "failure"),
    [
        (550, "", Stage.SENDER, Failure.CONFIG),
        (552, "", Stage.SENDER, Failure.CONTENT),
        (550, "", Stage.RECIPIENT, Failure.ADDRESS_DEAD),
        (552, "", Stage.RECIPIENT, Failure.UNREACHABLE),
        (553, "", Stage.RECIPIENT, Failure.ADDRESS_DEAD),
        (554, "", Stage.RECIPIENT, Failure.UNREACHABLE),
        (554, "", Stage.CONTENT, Failure.CONTENT),
        (556, "5.1.10", Stage.RECIPIENT, Failure.ADDRESS_DEAD),
        (550, "5.2.1", Stage.RECIPIENT, Failure.ADDRESS_DEAD),
        (450, "4.2.1", Stage.RECIPIENT, Failure.RATE),
        (552, "5.2.2", Stage.RECIPIENT, Failure.UNREACHABLE),
        (554, "5.7.1", Stage.RECIPIENT, Failure.CONFIG),
        (554, "5.7.1", Stage.CONTENT, Failure.CONTENT),
        (535, "5.7.8", Stage.SENDER, Failure.CONFIG),
        (530, "", Stage.SENDER, Failure.CONFIG),
        (452, "", Stage.RECIPIENT, Failure.TRANSIENT),
        (452, "4.5.3", Stage.RECIPIENT, Failure.RATE),
        (550, "5.9.9", Stage.RECIPIENT, Failure.UNREACHABLE),
    ],
)
def test_what_a_reply_asks_for_hangs_on_its_codes_and_on_what_was_refused(
    code: int, enhanced: str, stage: Stage, failure: Failure
) -> None:
    assert classify(code, enhanced, stage) is failure

"""What mail systems answer where they don't deliver: their codes, and what these ask for.

Used by the hooks of e-mail providers. Codes mean what they mean to the SMTP channel (`smtpcodes`);
where a server gave no enhanced one, the words it used for a mailbox that is not there count.
"""

import re

from adapters.channels.smtpcodes import Stage, classify
from engine.events import Failure

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d])(?!\.\d)")
_BASIC = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_OUR_ID = re.compile(r"m_[A-Za-z0-9_-]{1,80}")

_FOR_NOW, _FOR_GOOD = 450, 550
_OF_CONTENT = ("6", "7")  # subjects of enhanced codes
# Three digits alone, told of a whole message; what is not here says nothing of the address.
_BASICS = {"552": Failure.UNREACHABLE, "554": Failure.CONTENT}
_GONE = re.compile(
    r"unknown|no such|not exist|doesn.t exist|not found|invalid (?:recipient|mailbox|address)"
    r"|no mailbox|disabled|inactive|unrouteable|unable to get mx",
    re.IGNORECASE,
)


def find_code(*texts: str) -> str:
    """Find the code of an answer, the enhanced one first: `5.1.1`, else `550`, else ""."""
    for pattern in (_ENHANCED, _BASIC):
        for text in texts:
            found = pattern.search(text)
            if found is not None:
                return found[0]
    return ""


def judge_bounce(code: str, text: str, *, is_final: bool) -> Failure:
    """Say what an answer asks for; `is_final` where nobody tries to deliver that message again."""
    group, _, detail = code.partition(".")
    # Nobody tells at which stage it was; policy and content are about what was written.
    stage = Stage.CONTENT if detail.partition(".")[0] in _OF_CONTENT else Stage.RECIPIENT
    if not is_final:
        return classify(_FOR_NOW, code if detail else "", stage)
    if detail:
        failure = classify(_FOR_GOOD, code, stage)
        # What was tried for days and given up says nothing of the address.
        has_ended = group == "5" and failure is not Failure.RATE
        return failure if has_ended else Failure.UNREACHABLE
    if _GONE.search(text):
        return Failure.ADDRESS_DEAD
    return _BASICS.get(code, Failure.UNREACHABLE)


def read_own_id(text: str) -> str:
    """Read our id from a Message-ID, or from what we gave a provider along; "" if it is not ours.

    `letter.letter_id` writes `<m_…@domain>`.
    """
    local = text.strip().lstrip("<").partition("@")[0]
    return local if _OUR_ID.fullmatch(local) else ""

"""What mail systems answer where they don't deliver: their codes, and what these ask for.

Used by the hooks of e-mail providers and by the SMTP channel, so that one code means the same
whoever tells it.

The codes are those of RFC 3463 and of IANA's registry of enhanced status codes (`5.1.1`), with RFC
7372 for failed authentication and RFC 7505 for domains that take no mail; where a server gives
none, the three digits of RFC 5321, and as a last resort the words that servers use for a mailbox
that is not there.
"""

import re

from engine.events import Failure

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d])(?!\.\d)")
_BASIC = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_OUR_ID = re.compile(r"m_[A-Za-z0-9_-]{1,80}")

_DEAD, _CONTENT = Failure.ADDRESS_DEAD, Failure.CONTENT
# By subject and detail, for good. The subject alone stands for all details that are not named.
_ENDINGS = {
    "1": _DEAD,  # address: no such mailbox, bad domain, bad syntax, moved, null MX
    "1.4": Failure.UNREACHABLE,  # ambiguous
    "1.7": Failure.CONFIG,  # the sender's address
    "1.8": Failure.CONFIG,
    "2.1": _DEAD,  # the mailbox is disabled
    "2.2": Failure.UNREACHABLE,  # it is full
    "2.3": _CONTENT,  # too long for it
    "3.4": _CONTENT,  # too big for the system
    "4.4": _DEAD,  # nothing leads to the domain
    "6": _CONTENT,
    "7": _CONTENT,  # policy: as it was written, to this system
    "7.20": Failure.CONFIG,  # DKIM, SPF, reverse DNS, DMARC
    "7.21": Failure.CONFIG,
    "7.22": Failure.CONFIG,
    "7.23": Failure.CONFIG,
    "7.24": Failure.CONFIG,
    "7.25": Failure.CONFIG,
    "7.26": Failure.CONFIG,
}
_DELAYS = {"2.2": Failure.UNREACHABLE, "7": Failure.RATE}  # greylisting is a 4.7.1
_BASICS = {"552": Failure.UNREACHABLE, "554": _CONTENT}
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
    group, _, rest = code.partition(".")
    subject = rest.partition(".")[0]
    if not is_final:
        return _DELAYS.get(rest) or _DELAYS.get(subject) or Failure.TRANSIENT
    if rest:
        ending = _ENDINGS.get(rest) or _ENDINGS.get(subject)
        # What was tried for days and given up says nothing of the address.
        return ending if ending is not None and group == "5" else Failure.UNREACHABLE
    if _GONE.search(text):
        return _DEAD
    return _BASICS.get(code, Failure.UNREACHABLE)


def read_own_id(text: str) -> str:
    """Read our id from a Message-ID, or from what we gave a provider along; "" if it is not ours.

    `letter.letter_id` writes `<m_…@domain>`.
    """
    local = text.strip().lstrip("<").partition("@")[0]
    return local if _OUR_ID.fullmatch(local) else ""

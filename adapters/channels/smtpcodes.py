"""What the replies of mail servers ask for: reply codes and enhanced status codes → `Failure`.

Called by `adapters.channels.smtp` for each refusal. Pure tables: the reply codes are those of RFC
5321, the enhanced ones those of RFC 3463 and of the registry RFC 5248 keeps (RFC 7372 for
authentication of mail, RFC 7505 for domains without mail).

*Rules*
- The enhanced code says more than the reply code, and counts where there is one.
- Whatever is said for now (4xx) is for later, but for a mailbox that is full: another channel is
  sooner there than its owner.
- What is refused for good and in no table is no reason to give an address up.
"""

from enum import StrEnum

from engine.events import Failure

_PERMANENT = 500
_POLICY = "7"


class Stage(StrEnum):
    """What the server was told when it refused."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


_LOGIN = (530, 534, 535, 538)

# By subject and detail, for replies that are for good.
_ENHANCED = {
    "1.0": Failure.ADDRESS_DEAD,
    "1.1": Failure.ADDRESS_DEAD,  # no such mailbox
    "1.2": Failure.ADDRESS_DEAD,  # no such system
    "1.3": Failure.ADDRESS_DEAD,  # the address is malformed
    "1.6": Failure.ADDRESS_DEAD,  # moved, and nobody says where to
    "1.7": Failure.CONFIG,  # the sender's address is malformed
    "1.8": Failure.CONFIG,  # the sender's system does not exist
    "1.10": Failure.ADDRESS_DEAD,  # the domain takes no mail (null MX)
    "2.0": Failure.UNREACHABLE,
    "2.1": Failure.ADDRESS_DEAD,  # the mailbox is disabled
    "2.2": Failure.UNREACHABLE,  # the mailbox is full
    "2.3": Failure.CONTENT,  # longer than this mailbox takes
    "3.4": Failure.CONTENT,  # longer than this system takes
    "4.4": Failure.ADDRESS_DEAD,  # there is no way to this domain
    "5.3": Failure.RATE,  # too many recipients
    "6.7": Failure.NOT_THERE,  # letters beyond ASCII in the address
    "6.9": Failure.NOT_THERE,
    "7.8": Failure.CONFIG,  # credentials
    "7.9": Failure.CONFIG,
    "7.13": Failure.CONFIG,  # our account is disabled
    "7.14": Failure.CONFIG,
    "7.20": Failure.CONFIG,  # DKIM, from here on
    "7.21": Failure.CONFIG,
    "7.22": Failure.CONFIG,
    "7.23": Failure.CONFIG,  # SPF
    "7.24": Failure.CONFIG,
    "7.25": Failure.CONFIG,  # reverse DNS
    "7.26": Failure.CONFIG,  # several of them
    "7.27": Failure.CONFIG,  # the sender's domain takes no mail
    "7.28": Failure.RATE,  # mail flood
}

# The same, for those that are for now.
_ENHANCED_FOR_NOW = {
    "2.1": Failure.RATE,  # this mailbox gets too much at once
    "2.2": Failure.UNREACHABLE,
    "5.3": Failure.RATE,
}

# Without an enhanced code, by what was refused.
_PLAIN = {
    (Stage.SENDER, 552): Failure.CONTENT,  # longer than it takes, told by its announced size
    (Stage.RECIPIENT, 550): Failure.ADDRESS_DEAD,
    (Stage.RECIPIENT, 551): Failure.ADDRESS_DEAD,
    (Stage.RECIPIENT, 553): Failure.ADDRESS_DEAD,
}


def classify(code: int, enhanced: str, stage: Stage) -> Failure:
    """Say what a refusal asks for; `enhanced` is like `5.1.1`, or ""."""
    if code in _LOGIN:
        return Failure.CONFIG
    subject, _, _ = (detail := enhanced.partition(".")[2]).partition(".")
    if code < _PERMANENT:
        passing = Failure.RATE if subject == _POLICY else Failure.TRANSIENT
        return _ENHANCED_FOR_NOW.get(detail, passing)
    known = _ENHANCED.get(detail) if detail else _PLAIN.get((stage, code))
    return known or _classify_rest(subject, stage)


def _classify_rest(subject: str, stage: Stage) -> Failure:
    """Say what a refusal for good asks for that no table has."""
    if stage is Stage.CONTENT:
        return Failure.CONTENT
    # A policy that refuses before it has seen the message is about who sends it.
    is_about_us = stage is Stage.SENDER or subject == _POLICY
    return Failure.CONFIG if is_about_us else Failure.UNREACHABLE

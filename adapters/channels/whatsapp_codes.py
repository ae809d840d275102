"""What the error codes of the WhatsApp Cloud API ask for, whether answered or told later.

Source: developers.facebook.com, WhatsApp Business Platform, "Error codes" (Graph API v26.0). Meta
asks to go by the code alone: titles will be taken away, and HTTP statuses vary.
"""

from collections.abc import Mapping

from engine.events import Failure
from engine.instants import SECOND_MS

# Who is written to too fast is free again after six seconds, one message at a time.
PAIR_RATE, PAIR_PAUSE_MS = 131056, 6 * SECOND_MS

_BY_FAILURE: Mapping[Failure, tuple[int, ...]] = {
    Failure.ADDRESS_DEAD: (
        131021,  # the recipient is the sender
    ),
    Failure.NOT_THERE: (
        131026,  # undeliverable: no WhatsApp, an old version, terms not accepted
        131030,  # not among the recipients an app in development may write to
        130497,  # the business may not write to people in this country
    ),
    Failure.UNREACHABLE: (
        130472,  # in an experiment of Meta's in which marketing is held back
        131043,  # expired before it could be delivered
        131049,  # had enough marketing of all businesses; trying again within a day makes it worse
        131062,  # a business-scoped user id, where only a phone number will do
    ),
    Failure.CONSENT: (131050,),  # stopped marketing from this business
    Failure.WINDOW: (131047,),  # more than 24 hours after they last wrote
    Failure.RATE: (
        4,  # calls of the app
        613,  # calls of the account
        80007,  # messages of the business account
        130429,  # messages a second
        131048,  # held back because too many people block or report
        PAIR_RATE,
        133016,  # registrations of the number
    ),
    Failure.TRANSIENT: (
        1,  # unknown; often passes
        2,  # down or overloaded
        131000,  # something went wrong
        131016,  # a service is down
        131057,  # the account is being moved
        133004,  # the server is down
    ),
    Failure.CONTENT: (
        100,  # a parameter that is none
        131008,  # a parameter is missing
        131009,  # a value that is none
        131051,  # a kind of message that is none
        131052,  # media that could not be fetched
        131053,  # media that could not be taken
        132000,  # another number of variables than the template has
        132001,  # no such template in this language
        132005,  # too long once filled in
        132007,  # against the rules for content
        132012,  # variables of another form
        132015,  # the template is paused
        132016,  # the template is disabled
        132018,  # variables that don't fit
        132068,  # a flow that is blocked
        132069,  # a flow that is throttled for its errors
        135000,  # parameters that make no sense
    ),
    Failure.CONFIG: (
        0,  # no login
        3,  # no right to this call
        10,  # no permission
        33,  # the phone number was deleted
        190,  # the token expired
        368,  # blocked for breaking rules
        131005,  # no access
        131031,  # the account is locked
        131037,  # the display name is not approved
        131042,  # a payment failed
        131045,  # the number is not registered
        133000,  # was not deregistered
        133005,  # a wrong PIN
        133006,  # must be verified again
        133008,  # too many wrong PINs
        133009,  # PINs too fast
        133010,  # not registered
        133015,  # just deleted
        134011,  # terms of payments not accepted
    ),
}
CODES: Mapping[int, Failure] = {
    code: failure for failure, codes in _BY_FAILURE.items() for code in codes
}
_PERMISSIONS = range(200, 300)


def judge_code(code: int, *, other: Failure = Failure.CONTENT) -> Failure:
    """Say what a code asks for; `other` is for codes that are newer than this list."""
    return Failure.CONFIG if code in _PERMISSIONS else CODES.get(code, other)

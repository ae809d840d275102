"""What Twilio's error codes ask for: https://www.twilio.com/docs/api/errors.

Read by `twilio`, for answers and for receipts. Those of WhatsApp stand for Meta's own, see
https://www.twilio.com/docs/whatsapp/api/error-code-mapping.
"""

from adapters.channels.phone import Codes
from engine.events import Failure

_FAILURES = {
    Failure.ADDRESS_DEAD: (
        21211,  # invalid `To`
        21217,  # a call: the number does not appear to be valid
        30005,  # unknown destination handset
    ),
    Failure.NOT_THERE: (
        21614,  # not a mobile number
        21635,  # a landline
        30006,  # a landline, or a carrier that can't be reached
        21612,  # no way from this sender to this number
        # What the account may not reach is as good as not there: as a fault of the account it
        # would stop the channel for everybody else too.
        21408,  # no permission for the region of `To`, messages
        21215,  # likewise, calls
        21608,  # trial account: `To` is not verified, messages
        21219,  # likewise, calls
        21216,  # the account may not call this number
        63003,  # the channel did not find `To`
        63015,  # WhatsApp sandbox: they have not joined
        63024,  # invalid recipient: not on WhatsApp, or with too old an app
        63106,  # RCS: the handset can't
    ),
    Failure.UNREACHABLE: (
        21214,  # a call: `To` can't be reached
        30003,  # the handset is off or out of reach
        30004,  # blocked: by the handset's owner, or by the carrier
        30007,  # filtered by the carrier
        30036,  # the validity period is over
        63029,  # the receiver failed to download the template
        63032,  # limits of WhatsApp: an experiment of Meta's
        63049,  # Meta chose not to deliver this marketing message
    ),
    Failure.CONSENT: (
        21610,  # they said STOP
        63014,  # blocked by an action of the user
    ),
    Failure.WINDOW: (
        63016,  # outside the window: free form is not allowed
    ),
    Failure.CONTENT: (
        21602,  # no body
        21617,  # the body is too long
        21619,  # neither body nor media
        21620,  # invalid media URL
        21654,  # a template is needed
        21655,  # no such template
        21656,  # the template's variables are invalid
        30019,  # too large for the carrier
        63005,  # the channel did not accept the content
        63006,  # it can't be formatted for the channel
        63013,  # against the channel's policy
        63019,  # media: failed to download
        63021,  # invalid content
        63027,  # no template of this name and language
        63028,  # not as many variables as the template has
        63030,  # unsupported parameter
        63040,  # the template is rejected
        63041,  # the template is paused
        63042,  # the template is disabled
    ),
    Failure.RATE: (
        10004,  # too many calls at once
        14107,  # too many messages a second
        20429,  # too many requests
        21611,  # the queue of `From` is full
        30001,  # queue overflow
        30022,  # rate of the US campaign
        30023,  # its daily cap
        63018,  # rate of the channel
        63038,  # the account's daily limit
    ),
    Failure.TRANSIENT: (
        20500,  # internal server error
        20503,  # service unavailable
        30008,  # unknown error
        30017,  # the carrier's network is congested
        30410,  # time-out at the provider behind
        63009,  # the channel answered with an error
        63010,  # internal error
        63012,  # internal error of the channel
    ),
    Failure.CONFIG: (
        10001,  # the account is not active
        20003,  # wrong credentials
        20005,  # the account is not active
        20006,  # access denied
        20404,  # no such account
        21210,  # `From` is not verified
        21212,  # invalid `From`
        21213,  # no `From`
        21603,  # no `From`
        21606,  # `From` is not ours, or can't do this
        21659,  # `From` is no number of Twilio's
        21660,  # `From` is another account's
        21661,  # `From` can't send messages
        21703,  # the messaging service has no sender
        21704,  # likewise
        21705,  # no such messaging service
        30002,  # the account is suspended
        30024,  # the sender is not provisioned at the carrier
        30032,  # a toll-free number that is not verified
        30034,  # a US number without a campaign
        63001,  # the channel refused our credentials
        63002,  # the channel did not find `From`
        63007,  # no such channel for `From`
        63008,  # the channel is misconfigured
        63020,  # not accepted as a WhatsApp business
        63022,  # invalid certificate of the business name
    ),
}

CODES = Codes(
    "Twilio", {str(code): failure for failure, codes in _FAILURES.items() for code in codes}
)

"""What Vonage's error codes ask for, of its three ways to say them.

`MESSAGES`: https://developer.vonage.com/en/api-errors/messages and the names common to all its
APIs, https://developer.vonage.com/en/api-errors. `SMS`: statuses of the SMS API,
https://developer.vonage.com/en/api-errors/sms. `RECEIPTS`: the `err-code` of its delivery
receipts, https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts.
"""

from collections.abc import Mapping, Sequence

from adapters.channels.phone import Codes
from engine.events import Failure

_MESSAGES: Mapping[Failure, Sequence[int | str]] = {
    Failure.ADDRESS_DEAD: (
        1170,  # invalid number
        1190,  # absent for good
        1430,  # invalid recipient for the channel
    ),
    Failure.NOT_THERE: (
        1050,  # the number is barred
        # The account may not reach it, and so it is as good as not there: as a fault of the
        # account it would stop the channel for everybody else too.
        1160,  # not on the account's list of destinations
        1250,  # unroutable
        1251,  # no route to the network
        1300,  # nobody in the provider's network: not on WhatsApp
        1310,  # the device can't receive it
        1470,  # a prefix the account has blocked
    ),
    Failure.UNREACHABLE: (
        1040,  # the platform could not process it, for example for its prefix
        1180,  # absent for a time
        1200,  # lost between two carriers
        1210,  # the carrier took it for spam
        1220,  # the handset is busy
        1260,  # unreachable
        1270,  # a subscriber too young for it
        1280,  # blocked by the carrier
        1282,  # blocked by the provider
        1290,  # no credit to receive it
        1330,  # unknown
        1360,  # expired
        1461,  # too many marketing messages for this person
    ),
    Failure.CONSENT: (
        1240,  # they said STOP
        1483,  # consent is not on record where it must be
    ),
    Failure.WINDOW: (
        1340,  # outside the window
    ),
    Failure.CONTENT: (
        1010,  # a parameter is missing
        1020,  # a parameter is invalid
        1021,  # an invalid tag
        1022,  # an invalid template
        1090,  # too long
        1130,  # an invalid lifetime
        1150,  # an invalid class
        1320,  # sent already
        1380,  # media: not there
        1381,  # media: too large
        1382,  # media: of a wrong type
        1410,  # a parameter of the channel is invalid
        1440,  # a type the channel has not
        1450,  # an invalid reference
        1451,  # an answer to nothing
        1482,  # content that is not on record where it must be
    ),
    Failure.RATE: (
        1000,  # throttled
        1241,  # too many requests
        1460,  # the daily limit
        1472,  # a burst that looks like fraud
        "throttled",
    ),
    Failure.TRANSIENT: (
        1030,  # internal error
        1100,  # communication failed
        1230,  # network error
        1331,  # the provider behind is in trouble
        "internal",
        "unavailable",
    ),
    Failure.CONFIG: (
        1060,  # the account is barred
        1070,  # no credit
        1080,  # the account has no REST
        1120,  # the sender is not allowed
        1140,  # not enabled for the account
        1350,  # a fee is not paid
        1370,  # an access token has expired
        1400,  # no such channel
        1420,  # the sender is invalid for the channel
        1473,  # the account looks like fraud
        1480,  # the sender's entity is not on record where it must be
        1481,  # the sender is not on record where it must be
        1484,  # another regulation
        "account-suspended",
        "forbidden",
        "invalid-api-key",
        "invalid-signature",
        "jwt-expired",
        "jwt-revoked",
        "low-balance",
        "not-found",
        "unauthorized",
        "unprovisioned",
    ),
}
_SMS: Mapping[Failure, Sequence[int | str]] = {
    Failure.ADDRESS_DEAD: (33,),  # the number is deactivated
    Failure.NOT_THERE: (7, 29),  # barred; not on the account's list of destinations
    Failure.UNREACHABLE: (6,),  # the platform could not process it, for example for its prefix
    Failure.CONTENT: (2, 3, 12, 22),  # a parameter is missing, invalid; too long; invalid network
    Failure.RATE: (1, 10),  # throttled; too many connections
    Failure.TRANSIENT: (5,),  # internal error
    # Credentials, barred, no credit, no REST, signature, sender, callback, two ways to sign.
    Failure.CONFIG: (4, 8, 9, 11, 14, 15, 23, 32),
}
_RECEIPTS: Mapping[Failure, Sequence[int | str]] = {
    Failure.ADDRESS_DEAD: (3,),  # absent for good
    Failure.NOT_THERE: (11,),  # unroutable
    # Unknown, absent for a time, barred, lost between carriers, spam, busy, unreachable, too
    # young, blocked by the carrier, no credit to receive it, any other error.
    Failure.UNREACHABLE: (1, 2, 4, 5, 6, 7, 12, 13, 14, 15, 99),
    Failure.CONSENT: (9, 53),  # they said STOP; consent is not on record where it must be
    Failure.CONTENT: (10, 52),  # illegal; content that is not on record where it must be
    Failure.TRANSIENT: (8,),  # network error
    Failure.CONFIG: (16, 50, 51, 54),  # quota; entity, sender not on record; another regulation
}


def _codes(table: Mapping[Failure, Sequence[int | str]]) -> Codes:
    failures = {str(code): failure for failure, codes in table.items() for code in codes}
    return Codes("Vonage", failures)


MESSAGES = _codes(_MESSAGES)
SMS = _codes(_SMS)
RECEIPTS = _codes(_RECEIPTS)

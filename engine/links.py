"""Links that only the way out can write: they are signed, and the engine holds no secret.

`choice.content` gives templates these stand-ins, and `adapters.channels.links` puts the signed link
in place of each when the message leaves. The domain can never exist (RFC 2606), so a stand-in that
nobody replaced leads nowhere.
"""

ORIGIN = "https://links.nextbeat.invalid/"
UNSUBSCRIBE = ORIGIN + "unsubscribe"  # no more of this purpose on this channel
PREFERENCES = ORIGIN + "preferences"  # the customer's preference centre
_CONFIRM = ORIGIN + "confirm/"

CONFIRMED = "Consent Confirmed"  # the event of following a link to confirm
CONFIRM_SOURCE = "double_opt_in"  # and its source: no client's event can have it


def confirm_link(expires_at: int) -> str:
    """Stand in for a link that confirms consent on the message's channel until an instant."""
    return f"{_CONFIRM}{expires_at}"

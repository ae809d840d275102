"""Whether a customer can be reached on a channel: an address, and what its provider said of it.

Asked by `engine.gates.reach` for each channel a message may take, and by conditions. What is said
of an address is about that address alone: another one can be reached until the contrary is known.
"""

from engine.ids import stable_hash
from engine.measures.reach import Reach
from engine.profile import Profile


def reach_key(channel: str, address: str) -> str:
    """Name an address on a channel, without saying what it is: keys are shown in places."""
    return f"{channel}/{stable_hash('reach', address).hex()}"


def find_address(profile: Profile, identity: str) -> str:
    """Find the customer's address of an identity; "" where there is none.

    A channel without an identity, like an in-app inbox, reaches every customer by their id.
    """
    if not identity or identity == "user_id":
        return profile.customer
    value = profile.traits.get(identity)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""


def given_up(profile: Profile, channel: str, address: str, now: int) -> Reach | None:
    """Give what is known of an address to which nothing is to be sent now, else None."""
    known = profile.reach.get(reach_key(channel, address)) if profile.reach else None
    return known if known is not None and known.is_given_up(now) else None

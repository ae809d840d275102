"""Hours: whether this is a time at which a channel may speak to a customer.

Called by `gates.order`. Windows are read in the customer's own zone.
"""

from zoneinfo import ZoneInfo

from engine.gates.verdict import Block
from engine.localtime import zone as find_zone
from engine.profile import Profile
from engine.program.program import Channel, Program
from engine.reasons import Reason
from engine.windows import opens_at


def zone_name(profile: Profile, program: Program) -> tuple[str, str]:
    """Name the customer's time zone and where we have it from.

    What the customer (or the business, of the customer) stated goes before what a device reported,
    and that before the workspace's default.
    """
    stated = profile.traits.get("timezone")
    if isinstance(stated, str) and find_zone(stated) is not None:
        return stated, "profile"
    if profile.context_timezone and find_zone(profile.context_timezone) is not None:
        return profile.context_timezone, "device"
    return program.defaults.timezone, "workspace"


def customer_zone(profile: Profile, program: Program) -> ZoneInfo:
    """Find the customer's time zone."""
    zone = find_zone(zone_name(profile, program)[0])
    assert zone is not None  # the checker refuses a workspace with an unknown default
    return zone


def check_window(
    profile: Profile, program: Program, channel: Channel, zone: ZoneInfo, at: int
) -> Block | None:
    """Say when the channel's window next opens."""
    if channel.session_only:
        return _check_session(profile, program, channel, at)
    if channel.window is None:
        return None
    until = opens_at(channel.window, zone, at)
    if until == at:
        return None
    seen = f"{channel.window.text} in {zone.key}"
    return Block("window", Reason.OUTSIDE_WINDOW, until, channel.window.rule, seen)


def _check_session(profile: Profile, program: Program, channel: Channel, at: int) -> Block | None:
    if profile.active_at and at - profile.active_at <= program.session_ms:
        return None
    rule = f"channels.{channel.name}.window"
    return Block("window", Reason.OUTSIDE_WINDOW, None, rule, "no session open")

"""Opt-out registries: addresses the law says are to be left alone.

Called by `choice.channel` after consent and reach. What a registry says of the customer's address
is in the profile, put there by a `Scrubbed` input, so that a decision can be made again from the
journal without the registry.

*Rules*
- Nothing goes to an address that is listed, nor to one that was not looked up yet, nor on the word
  of a list that is older than the workspace allows: whoever can't say is taken to say no.
- A registry of some countries is about customers there, and about those who may be anywhere.
"""

from engine.gates.reach import address
from engine.gates.verdict import Block
from engine.instants import format_duration
from engine.place import find_place
from engine.profile import Profile
from engine.program.program import Channel, Program, Registry
from engine.reasons import Reason


def check_registries(
    profile: Profile, program: Program, purpose: str, channel: Channel, now: int
) -> Block | None:
    """Say whether a registry stands in the way of a purpose on a channel."""
    for registry in program.registries:
        if purpose not in registry.purposes or channel.name not in registry.channels:
            continue
        country = find_place(profile, program).country if registry.countries else ""
        if country and country not in registry.countries:
            continue
        block = _check(profile, registry, channel, now)
        if block is not None:
            return block
    return None


def _check(profile: Profile, registry: Registry, channel: Channel, now: int) -> Block | None:
    rule = f"registries.{registry.name}"
    listing = profile.listings.get(f"{registry.name}/{channel.identity}")
    if listing is None or listing.address != address(profile, channel):
        return Block("registry_stale", Reason.REGISTRY_STALE, None, rule, "not looked up")
    if listing.listed:
        return Block("registry", Reason.OPT_OUT_REGISTRY, None, rule, "listed")
    if now - listing.as_of >= registry.age_ms_max:
        age = format_duration(registry.age_ms_max)
        return Block(
            "registry_stale", Reason.REGISTRY_STALE, None, rule, f"the list is older than {age}"
        )
    return None

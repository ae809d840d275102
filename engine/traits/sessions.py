"""Facts of the current session, or of the latest one, as a live trait.

Called by `engine.traits.lookup`. `evolve` counts what is viewed while a session goes on.
"""

from typing import Any

from engine.instants import SECOND_MS, format_instant
from engine.profile import Profile
from engine.traits.live import ABSENT, Look

_PAGES = ("Page Viewed", "Screen Viewed")
_PRODUCTS = ("Product Viewed",)
VIEWED = frozenset((*_PAGES, *_PRODUCTS))


def note_view(profile: Profile, name: str) -> None:
    """Count a view in the current session."""
    if name in _PRODUCTS:
        profile.session_products += 1
    else:
        profile.session_pages += 1


def begin_session(profile: Profile, at: int, name: str) -> None:
    """Begin a session with an event of a name, which is in it."""
    profile.session_at = at
    profile.session_count += 1
    profile.session_pages = int(name in _PAGES)
    profile.session_products = int(name in _PRODUCTS)


def unite_sessions(profile: Profile, other: Profile) -> None:
    """Take in the sessions of another customer; the later one is the current one."""
    profile.session_count += other.session_count
    if other.session_at > profile.session_at:
        profile.session_at = other.session_at
        profile.session_pages = other.session_pages
        profile.session_products = other.session_products
    elif other.session_at == profile.session_at:
        profile.session_pages += other.session_pages
        profile.session_products += other.session_products


def read_session(look: Look) -> Any:  # noqa: ANN401 - a map, or ABSENT
    """Give the facts of the session; ABSENT where there never was one."""
    owner = look.owner
    if not owner.session_count:
        return ABSENT
    closes_at = owner.active_at + look.book.session_ms + 1
    if closes_at > look.now:
        look.watch(closes_at)
    return {
        "count": owner.session_count,
        "is_open": closes_at > look.now,
        "started_at": format_instant(owner.session_at),
        "duration": max(0, owner.active_at - owner.session_at) // SECOND_MS,
        "pages": owner.session_pages,
        "products": owner.session_products,
    }

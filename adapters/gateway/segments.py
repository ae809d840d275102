"""Segments for whoever asks: how many are in each, who they are, and how far a review has got.

`routes` is mounted by `adapters.gateway.app`; the command line asks a data folder by the same
functions. Everything is read from the store, so what is answered is durable.
"""

from collections.abc import Sequence

from aiohttp import web

from actors.ports import Store
from actors.rows import QUARTER_MS, MemberRow, ReviewRow
from adapters.gateway.answers import answer_json
from adapters.gateway.host import Host
from adapters.gateway.parameters import (
    NoParameters,
    PageParameters,
    read_name_cursor,
    read_parameters,
    write_name_cursor,
)
from adapters.gateway.query import UnknownError, guard
from adapters.gateway.views import (
    Member,
    MemberPage,
    Segment,
    SegmentList,
    SegmentReview,
)
from engine.instants import DAY_MS, format_instant
from engine.localtime import stretch_at, zone
from engine.program.faults import suggest
from engine.program.program import Program

_LIST = "members"
_NAME_MAX = 80


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    runtime = host.runtime

    async def segments(request: web.Request) -> web.Response:
        read_parameters(request, NoParameters)
        now = runtime.clock.now()
        return answer_json(await list_segments(runtime.store, runtime.program, now))

    async def members(request: web.Request) -> web.Response:
        parameters = read_parameters(request, PageParameters)
        name = request.match_info["name"]
        check_name(name, runtime.program)
        after = read_name_cursor(_LIST, parameters.cursor)
        return answer_json(await page_members(runtime.store, name, after, parameters.limit))

    return [
        web.get("/v1/segments", guard(host, segments)),
        web.get("/v1/segments/{name:[^/]+}/members", guard(host, members)),
    ]


def check_name(name: str, program: Program) -> None:
    """Insist on a segment of the workspace. Raises UnknownError."""
    known = list(program.membership.segments)
    if name not in known:
        near = suggest(name[:_NAME_MAX], known, "segments")
        raise UnknownError(f"the workspace has no segment of this name; {near}")


async def list_segments(store: Store, program: Program, now: int) -> SegmentList:
    """Show all segments: how many are in each, and how many came and left today."""
    since_at = _midnight(program, now)
    sizes = await store.segment_sizes()
    crossings = {row.segment: row for row in await store.crossings(since_at)}
    version = program.edition
    found: list[Segment] = []
    for name, segment in sorted(program.membership.segments.items()):
        row = crossings.get(name)
        found.append(
            Segment(
                segment=name,
                condition=segment.source,
                size=sizes.get(name, 0),
                entered_today=row.entered if row is not None else 0,
                left_today=row.left if row is not None else 0,
            )
        )
    review = _review_view(await store.review(), version)
    return SegmentList(segments=found, today_since=format_instant(since_at), review=review)


async def page_members(store: Store, name: str, after: str, limit: int) -> MemberPage:
    """Show some who are in a segment, in the order of their ids."""
    rows = await store.members(name, after, limit + 1)
    return MemberPage(
        segment=name,
        members=member_views(rows[:limit]),
        next=write_name_cursor(_LIST, rows[limit - 1].customer) if len(rows) > limit else None,
    )


def member_views(rows: Sequence[MemberRow]) -> list[Member]:
    """Show who is in a segment, and since when."""
    return [Member(row.customer, format_instant(row.since)) for row in rows]


def _midnight(program: Program, now: int) -> int:
    """Find the instant at which the workspace's day began."""
    place = zone(program.defaults.timezone)
    assert place is not None
    local_ms = now + stretch_at(place, now)[0]
    midnight_ms = local_ms - local_ms % DAY_MS
    at = midnight_ms - stretch_at(place, midnight_ms - stretch_at(place, now)[0])[0]
    return at - at % QUARTER_MS


def _review_view(row: ReviewRow | None, version: int) -> SegmentReview | None:
    """Show how far the review of these segments has got; None where none was needed."""
    if row is None:
        return None
    is_ours = row.version == version
    return SegmentReview(
        done=is_ours and bool(row.ended_at),
        looked_at=row.looked if is_ours else 0,
        total=row.total,
        changed=row.changed if is_ours else 0,
        began_at=format_instant(row.began_at) if is_ours else None,
        ended_at=format_instant(row.ended_at) if is_ours and row.ended_at else None,
    )

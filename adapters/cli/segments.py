"""`nextbeat segments`: how many customers are in each segment, and who is in one."""

from pathlib import Path

import click

from adapters.cli.output import show_table, write_json
from adapters.cli.sentences import read_instant
from adapters.cli.source import limit_option, open_source, source_options
from adapters.gateway.views import SegmentReview

_LIMIT = 50
_LIMIT_MAX = 1_000_000


@click.command()
@click.argument("segment", required=False, default="")
@source_options
@limit_option(_LIMIT, _LIMIT_MAX, "With SEGMENT: how many at most, in the order of their ids.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def segments(*, segment: str, data: Path | None, url: str, limit: int, as_json: bool) -> None:
    """Show how many customers are in each segment; or who is in SEGMENT, and since when."""
    source = open_source(data, url)
    if segment:
        members = source.members(segment, limit)
        if as_json:
            write_json(members)
        elif members:
            rows = [(one.customer, read_instant(one.since)) for one in members]
            show_table(("customer", "since"), rows)
        else:
            click.echo(f"nobody is in {segment}")
        return
    found = source.segments()
    if as_json:
        write_json(found)
        return
    if not found.segments:
        click.echo("the workspace has no segments")
        return
    listed = [
        (one.segment, str(one.size), f"+{one.entered_today}", f"-{one.left_today}", one.condition)
        for one in found.segments
    ]
    show_table(("segment", "customers", "came", "left", "condition"), listed)
    click.echo(f"\ncame and left since {read_instant(found.today_since)}")
    if found.review is not None and not found.review.done:
        click.echo(_describe_review(found.review))


def _describe_review(review: SegmentReview) -> str:
    return (
        f"the segments changed: {review.looked_at} of {review.total} customers"
        f" have been looked at again, {review.changed} changed"
    )

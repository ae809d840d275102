"""Which rows of the store's twin in memory a search wants. Part of `actors.memory`."""

from actors.ports import ActQuery, ActRow, DecisionQuery, DecisionRow


def is_wanted(row: DecisionRow, query: DecisionQuery) -> bool:
    """Say whether a decision is among those that are searched for, but for the page."""
    return (
        query.customer in ("", row.customer)
        and query.journey in ("", row.journey)
        and query.reason in ("", row.reason)
        and query.outcome in ("", row.outcome)
        and (query.since_at is None or row.at >= query.since_at)
        and (query.until_at is None or row.at < query.until_at)
    )


def is_asked_for(row: ActRow, query: ActQuery) -> bool:
    """Say whether an act is among those that are searched for, but for how many."""
    return (
        query.who in ("", row.who)
        and query.act in ("", row.act)
        and query.subject in ("", row.subject)
        and (query.before is None or row.number < query.before)
        and (query.since_at is None or row.at >= query.since_at)
        and (query.until_at is None or row.at <= query.until_at)
    )

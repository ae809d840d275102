"""Prometheus metrics at `/metrics`: the counters of the runtime and the gateway, read when asked.

The hot path counts in plain integers, at 0.04 µs each; the client library's own counters cost a
microsecond. They become samples here, at scrape time. Whatever else the process registered with
the library's default registry (loop lag, memory, file descriptors) is in the same answer. The
numbers name no customer, and no key is needed, like the health routes.
"""

from collections.abc import Iterable, Mapping

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from actors.breakers import BreakerState
from actors.budgets import MICROS, Purse
from actors.calls import CallOutcome
from actors.outbox import Outbox
from actors.runtime import Counters
from adapters.gateway.host import Host

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = (
    ("received", "events_received", "Items that came in, whatever became of them."),
    ("quarantined", "events_quarantined", "Items that were not understood and were kept."),
    ("commits", "commits", "Group commits made durable."),
    ("commit_failures", "commit_failures", "Group commits the store could not make."),
    ("merges", "merges", "Customers who turned out to be others."),
    ("merges_refused", "merges_refused", "Merges an identity spoke for and that were not made."),
    ("deaths", "actor_deaths", "Actors thrown away because they failed on an input."),
    ("timers_fired", "timers_fired", "Timers that came due and were handled."),
)
_GAUGES = {
    "deferred_depth": "Timers in memory: messages and journeys waiting for their time.",
    "actor_resident": "Customers in memory.",
    "catalogue_items": "Items of the catalogue, which events are told of.",
    "actor_memory_bytes": "What the customers in memory take, as estimated.",
    "mailbox_depth": "Inputs waiting to be handled.",
    "journal_seq": "The last entry of the journal that is durable.",
    "journal_tail": "Entries a restart would have to read, because no snapshot covers them.",
    "outbox_depth": "Messages on their way out.",
    "calls_depth": "Calls of journeys to other services that are on their way.",
    "segment_review_left": "Customers to be looked at because segments or journeys changed.",
    "erasures_open": "Erasures of customers that are not done.",
}


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    own = CollectorRegistry()
    own.register(HostCollector(host))

    async def scrape(_request: web.Request) -> web.Response:
        body = generate_latest(own) + generate_latest(REGISTRY)
        return web.Response(body=body, headers={"Content-Type": _CONTENT_TYPE})

    return [web.get("/metrics", scrape)]


class HostCollector(Collector):
    """Turns plain numbers into samples."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand, so that registering reads no numbers."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Read all numbers as they are now."""
        counters = self._host.runtime.counters
        yield from _runtime_counters(counters)
        yield _decisions(counters)
        yield _calls(self._host.runtime.calls.counts)
        yield from _deliveries(self._host.runtime.outbox)
        yield _lateness(counters)
        yield from _gateway_counters(self._host)
        yield from _gauges(self._host)


def _runtime_counters(counters: Counters) -> Iterable[Metric]:
    events = CounterMetricFamily(
        "nextbeat_events", "Items that came in, by what became of them.", labels=["result"]
    )
    events.add_metric(["stored"], counters.stored)
    events.add_metric(["duplicate"], counters.duplicates)
    events.add_metric(["quarantined"], counters.quarantined)
    events.add_metric(["erased"], counters.erased)
    yield events
    for field, name, text in _COUNTERS:
        yield CounterMetricFamily(f"nextbeat_{name}", text, value=getattr(counters, field))


def _decisions(counters: Counters) -> Metric:
    family = CounterMetricFamily(
        "nextbeat_decisions",
        "Decisions made, by how they ended and why.",
        labels=["outcome", "reason", "channel"],
    )
    for (outcome, reason, channel), count in sorted(counters.decisions.items()):
        family.add_metric([outcome, reason, channel or "none"], count)
    return family


def _calls(counts: Mapping[CallOutcome, int]) -> Metric:
    family = CounterMetricFamily(
        "nextbeat_calls", "Calls of journeys to other services, by outcome.", labels=["outcome"]
    )
    for outcome in CallOutcome:
        family.add_metric([outcome.value], counts.get(outcome, 0))
    return family


def _deliveries(outbox: Outbox) -> Iterable[Metric]:
    messages = CounterMetricFamily(
        "nextbeat_messages",
        "Messages on their way out, by what became of them; `retried` are put off.",
        labels=["channel", "outcome"],
    )
    for (channel, outcome), count in sorted(outbox.counts.items()):
        messages.add_metric([channel, outcome], count)
    yield messages
    attempts = CounterMetricFamily(
        "nextbeat_provider_attempts",
        "Attempts to hand messages to providers, by what they came to.",
        labels=["channel", "provider", "outcome"],
    )
    for channel, provider, outcome, count in sorted(outbox.attempts()):
        attempts.add_metric([channel, provider, outcome], count)
    yield attempts
    state = GaugeMetricFamily(
        "nextbeat_provider_down",
        "1 while nothing is sent by a provider, because of its state.",
        labels=["channel", "provider", "cause"],
    )
    for one in outbox.standings():
        is_down = one.state is not BreakerState.CLOSED
        state.add_metric([one.channel, one.provider, one.cause or "none"], 1.0 if is_down else 0.0)
    yield state
    yield from _money(outbox.purse)


def _money(purse: Purse) -> Iterable[Metric]:
    spent = GaugeMetricFamily(
        "nextbeat_spent_today", "What messages cost today, by channel.", labels=["channel"]
    )
    for channel, micros in sorted(purse.spent.items()):
        spent.add_metric([channel], micros / MICROS)
    yield spent
    budget = GaugeMetricFamily(
        "nextbeat_budget",
        "What messages may cost in a day, by channel; all of them together are `all`.",
        labels=["channel"],
    )
    for channel, micros in sorted(purse.prices.budgets.items()):
        budget.add_metric([channel], micros / MICROS)
    if purse.prices.budget is not None:
        budget.add_metric(["all"], purse.prices.budget / MICROS)
    yield budget


def _lateness(counters: Counters) -> Metric:
    # The runtime counts by powers of two: what is in place n took less than 2**n ms.
    buckets: list[tuple[str, float]] = []
    total = 0
    for place, count in enumerate(counters.timer_lateness):
        total += count
        is_last = place == len(counters.timer_lateness) - 1
        buckets.append(("+Inf" if is_last else str((2**place - 1) / 1_000), total))
    family = HistogramMetricFamily(
        "nextbeat_deferred_lateness_seconds", "How late timers were handled."
    )
    family.add_metric([], buckets, sum_value=None)
    return family


def _gateway_counters(host: Host) -> Iterable[Metric]:
    counters = host.counters
    yield CounterMetricFamily(
        "nextbeat_requests", "Ingest requests, whatever the answer.", value=counters.requests
    )
    refused = CounterMetricFamily(
        "nextbeat_requests_refused", "Whole requests refused, by code.", labels=["code"]
    )
    for code, count in sorted(counters.refused.items()):
        refused.add_metric([code], count)
    yield refused
    mended = CounterMetricFamily(
        "nextbeat_events_tolerated", "What was mended in passing, by kind.", labels=["what"]
    )
    for what, count in sorted(counters.tolerated.items()):
        mended.add_metric([what], count)
    yield mended
    yield CounterMetricFamily(
        "nextbeat_connections_refused",
        "Connections beyond the cap.",
        value=counters.connections_refused,
    )


def _gauges(host: Host) -> Iterable[Metric]:
    unready = 1.0 if host.runtime.unready() else 0.0
    yield GaugeMetricFamily(
        "nextbeat_unready", "1 while this shard can't take inputs.", value=unready
    )
    for name, value in sorted(host.runtime.gauges().items()):
        text = _GAUGES.get(name, name.replace("_", " ").capitalize() + ".")
        yield GaugeMetricFamily(f"nextbeat_{name}", text, value=value)

"""Health and metrics, as load balancers and Prometheus ask for them."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from actors.breakers import BreakerState, Standing
from actors.budgets import Prices, Purse
from adapters.gateway import health, metrics
from adapters.telemetry.metrics import LoopLag
from tests.e2e.reading_host import NOW, ScriptedOutbox, Served, serve


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(health.routes, metrics.routes) as running:
        yield running


async def samples(served: Served) -> dict[str, float]:
    async with served.session.get(served.url + "/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await response.text()
    return read(text)


def read(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_a_healthy_shard_says_ok_without_a_key(served: Served, path: str) -> None:
    assert await served.get(path, 200, {"X-Other": "1"}) == {"status": "ok", "reason": ""}


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
async def test_a_shard_that_recovers_is_alive_but_not_ready(served: Served, path: str) -> None:
    served.runtime.not_ready = "recovering: 40 % of the journal is read"
    found = await served.get(path, 503)
    assert found == {"status": "unready", "reason": "recovering: 40 % of the journal is read"}
    async with served.session.get(served.url + path) as response:
        assert response.headers["Retry-After"] == "1"
    assert (await served.get("/livez"))["status"] == "ok"
    assert (await samples(served))["nextbeat_unready"] == 1


async def test_counters_are_exported_as_they_are_when_asked(served: Served) -> None:
    counters = served.runtime.counters
    before = await samples(served)
    assert before["nextbeat_events_total{result=stored}"] == 0
    counters.received, counters.stored, counters.duplicates, counters.quarantined = 10, 6, 3, 1
    counters.commits = 4
    counters.decisions = {("send", "sent", "email"): 2, ("drop", "unreachable", ""): 5}
    served.host.counters.requests = 7
    served.host.counters.count_refused("overloaded")
    served.host.counters.count_tolerated("nan", 3)
    found = await samples(served)
    assert found["nextbeat_events_received_total"] == 10
    assert found["nextbeat_events_total{result=stored}"] == 6
    assert found["nextbeat_events_total{result=duplicate}"] == 3
    assert found["nextbeat_events_quarantined_total"] == 1
    assert found["nextbeat_commits_total"] == 4
    sent = "nextbeat_decisions_total{channel=email,outcome=send,reason=sent}"
    assert found[sent] == 2
    dropped = "nextbeat_decisions_total{channel=none,outcome=drop,reason=unreachable}"
    assert found[dropped] == 5
    assert found["nextbeat_requests_total"] == 7
    assert found["nextbeat_requests_refused_total{code=overloaded}"] == 1
    assert found["nextbeat_events_tolerated_total{what=nan}"] == 3


async def test_whatever_gauges_the_runtime_has_are_exported(served: Served) -> None:
    served.runtime.numbers = {"actor_resident": 12.0, "something_new": 0.5}
    found = await samples(served)
    assert found["nextbeat_actor_resident"] == 12
    assert found["nextbeat_something_new"] == 0.5
    assert found["nextbeat_unready"] == 0


async def test_lateness_of_timers_is_a_histogram(served: Served) -> None:
    lateness = served.runtime.counters.timer_lateness
    lateness[0], lateness[3], lateness[-1] = 5, 2, 1  # on time; 4 to 7 ms; beyond all
    found = await samples(served)
    assert found["nextbeat_deferred_lateness_seconds_bucket{le=0.0}"] == 5
    assert found["nextbeat_deferred_lateness_seconds_bucket{le=0.003}"] == 5
    assert found["nextbeat_deferred_lateness_seconds_bucket{le=0.007}"] == 7
    assert found["nextbeat_deferred_lateness_seconds_bucket{le=+Inf}"] == 8


async def test_a_label_from_outside_can_not_break_the_text(served: Served) -> None:
    served.runtime.counters.decisions = {("send", "sent", 'a"b\\c\nd'): 1}
    found = await samples(served)
    assert found['nextbeat_decisions_total{channel=a"b\\c\nd,outcome=send,reason=sent}'] == 1


async def test_loop_lag_is_measured_and_gone_when_stopped() -> None:
    registry = CollectorRegistry()
    lag = LoopLag(registry, every_s=0.001)
    assert "nextbeat" not in generate_latest(registry).decode()
    lag.start()
    turned = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, turned.set)
    await turned.wait()
    found = read(generate_latest(registry).decode())
    assert found["nextbeat_loop_lag_max_seconds"] >= found["nextbeat_loop_lag_seconds"] >= 0
    assert found["nextbeat_loop_lag_max_seconds"] > 0
    lag.stop()
    assert "nextbeat" not in generate_latest(registry).decode()


async def test_a_provider_that_is_down_is_named_and_the_shard_is_ready_all_the_same(
    served: Served,
) -> None:
    outbox = cast("ScriptedOutbox", served.runtime.outbox)
    outbox.told = [Standing("sms", "twilio", BreakerState.OPEN, "config", NOW)]
    outbox.counts = {("sms", "retried"): 2}
    outbox.tried = [("sms", "twilio", "config", 3)]
    outbox.purse = Purse(Prices({"sms": 350_000}, {"sms": 2_000_000}, 9_000_000))
    outbox.purse.pay("sms", NOW)
    ready = await served.get("/readyz", 200)
    assert ready["providers"] == ["sms: twilio is open (config)"]
    found = await samples(served)
    assert found["nextbeat_provider_down{cause=config,channel=sms,provider=twilio}"] == 1
    assert found["nextbeat_messages_total{channel=sms,outcome=retried}"] == 2
    tried = "nextbeat_provider_attempts_total{channel=sms,outcome=config,provider=twilio}"
    assert found[tried] == 3
    assert found["nextbeat_spent_today{channel=sms}"] == 0.35
    assert found["nextbeat_budget{channel=sms}"] == 2
    assert found["nextbeat_budget{channel=all}"] == 9

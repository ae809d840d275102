"""Whatever is done to a workspace: it compiles, or it is refused with places. It never crashes."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings, strategies as st

from actors.trials import play
from adapters.files.yaml12 import read_yaml
from engine.errors import Problem, ProgramError
from engine.program.compile import compile_source
from engine.program.doubts import find_doubts
from engine.program.plain import dict_or_none, list_or_none
from engine.program.trials import read_trials

SOUND = read_yaml(
    """
workspace: shop
consent: {marketing: {default: opt_out, DE: opt_in}}
channels:
  email: {adapter: smtp, identity: email, window: "09:00-20:00", caps: [2 / 24h], substitute: app}
  chat: {adapter: log, identity: phone, reply_window: 24h, reply_event: Chat Received}
  app: {adapter: inbox, window: session, settings: {key: {env: KEY}}}
message_types:
  promotional: {purpose: marketing, channels: [email, app], expires: 2d, ignores: [caps]}
  small:
    purpose: marketing
    channels: [chat]
    window: {mon-fri: ["08:00-12:00", "14:00-18:00"]}
    caps: [1 / calendar_week]
    priority: 20
    release: newest
    on_block: [enrich, drop]
    ignores: [regions]
policies:
  caps: [{channels: [email], purposes: [marketing], limit: 3 / calendar_day}]
  backoff: {from: 0.5, gap: 2h}
  suppress: [{name: bought, after: Paid, if: event.total > 5, for: 1d}]
  holidays: {calendar: customer, purposes: [marketing], except: [2026-12-26]}
  blackouts:
    - {name: rest, from: 2026-12-24, to: 2027-01-02, except: [2026-12-29], channels: [email]}
    - {name: move, from: 2026-06-01, countries: [ZA], purposes: [marketing]}
  regions: [ZA, US]
  engagement: {window: 30d, least: 4, high: {rate: 0.5, factor: 1.5}, low: {rate: 0.1, factor: 0.5}}
  look_ahead: 6h
  release: {policy: best, spread: 30m}
  pacing: {per_second: 50, burst: 10}
messages:
  hint:
    type: small
    priority: 30
    content: {default: {body: hi, template: hint}}
    enrich: {hinted: true, score: {cel: event.age + 1}}
  hello: {type: promotional, content: {email: {subject: "{{ profile.name }}"}, app: {body: hi}}}
traits:
  orders: {count: Paid, window: 30d, if: event.total > 5}
  likes: {affinity: [Seen, Paid], of: kind, half_life: 10d, weights: {Paid: 3}}
  rate: {expr: profile.orders * 2}
segments: {vip: 'sum("Paid", "total", "30d") > 9', known: in_segment("vip")}
journeys:
  greeting:
    trigger: {event: Signed Up, if: event.age > 17}
    goal: {event: Paid, within: 3d}
    steps:
      - {send: hello, id: first, channel: email}
      - wait_for: {engagement: first, kinds: [opened], up_to: 1d}
        then: [{set: {a: 1, b: {cel: event.age}}}, {exit: done}]
        else: [{if: in_segment("vip"), then: [{start: later}]}]
      - wait: {until: Mon 09:00}
  later: {steps: [{wait: 1h}, {start: greeting}]}
  many:
    trigger: {event: Paid}
    steps:
      - switch: profile.tier
        cases: {gold: [{decide: [hello, hint], id: best}], silver: []}
        else: [{set: {journey.n: 1, journey.m: {cel: entry.total + 1}}}]
      - split: {a: 1, b: 2.5}
        cases: {a: [{wait: 1h}]}
      - parallel: {x: [{wait: 1h}, {send: hint}], y: [{wait_for: {event: Seen}}]}
        join: any
      - {repeat: 3, while: journey.n < 9, steps: [{wait: 1d}, {emit: Left, properties: {n: 1}}]}
tests:
  greets:
    customer:
      traits: {name: Ana}
      consents: {marketing: {email: granted}}
      past: [{event: Paid, ago: 3d}]
    from: "2026-03-02T10:00"
    given:
      - {event: Signed Up, properties: {age: 20}}
      - {at: +1h, receipt: {message: hello, status: opened}}
      - {at: "Mon 10:00", consent: {purpose: marketing, status: withdrawn}}
      - {at: "tomorrow 10:00", identify: {name: Ben}}
    until: +9d
    expect: [hello, {message: hint, outcome: defer, at: +1h, next_eligible: "09:00"}]
    ends: {greeting: done}
    stays_in: [later]
    traits: {a: 1}
""",
    "shop.yaml",
)
Walk = tuple[str | int, ...]


def walk(value: object, path: Walk = ()) -> Iterator[Walk]:
    yield path
    for key, item in (dict_or_none(value) or {}).items():
        yield from walk(item, (*path, key))
    for index, item in enumerate(list_or_none(value) or ()):
        yield from walk(item, (*path, index))


PATHS = [path for path in walk(SOUND.value) if path]
PLAIN = st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats(-9, 9) | st.text(max_size=9)
WORDS = st.sampled_from(
    ["email", "greeting", "1h", "2 / 24h", "{% if", "event.a >", "a/b", "", "{{"]
)
VALUES = st.recursive(
    PLAIN | WORDS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(WORDS | st.text(), inner, max_size=2)
    ),
    max_leaves=4,
)


def put(raw: Any, path: Walk, value: object) -> None:
    for key in path[:-1]:
        raw = raw[key]
    raw[path[-1]] = value


def test_the_workspace_that_is_spoilt_is_sound() -> None:
    assert SOUND.problems == []
    assert len(compile_source(SOUND.value, SOUND.places).journeys) == 3


def find_faults(raw: dict[str, Any]) -> list[Problem]:
    try:
        program = compile_source(raw, SOUND.places)
        find_doubts(raw, SOUND.places, program)
        for trial in read_trials(raw, SOUND.places):
            play(trial, program)
    except ProgramError as error:
        return error.problems or [Problem("$", "refused without a reason")]
    return []


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(PATHS), VALUES)
def test_a_spoilt_workspace_compiles_or_is_refused_with_places(path: Walk, value: object) -> None:
    raw = copy.deepcopy(SOUND.value)
    put(raw, path, value)
    for fault in find_faults(raw):
        assert 0 < len(fault.message) < 600
        assert fault.line > 0 or "plain values" in fault.message


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(PATHS), st.sampled_from(PATHS))
def test_parts_put_in_wrong_places_never_crash_the_checker(to: Walk, source: Walk) -> None:
    raw = copy.deepcopy(SOUND.value)
    part: Any = SOUND.value
    for key in source:
        part = part[key]
    put(raw, to, copy.deepcopy(part))
    assert all(fault.line > 0 for fault in find_faults(raw))

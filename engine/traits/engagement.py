"""Engagement by channel as live traits, and which channel a customer has most to do with.

Called by `engine.traits.lookup`; `evolve` calls `note_contact` with what was sent and what came
back. Scores halve every 30 days; they are looked at again at each step of 11 hours and 15 minutes.
"""

from collections.abc import Mapping
from typing import Any

from engine.measures.affinity import STEPS, step_ends_at, step_of
from engine.measures.engaged import (
    HALF_LIFE_MS,
    STATUSES,
    Engaged,
    note_engaged,
    scores_at,
)
from engine.profile import Measure
from engine.traits.live import ABSENT, Look

_KEY = "engaged/"
_PLACES = 4
_SENT_LEAST = 0.01  # below it, what was sent is so long ago that it tells nothing
# A channel nobody has used much is taken for one on which every tenth message is engaged with, as
# firmly as ten messages would show it.
_PRIOR_SENT, _PRIOR_ENGAGED = 10.0, 1.0
_RATES = {
    "delivery_rate": ("delivered", "sent"),
    "open_rate": ("opened", "delivered"),
    "click_rate": ("clicked", "delivered"),
    "reply_rate": ("replied", "delivered"),
}


def note_contact(
    measures: dict[str, Measure], channel: str, status: str, at: int, *, hour: int = -1
) -> None:
    """Count what was sent on a channel, or what came back about it."""
    if status not in STATUSES:
        return
    key = _KEY + channel
    engaged = measures.get(key)
    if not isinstance(engaged, Engaged):
        engaged = measures[key] = Engaged(step_of(at, HALF_LIFE_MS))
    note_engaged(engaged, status, at, hour)


def note_sent(measures: dict[str, Measure], channel: str, at: int) -> None:
    """Count a message that was sent on a channel, at the latest instant there was."""
    engaged = measures.get(_KEY + channel)
    if isinstance(engaged, Engaged) and engaged.step == at * STEPS // HALF_LIFE_MS:
        engaged.sent += 1.0
    else:
        note_contact(measures, channel, "sent", at)


def read_engagement(look: Look) -> Any:  # noqa: ANN401 - a map, or ABSENT
    """Give, by channel, scores, rates and the best hour."""
    found = {channel: _describe(engaged, look.now) for channel, engaged in _channels(look)}
    if not found:
        return ABSENT
    _watch(look)
    return found


def read_preferred_channel(look: Look) -> Any:  # noqa: ANN401 - a name, or ABSENT
    """Give the channel with the best rate of engagement, an unknown one taken for middling."""
    best, best_rate = "", 0.0
    for channel, engaged in _channels(look):
        if scores_at(engaged, look.now)["sent"] < _SENT_LEAST:
            continue
        sent, answered = _engaged(engaged, look.now)
        rate = (answered + _PRIOR_ENGAGED) / (sent + _PRIOR_SENT)
        if rate > best_rate:
            best, best_rate = channel, rate
    if not best:
        return ABSENT
    _watch(look)
    return best


def engaged_of(measures: Mapping[str, Measure], channel: str, now: int) -> tuple[float, float]:
    """Give how many messages a customer got on a channel, and how many they did something with."""
    engaged = measures.get(_KEY + channel)
    return _engaged(engaged, now) if isinstance(engaged, Engaged) else (0.0, 0.0)


def _engaged(engaged: Engaged, now: int) -> tuple[float, float]:
    scores = scores_at(engaged, now)
    sent = max(scores["sent"], scores["delivered"])
    return sent, min(sent, scores["opened"] + scores["clicked"] + scores["replied"])


def _channels(look: Look) -> list[tuple[str, Engaged]]:
    """List the channels on which something was sent, by name."""
    return sorted(
        (key.removeprefix(_KEY), measure)
        for key, measure in look.owner.measures.items()
        if isinstance(measure, Engaged)
    )


def _watch(look: Look) -> None:
    look.watch(step_ends_at(step_of(look.now, HALF_LIFE_MS), HALF_LIFE_MS))


def _describe(engaged: Engaged, now: int) -> dict[str, Any]:
    scores = scores_at(engaged, now)
    # Not every provider tells of deliveries; then what was sent stands for what was delivered.
    whole = {**scores, "delivered": scores["delivered"] or scores["sent"]}
    described: dict[str, Any] = {name: round(score, _PLACES) for name, score in scores.items()}
    for name, (part, of) in _RATES.items():
        described[name] = round(min(1.0, scores[part] / whole[of]), _PLACES) if whole[of] else 0.0
    if engaged.hours:
        by_hour = [sum(engaged.hours[hour::24]) for hour in range(24)]
        described["best_hour"] = by_hour.index(max(by_hour))
        described["best_hour_of_week"] = engaged.hours.index(max(engaged.hours))
    return described

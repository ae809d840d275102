"""The best channel for a message: what it is likely to bring there, less what it costs.

Called by `choice.channel` for types that say `choose: best`, and by `proposals` for the trace.

*Rules*
- A score is `value x p - cost`: what the message is worth, the chance that this customer does
  something with it on that channel, and the price of one message there.
- The chance is `(prior x 10 + engaged) / (10 + sent)`. What is not known of a customer is taken to
  be as the channel's `engagement` says, as firmly as ten messages would show it.
- An urgent type takes the quickest channel first, by `latency`; one without is slower than any.
- What is even goes in the order of the type's `channels`.
"""

import msgspec

from engine.instants import NEVER_AT, format_duration
from engine.profile import Profile
from engine.program.program import Message, Program
from engine.traits.engagement import engaged_of

PRIOR_SENT = 10.0


class Score(msgspec.Struct, frozen=True, gc=False):
    """How good a channel is for a message to a customer, and why."""

    channel: str
    value: float
    chance: float
    cost: float
    latency_ms: int | None
    is_urgent: bool

    @property
    def total(self) -> float:
        """Give what is expected of it."""
        return self.value * self.chance - self.cost

    @property
    def rank(self) -> tuple[int, float]:
        """Give what channels are ordered by, the best first."""
        latency_ms = NEVER_AT if self.latency_ms is None else self.latency_ms
        return latency_ms if self.is_urgent else 0, -self.total

    def __str__(self) -> str:
        """Write the score with its terms, as a trace shows it."""
        said = f"{self.total:.4f}: p={self.chance:.4f} value={self.value:g} cost={self.cost:g}"
        if not self.is_urgent:
            return said
        latency_ms = self.latency_ms
        return f"{said} latency={'-' if latency_ms is None else format_duration(latency_ms)}"


def rank_channels(profile: Profile, program: Program, message: Message, now: int) -> list[Score]:
    """Score the channels of a message's type, the best first."""
    scores: list[Score] = []
    for name in message.type.channels:
        channel = program.channels.get(name)
        if channel is None:
            continue
        sent, engaged = engaged_of(profile.measures, name, now)
        chance = (channel.engagement * PRIOR_SENT + engaged) / (PRIOR_SENT + sent)
        scores.append(
            Score(
                name, message.value, chance, channel.cost, channel.latency_ms,
                message.type.is_urgent,
            )
        )  # fmt: skip
    return sorted(scores, key=lambda score: score.rank)

"""Who hears of decisions as they become durable: live feeds, and programs that embed the engine."""

from collections.abc import Callable, Sequence

from engine.records import Decided

DecisionListener = Callable[[Sequence[tuple[str, Decided]]], None]


class Audience:
    """The listeners of one shard."""

    def __init__(self) -> None:
        self._listeners: list[DecisionListener] = []

    def join(self, listener: DecisionListener) -> Callable[[], None]:
        """Have a listener called from now on; gives the way to stop it."""
        self._listeners = [*self._listeners, listener]

        def leave() -> None:
            self._listeners = [other for other in self._listeners if other is not listener]

        return leave

    def tell(self, decided: Sequence[tuple[str, Decided]]) -> None:
        """Tell everybody of decisions, with the customer of each."""
        for listener in self._listeners:
            listener(decided)

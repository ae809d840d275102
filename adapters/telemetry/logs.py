"""The program's log: one line per happening, JSON for machines or coloured text for people.

Set up once by `adapters.app` before anything else starts; everybody else only calls
`structlog.get_logger()`. Lines of the standard `logging` module (aiohttp, asyncio) take the same
way. Decisions are not logged: they are in the audit store, where they can be searched.

Rules
- What identifies or authorises a person or a program never reaches a log line: e-mail addresses,
  phone numbers, tokens and passwords are replaced by what they were, like `[email]`.
- One repeating warning can't fill a disk: of each event `burst` lines a minute are written, the
  next line says how many were left out.
- A line is one line: control characters in values are written as escapes.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from itertools import islice
from typing import IO, Any, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from adapters.masking import SECRET, SECRET_KEYS, mask_text, names_to_hide
from engine.program.privacy import Pii, same_name

_DEPTH_MAX = 6
_ITEMS_MAX = 100

_marked: frozenset[str] = frozenset(names_to_hide(Pii()))  # what the workspace in force marks

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_TRUSTED = frozenset({"level", "timestamp", "logger"})  # written by us, never from outside


def configure(level: str = "info", *, json: bool = True, stream: IO[str] | None = None) -> None:
    """Set up logging for the whole process; calling it again replaces the set-up before."""
    number = _LEVELS.get(level.lower())
    if number is None:
        message = f"{level[:80]!r} is not a log level: one of {', '.join(_LEVELS)}"
        raise ValueError(message)
    target = sys.stderr if stream is None else stream
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *before],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(json=json, colors=target.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            RepeatLimit(),
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what a log must not hold, in every value of a line, however deep."""
    for key, value in event.items():
        if key not in _TRUSTED and not key.startswith("_"):
            event[key] = _mask_value(key, value, _DEPTH_MAX)
    return event


def mark(pii: Pii) -> None:
    """Hide from now on what a workspace marks as personal, besides what always is."""
    global _marked  # noqa: PLW0603 - there is one log, whatever is in force
    _marked = frozenset(names_to_hide(pii))


def _mask_value(key: str, value: object, depth: int) -> object:
    named = f"[{key.lower()}]" if same_name(key) in _marked else None
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        # A phone number may have become an integer; instants and counters stay.
        return named or value
    if named is not None or SECRET_KEYS.search(key) is not None:
        return named or SECRET
    return _mask_nested(key, value, depth)


def _mask_nested(key: str, value: object, depth: int) -> object:
    if isinstance(value, Mapping):
        return _mask_mapping(cast("Mapping[object, object]", value), depth)
    if isinstance(value, list | tuple | set | frozenset):
        return _mask_items(key, cast("Iterable[object]", value), depth)
    return _mask_one(key, value)


def _mask_one(key: str, value: object) -> object:
    if isinstance(value, bytes | bytearray):
        return f"({len(value)} bytes)"
    text = mask_text(value if isinstance(value, str) else repr(value))
    # A traceback is our own text and meant to be read in lines; everything else stays on one.
    return text if key in ("exception", "stack") else _CONTROL.sub(_escape, text)


def _mask_mapping(value: Mapping[object, object], depth: int) -> object:
    if depth == 0:
        return "…"
    shown = islice(value.items(), _ITEMS_MAX)
    return {mask_text(str(key)): _mask_value(str(key), item, depth - 1) for key, item in shown}


def _mask_items(key: str, items: Iterable[object], depth: int) -> object:
    if depth == 0:
        return "…"
    return [_mask_value(key, item, depth - 1) for item in islice(items, _ITEMS_MAX)]


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


class RepeatLimit:
    """Lets at most `burst` lines of one event through per window; says what it left out.

    Only warnings and errors are limited: below that, the level is the means of choice.
    """

    def __init__(
        self,
        burst: int = 20,
        window_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._window_s = window_s
        self._clock = clock
        self._seen: dict[str, list[float]] = {}  # event -> [window began, written, left out]

    def __call__(
        self, _logger: WrappedLogger, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Pass a line on, or drop it."""
        if method in ("debug", "info"):
            return event
        now, name = self._clock(), str(event.get("event", ""))[:200]
        state = self._seen.get(name)
        if state is None or now - state[0] >= self._window_s:
            self._begin(name, state, now, event)
            return event
        if state[1] >= self._burst:
            state[2] += 1
            raise structlog.DropEvent
        state[1] += 1
        return event

    def _begin(
        self, name: str, state: list[float] | None, now: float, event: MutableMapping[str, Any]
    ) -> None:
        if state is not None and state[2]:
            event["left_out"] = int(state[2])
        if state is None and len(self._seen) >= _ITEMS_MAX * 10:
            self._seen.pop(next(iter(self._seen)))
        self._seen[name] = [now, 1, 0]


def _renderer(*, json: bool, colors: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(serializer=_serialise)
    return structlog.dev.ConsoleRenderer(colors=colors)


def _serialise(value: object, **_: object) -> str:
    return msgspec.json.encode(value, enc_hook=repr).decode()

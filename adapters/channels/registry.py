"""Makes the channels a workspace asks for: adapter by name, settings checked, secrets looked up.

Called by the composition root with the compiled program's channels; `actors.outbox` gets what
comes out. All faults of all channels are reported together, each with the place in the workspace
and the environment variable that would mend it.

A value in `settings` may be `{env: NAME}`; secrets must be. What `settings` does not say is taken
from the variables an adapter's `defaults` name.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import msgspec

from actors.lanes import ATTEMPTS, Pacing
from actors.outbox import BACKUP
from actors.ports import Channel
from adapters.channels import (
    africastalking,
    apns,
    audience,
    fcm,
    inbox,
    log,
    long_tail,
    messagebird,
    smtp,
    twilio,
    ussd,
    vonage,
    webhook,
    webpush,
    whatsapp_cloud,
)
from adapters.channels.adapter import Adapter, Workshop
from adapters.channels.inbox import InboxChannel
from adapters.channels.links import URL_VARIABLE
from adapters.channels.ussd import UssdChannel
from adapters.channels.wire import Wire
from adapters.inbox import Inbox, tell_time
from adapters.signing import SECRET_VARIABLE, Signer
from engine.errors import Problem, ProgramError
from engine.instants import parse_duration
from engine.program.program import Channel as ChannelProgram

INBOX_FILE = "inbox.db"
_REFERENCE = "env"
_PACING = "pacing"
_PER_SECOND_MAX = 1_000_000


class PacingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`settings.pacing` of a channel, as a team writes it."""

    per_second: float | None = None
    burst: int = 1
    concurrency: int = 16
    timeout: str = "30s"
    attempts: int = ATTEMPTS
    retry_for: str = "1d"

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if self.per_second is not None and not 0 < self.per_second <= _PER_SECOND_MAX:
            raise ValueError("per_second must be more than 0")
        if self.burst < 1 or self.attempts < 1 or not 1 <= self.concurrency <= 1_000:  # noqa: PLR2004
            raise ValueError("burst and attempts must be at least 1, concurrency 1 to 1000")
        if parse_duration(self.timeout) < 1:
            raise ValueError("timeout must be longer than nothing")
        parse_duration(self.retry_for)


_ADAPTERS: Mapping[str, Adapter] = {
    "africastalking": africastalking.ADAPTER,
    "apns": apns.ADAPTER,
    "apprise": long_tail.ADAPTER,
    "audience": audience.ADAPTER,
    "desk": inbox.ADAPTER,  # waits as in-app messages do, for whoever serves the customer
    "fcm": fcm.ADAPTER,
    "inbox": inbox.ADAPTER,
    "log": log.ADAPTER,
    "messagebird": messagebird.ADAPTER,
    "smtp": smtp.ADAPTER,
    "twilio": twilio.ADAPTER,
    "vonage": vonage.ADAPTER,
    "ussd": ussd.ADAPTER,
    "webhook": webhook.ADAPTER,
    "webpush": webpush.ADAPTER,
    "whatsapp_cloud": whatsapp_cloud.ADAPTER,
}


def build_channels(
    channels: Mapping[str, ChannelProgram],
    data_dir: Path | None,
    environment: Mapping[str, str],
    present: Callable[[], int] = tell_time,
) -> dict[str, Channel]:
    """Make every channel of a program; nothing is opened yet. Raises ProgramError.

    A channel's other provider is there under the channel's name and `BACKUP`. `data_dir` None keeps
    in-app messages in memory. `present` is business time.
    """
    problems: list[Problem] = []
    signer = _read_signer(environment, problems)
    box = Inbox(None if data_dir is None else data_dir / INBOX_FILE, present)
    workshop = Workshop(box, signer, Wire(), environment.get(URL_VARIABLE, "").rstrip("/"))
    built: dict[str, Channel] = {}
    for name, channel in with_backups(channels).items():
        made = _build_channel(name, channel, workshop, environment, problems)
        if made is not None:
            built[name] = made
    if problems:
        raise ProgramError(problems)
    return built


def with_backups(channels: Mapping[str, ChannelProgram]) -> dict[str, ChannelProgram]:
    """List channels by name, and as one of its own each that steps in for one, after it."""
    found: dict[str, ChannelProgram] = {}
    for name, channel in channels.items():
        found[name] = channel
        backup = channel.backup
        if backup is not None:
            found[name + BACKUP] = msgspec.structs.replace(
                channel, adapter=backup.adapter, settings=backup.settings, backup=None
            )
    return found


def _place(name: str) -> str:
    """Tell where in the workspace a channel is written, or what steps in for one."""
    return f"channels.{name.replace(BACKUP, '.backup')}"


def name_providers(channels: Mapping[str, ChannelProgram]) -> dict[str, str]:
    """Tell what carries each channel, under the names that `build_channels` gives them."""
    return {name: channel.adapter for name, channel in with_backups(channels).items()}


def build_pacing(channels: Mapping[str, ChannelProgram]) -> dict[str, Pacing]:
    """Read how fast and how patiently each channel is to be used. Raises ProgramError."""
    problems: list[Problem] = []
    pacing: dict[str, Pacing] = {}
    for name, channel in with_backups(channels).items():
        path = f"{_place(name)}.settings.{_PACING}"
        written = channel.settings.get(_PACING, {})
        settings = _convert(written, PacingSettings, path, problems)
        if isinstance(settings, PacingSettings):
            pacing[name] = Pacing(
                rate_per_second=settings.per_second,
                burst=settings.burst,
                concurrency=settings.concurrency,
                timeout_ms=parse_duration(settings.timeout),
                attempts=settings.attempts,
                retry_ms=parse_duration(settings.retry_for),
            )
    if problems:
        raise ProgramError(problems)
    return pacing


def find_inbox(channels: Mapping[str, Channel]) -> Inbox | None:
    """Find the inbox that built channels share, for the gateway's routes; None if none uses it."""
    for channel in channels.values():
        if isinstance(channel, InboxChannel):
            return channel.inbox
    return None


def find_lines(channels: Mapping[str, Channel]) -> dict[str, UssdChannel]:
    """Find the built channels that answer USSD, by name, for the gateway's routes."""
    return {name: one for name, one in channels.items() if isinstance(one, UssdChannel)}


def _build_channel(
    name: str,
    channel: ChannelProgram,
    workshop: Workshop,
    environment: Mapping[str, str],
    problems: list[Problem],
) -> Channel | None:
    place = _place(name)
    known = _ADAPTERS.get(channel.adapter)
    if known is None:
        message = f"there is no adapter {channel.adapter[:80]!r}"
        problems.append(Problem(f"{place}.adapter", message, f"one of {', '.join(_ADAPTERS)}"))
        return None
    before = len(problems)
    written = _read_settings(f"{place}.settings", channel.settings, known, environment, problems)
    settings = None
    if len(problems) == before:
        settings = _convert(written, known.settings, f"{place}.settings", problems)
    if settings is None:
        _hint(known, problems, before)
        return None
    try:
        return known.build(channel.name, settings, workshop)
    except ProgramError as error:
        problems += [_within(problem, f"{place}.settings") for problem in error.problems]
        return None


def _within(problem: Problem, place: str) -> Problem:
    path = f"{place}.{problem.path}" if problem.path else place
    return msgspec.structs.replace(problem, path=path)


def _read_settings(
    place: str,
    settings: Mapping[str, object],
    adapter: Adapter,
    environment: Mapping[str, str],
    problems: list[Problem],
) -> dict[str, object]:
    """Put together what the workspace says and what the environment says instead."""
    for name in adapter.secrets:
        if isinstance(settings.get(name), str):
            message = "a secret does not belong into a workspace, which is kept in git"
            hint = f"write {{env: NAME}}, or leave it out and set {adapter.defaults[name]}"
            problems.append(Problem(f"{place}.{name}", message, hint))
    written: dict[str, object] = {}
    for name, variable in adapter.defaults.items():
        value = environment.get(variable, "")
        if value and name not in settings:
            written[name] = value
    for key, setting in settings.items():
        if key != _PACING:
            written[key] = _resolve(setting, f"{place}.{key}", environment, problems)
    return written


def _resolve(
    value: object, place: str, environment: Mapping[str, str], problems: list[Problem]
) -> object:
    """Replace `{env: NAME}` by what the environment says, at any depth."""
    if not isinstance(value, Mapping):
        return value
    mapping = cast("Mapping[str, object]", value)
    variable = mapping.get(_REFERENCE)
    if len(mapping) == 1 and isinstance(variable, str):
        found = environment.get(variable)
        if found is None:
            message = f"the environment variable {variable[:80]} is not set"
            problems.append(Problem(place, message, f"set {variable[:80]}"))
        return found
    return {
        name: _resolve(item, f"{place}.{name}", environment, problems)
        for name, item in mapping.items()
    }


def _convert(
    written: object, wanted: type[msgspec.Struct], place: str, problems: list[Problem]
) -> msgspec.Struct | None:
    """Check settings against their type. Values from the environment are text, so `"25"` is 25."""
    try:
        return msgspec.convert(written, wanted, strict=False)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        problems.append(Problem(f"{place}{at.rstrip('`')}", message))
        return None


def _hint(adapter: Adapter, problems: list[Problem], since: int) -> None:
    """Say which variables would do, where a setting was left out."""
    for number in range(since, len(problems)):
        problem = problems[number]
        for name, variable in adapter.defaults.items():
            if f"missing required field `{name}`" in problem.message:
                hint = f"write it in settings, or set {variable}"
                problems[number] = msgspec.structs.replace(problem, hint=hint)


def _read_signer(environment: Mapping[str, str], problems: list[Problem]) -> Signer | None:
    try:
        return Signer.from_environment(environment)
    except ValueError as error:
        problems.append(Problem(SECRET_VARIABLE, str(error)))
        return None

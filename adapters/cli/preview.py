"""`nextbeat preview`: what a message says to somebody, before anybody is told.

It is rendered as it would be when it is sent, limits and all, by the workspace of a folder or by
the one in force in a data folder. Nothing is decided and nothing is written down.
"""

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec

from actors.reading import recall
from adapters.cli.output import INSTANT, write_json
from adapters.cli.source import program_in_force, reading
from adapters.files.workspaces import load_workspace
from engine.choice.content import Content, find_content, render
from engine.effects import BODY_FORMAT, HTML, TRACKING
from engine.instants import format_instant
from engine.links import ORIGIN
from engine.place import find_place
from engine.profile import Profile
from engine.program.cldr import write_money
from engine.program.faults import quote, suggest
from engine.program.medium import Medium
from engine.program.model import DEFAULT_CONTENT
from engine.program.program import Channel, Message, Program
from engine.program.smstext import GSM_7, SmsSize, measure_sms, plain_spaces
from engine.program.templates import TemplateAbort, TemplateError

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_MARKS = (BODY_FORMAT, TRACKING)  # about the content rather than part of it
_PERSON = "preview"
_FOREIGN_SHOWN_MAX = 5


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody a message is shown to, as a file says it."""

    customer: str = _PERSON
    traits: dict[str, Any] = {}
    event: dict[str, Any] = {}


class Preview(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `preview --json` writes."""

    message: str
    channel: str
    rule: str
    locale: str
    content: dict[str, str]
    tracking: str = ""
    segments: int = 0
    encoding: str = ""


@click.command()
@click.argument("message")
@click.option("--channel", default="", help="Default: the first of its type it has content for.")
@click.option("--workspace", type=_FOLDER, help="The folder with the workspace files.")
@click.option(
    "--data",
    type=_FOLDER,
    envvar="NEXTBEAT_DATA",
    help="A data folder: its customers, and its workspace where none is named.",
)
@click.option("--customer", default="", help="Show it to this customer of the data folder.")
@click.option(
    "--profile",
    "sample",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Show it to whom this JSON file describes: {"traits": {…}, "event": {…}}.',
)
@click.option("--trait", "traits", multiple=True, metavar="NAME=VALUE", help="Say one of them.")
@click.option("--event", "events", multiple=True, metavar="NAME=VALUE", help="What happened.")
@click.option("--locale", default="", help="Show it to a reader of this locale.")
@click.option("--at", type=INSTANT, help="Show it as of this instant, not of now.")
@click.option("--out", type=_FILE, help="Write the HTML here.  [default: MESSAGE.preview.html]")
@click.option("--json", "as_json", is_flag=True, help="Write what it says as JSON, and no file.")
def preview(  # noqa: PLR0913 - one argument for each option
    *,
    message: str,
    channel: str,
    workspace: Path | None,
    data: Path | None,
    customer: str,
    sample: Path | None,
    traits: tuple[str, ...],
    events: tuple[str, ...],
    locale: str,
    at: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show what MESSAGE says: a mail as an HTML file, an SMS with its parts and its price.

    Values of --trait and --event are JSON where they can be read as such, else text. Links that
    are signed when a message leaves are shown as what stands for them until then.
    """
    if workspace is None and data is None:
        raise click.UsageError("name a --workspace, or a --data folder with one")
    if customer and data is None:
        raise click.UsageError("--customer goes with --data: that is where customers are")
    if customer and sample is not None:
        raise click.UsageError("--customer and --profile are two people: name one")
    program, known = asyncio.run(_look(workspace, data, customer))
    told = Sample(customer) if sample is None else _read_sample(sample)
    profile = known or Profile(told.customer)
    profile.traits.update({**told.traits, **_read_values(traits, "--trait")})
    if locale:
        profile.traits["locale"] = locale
    event = {**told.event, **_read_values(events, "--event")}
    now = int(time.time() * 1_000) if at is None else at
    said = _find_message(program, message)
    through = _find_channel(program, said, channel)
    content = find_content(profile, program, said, through.name)
    try:
        rendered = _render(profile, program, content, event, now)
    except TemplateAbort as abort:
        click.echo(f"nothing is sent to this customer: {abort}")
        return
    except TemplateError as error:
        raise click.ClickException(f"it would be dropped (template_error): {error}") from None
    if as_json:
        write_json(_view(content, through, rendered))
        return
    _show(content, through, rendered, f"as of {format_instant(now)}")
    _show_cost(program, through, rendered)
    page = _find_page(rendered)
    if page:
        _write_page(out or Path(f"{message}.preview.html"), page)


async def _look(
    workspace: Path | None, data: Path | None, customer: str
) -> tuple[Program, Profile | None]:
    """Read the workspace, and the customer where one is asked for."""
    program = None if workspace is None else load_workspace(workspace)
    if data is None or (program is not None and not customer):
        assert program is not None
        return program, None
    async with reading(data) as (store, state):
        program = program or await program_in_force(store, state)
        if not customer:
            return program, None
        profile = await recall(store, state, customer)
    if profile is None:
        raise click.ClickException(f"there is no customer {quote(customer)} in {data}")
    return program, profile


def _read_sample(file: Path) -> Sample:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Sample)
    except msgspec.MsgspecError as error:
        hint = 'write {"traits": {"first_name": "Thandi"}, "event": {"total": 100}}'
        raise click.ClickException(f"{file}: {error}; {hint}") from None


def _read_values(given: tuple[str, ...], option: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in given:
        name, found, value = text.partition("=")
        if not found or not name:
            raise click.UsageError(f"{option} {quote(text)}: write it like {option} name=value")
        try:
            values[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            values[name] = value
    return values


def _find_message(program: Program, name: str) -> Message:
    message = program.messages.get(name)
    if message is None:
        hint = suggest(name, program.messages, "messages")
        raise click.ClickException(f"there is no message {quote(name)}; {hint}")
    return message


def _find_channel(program: Program, message: Message, name: str) -> Channel:
    names = message.content
    served = [one for one in message.type.channels if one in names or DEFAULT_CONTENT in names]
    name = name or (served[0] if served else next(iter(names)))
    channel = program.channels.get(name)
    if channel is None:
        hint = suggest(name, program.channels, "channels")
        raise click.ClickException(f"there is no channel {quote(name)}; {hint}")
    if name not in names and DEFAULT_CONTENT not in names:
        hint = suggest("", names, "it has content for")
        raise click.ClickException(f"{message.name} has no content for {quote(name)}; {hint}")
    return channel


def _render(
    profile: Profile, program: Program, content: Content, event: Mapping[str, Any], now: int
) -> dict[str, str]:
    return render(
        profile,
        program,
        content,
        event=event,
        message_id="m_preview",
        timezone=find_place(profile, program).zones[0].key,
        now=now,
    )


def _view(content: Content, channel: Channel, rendered: Mapping[str, str]) -> Preview:
    size = _measure(channel, rendered)
    return Preview(
        message=content.message.name,
        channel=channel.name,
        rule=content.rule,
        locale=content.locale,
        content={name: text for name, text in rendered.items() if name != TRACKING},
        tracking=rendered.get(TRACKING, ""),
        segments=size.segments if size is not None else 0,
        encoding=size.encoding if size is not None else "",
    )


def _show(content: Content, channel: Channel, rendered: Mapping[str, str], when: str) -> None:
    click.secho(f"{content.message.name} by {channel.name}, {when}", bold=True)
    (check,) = content.checks() or (None,)
    click.echo(f"{content.rule}" + (f" ({check.seen})" if check is not None else ""))
    pages = _pages(rendered)
    for name, text in rendered.items():
        if name not in _MARKS and name not in pages:
            click.echo(f"\n{name}:")
            for line in text.splitlines() or [""]:
                click.echo(f"    {line}")
    click.echo()
    if TRACKING in rendered:
        click.echo(f"tracked: {', '.join(rendered[TRACKING].split())}")
    if any(ORIGIN in text for text in rendered.values()):
        click.echo(f"{ORIGIN} stands for links that are signed when a message leaves")


def _show_cost(program: Program, channel: Channel, rendered: Mapping[str, str]) -> None:
    size = _measure(channel, rendered)
    told: list[str] = []
    if size is not None:
        count = f"{size.segments} segment{'s' * (size.segments != 1)}, {size.encoding}"
        foreign = ", ".join(map(repr, size.foreign[:_FOREIGN_SHOWN_MAX]))
        told.append(count if size.encoding == GSM_7 else f"{count} because of {foreign}")
    if channel.cost:
        cost, currency = Decimal(repr(channel.cost)), program.defaults.currency
        locale = program.defaults.locale or "en"
        price = plain_spaces(write_money(cost, locale, currency)) if currency else str(cost)
        told.append(f"{price} a message")
    if told:
        click.echo("; ".join(told))


def _measure(channel: Channel, rendered: Mapping[str, str]) -> SmsSize | None:
    if channel.limits.medium is not Medium.SMS:
        return None
    return measure_sms(rendered.get("body", ""))


def _pages(rendered: Mapping[str, str]) -> tuple[str, ...]:
    """Name the fields that are HTML."""
    body = ("body",) if rendered.get(BODY_FORMAT) == HTML else ()
    return (*(("html",) if rendered.get("html") else ()), *body)


def _find_page(rendered: Mapping[str, str]) -> str:
    pages = _pages(rendered)
    return rendered[pages[0]] if pages else ""


def _write_page(file: Path, page: str) -> None:
    """Write a page, with its alphabet named, which a mail says in a header instead."""
    named = "" if "charset" in page.lower() else '<meta charset="utf-8">\n'
    file.write_text(named + page, encoding="utf-8")
    click.echo(f"HTML: {file}")

"""`nextbeat regions`: which rules of the law are built in, whom they concern, and since when.

Reads the packs of `engine.program.regions`; needs no workspace and no server. The tables of
`docs/reference/regions.md` are made of the same words.
"""

from datetime import date, timedelta

import click
import msgspec

from adapters.cli.output import show_table, write_json
from engine.program.countries import COUNTRIES
from engine.program.faults import quote, suggest
from engine.program.regions import RegionPack, RegionRule, describe_hours, load_packs

HEADINGS = ("rule", "who", "what", "since", "confidence")

_NOTICE = "This is not legal advice. A rule holds where a workspace names its region."
_EPOCH = date(1970, 1, 1)
_LISTED_MAX = 3


class RegionLine(msgspec.Struct, frozen=True):
    """One rule, as `regions --json` writes it."""

    region: str
    rule: str
    title: str
    countries: tuple[str, ...]
    subdivisions: tuple[str, ...]
    subdivision_unknown: bool  # holds only for a customer whose subdivision is not known
    purposes: tuple[str, ...]
    reach: tuple[str, ...]
    hours: str
    holidays: str
    caps: tuple[str, ...]
    note: str
    enforced: bool
    effective_from: date | None
    effective_until: date | None
    confidence: str
    source: str
    version: str


class RegionLines(msgspec.Struct, frozen=True):
    """What `regions --json` writes."""

    notice: str
    rules: list[RegionLine]


@click.command()
@click.argument("region", default="")
@click.option("--country", default="", help="Only what applies to customers of this country.")
@click.option("--json", "as_json", is_flag=True, help="Write the rules as JSON.")
def regions(*, region: str, country: str, as_json: bool) -> None:
    """List the rules of REGION that are built in, or those of all regions.

    Whom each one concerns, what it asks, since when, and where it is written.
    """
    packs = list(load_packs().values())
    if region:
        packs = [_find_region(region)]
    if country:
        code = _find_country(country)
        packs = [pack for pack in packs if code in pack.countries]
    if as_json:
        lines = [_line(pack, rule) for pack in packs for rule in every_rule(pack)]
        write_json(RegionLines(notice=_NOTICE, rules=lines))
        return
    _show_packs(packs)


def every_rule(pack: RegionPack) -> tuple[RegionRule, ...]:
    """List a pack's rules, and then those made of them for whom nobody can place."""
    return (*pack.rules, *pack.unknown)


def describe_rule(pack: RegionPack, rule: RegionRule) -> tuple[str, ...]:
    """Say in words what a rule is: one text for each of the headings."""
    return (
        rule.id,
        _describe_who(pack, rule),
        _describe_what(rule),
        _describe_time(rule),
        rule.confidence,
    )


def describe_source(rule: RegionRule) -> str:
    """Say where a rule is written, and what else there is to know."""
    return f"{rule.source}. {rule.note}".rstrip(". ") + ("." if rule.note else "")


def describe_countries(pack: RegionPack) -> str:
    """Name the countries a pack covers, or count them when there are many."""
    count = len(pack.countries)
    return (
        ", ".join(pack.countries) if count <= _LISTED_MAX else f"{pack.region}: {count} countries"
    )


def _find_region(text: str) -> RegionPack:
    """Find a pack by its region or its name, however it is spelled."""
    packs = load_packs().values()
    names = {name: pack for pack in packs for name in (pack.region, pack.name)}
    spelled = {name.casefold(): pack for name, pack in names.items()}
    found = spelled.get(text.casefold())
    if found is None:
        hint = suggest(text, names) or suggest(text, load_packs(), "regions")
        message = f"unknown region {quote(text)} ({hint})"
        raise click.ClickException(message)
    return found


def _find_country(text: str) -> str:
    """Find a country by its two letters."""
    code = text.upper()
    if code not in COUNTRIES:
        message = f"unknown country {quote(text)} (write its two letters, like ZA)"
        raise click.ClickException(message)
    return code


def _show_packs(packs: list[RegionPack]) -> None:
    if not packs:
        click.echo("No rules are built in for that country.\n")
    for pack in packs:
        _show_pack(pack)
    click.echo(_NOTICE)


def _show_pack(pack: RegionPack) -> None:
    """Show one pack: its rules as a table, and then what has no room in a column."""
    rules = every_rule(pack)
    covered = describe_countries(pack)
    click.echo(f"{pack.stamp}  {pack.name} ({covered}), reviewed {pack.reviewed_on}")
    show_table(HEADINGS, [describe_rule(pack, rule) for rule in rules], indent=2)
    click.echo()
    for rule in rules:
        click.echo(f"  {rule.id}: {describe_source(rule)}")
    if pack.notes:
        click.echo(f"\n  {pack.notes}")
    click.echo()


def _describe_who(pack: RegionPack, rule: RegionRule) -> str:
    """Say whom a rule concerns, with which messages, on which channels."""
    places = ", ".join(f"{pack.region}-{code}" for code in rule.subdivisions)
    if rule in pack.unknown:
        places = f"{pack.region}, subdivision not known"
    channels = f"by {', '.join(rule.reach)}" if rule.reach else "on every channel"
    return f"{places or describe_countries(pack)}; {', '.join(rule.purposes)} {channels}"


def _describe_what(rule: RegionRule) -> str:
    """Say when it is open and how much may be sent; or, where it only informs, about what."""
    if not rule.is_enforced:
        return f"informs: {rule.title}"
    parts = [describe_hours(rule.window)] if rule.window else []
    parts += ["closed on public holidays"] if rule.closed_on_holidays else []
    parts += [f"at most {cap.text}" for cap in rule.caps]
    return "; ".join(parts)


def _describe_time(rule: RegionRule) -> str:
    """Say from which day on, and until when, a rule holds."""
    begun, ended = _date(rule.effective_from), _date(rule.effective_until)
    since = "always" if begun is None else str(begun)
    return since if ended is None else f"{since}, until {ended}"


def _date(day: int | None) -> date | None:
    return None if day is None else _EPOCH + timedelta(days=day)


def _line(pack: RegionPack, rule: RegionRule) -> RegionLine:
    return RegionLine(
        region=rule.region,
        rule=rule.rule,
        title=rule.title,
        countries=pack.countries,
        subdivisions=rule.subdivisions,
        subdivision_unknown=rule in pack.unknown,
        purposes=rule.purposes,
        reach=rule.reach,
        hours=describe_hours(rule.window) if rule.window else "",
        holidays="closed" if rule.closed_on_holidays else "",
        caps=tuple(cap.text for cap in rule.caps),
        note=rule.note,
        enforced=rule.is_enforced,
        effective_from=_date(rule.effective_from),
        effective_until=_date(rule.effective_until),
        confidence=rule.confidence,
        source=rule.source,
        version=rule.stamp,
    )

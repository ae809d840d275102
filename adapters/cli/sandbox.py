"""`nextbeat sandbox`: stand-ins for all providers, and what to set so that channels use them."""

import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

import click
import msgspec

from adapters.files.yaml12 import read_yaml
from adapters.sandbox.accounts import (
    HOST,
    PUBLIC_URL,
    list_accounts,
    merge_accounts,
    open_keys,
    write_exports,
)
from adapters.sandbox.fates import Script
from adapters.sandbox.settings import SandboxSettings
from engine.errors import InputError, ProgramError

_EXTRA = "aiosmtpd"
_PORT_MAX = 65_535
_GATEWAY_URL = "http://127.0.0.1:8080"
_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%|(0?\.\d+|[01](?:\.0+)?)")
_PERCENT = 100


class Share(click.ParamType[float]):
    """A share on the command line, like 20% or 0.2."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a share."""
        if isinstance(value, float):
            return value
        found = _SHARE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{str(value)[:20]!r} is not a share: write it like 20%", param, ctx)
        return float(found[1]) / _PERCENT if found[1] else float(found[2])


_SHARE_TYPE = Share()


@click.command()
@click.option(
    "--port",
    default=8990,
    show_default=True,
    type=click.IntRange(0, _PORT_MAX),
    help="Where the stand-ins listen on this machine; 0: any.",
)
@click.option(
    "--apns-port",
    default=8991,
    show_default=True,
    type=click.IntRange(0, _PORT_MAX),
    help="Where Apple's stand-in listens, which speaks HTTP/2; 0: any.",
)
@click.option(
    "--mail-port",
    default=8025,
    show_default=True,
    type=click.IntRange(0, _PORT_MAX),
    help="Where the mail server listens; 0: any.",
)
@click.option(
    "--gateway",
    default=_GATEWAY_URL,
    show_default=True,
    help="Where `nextbeat serve` is, for receipts and answers.",
)
@click.option("--env", "env_only", is_flag=True, help="Only print what to set, and stop.")
@click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: _find_cache() / "sandbox",
    show_default="a folder of your cache",
    help="Where the made-up private keys are kept.",
)
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A YAML file that says what becomes of whose messages.",
)
@click.option("--seed", type=int, help="Throws the dice differently.")
@click.option("--failing", type=_SHARE_TYPE, help="How many messages fail, like 20%.")
@click.option("--timing-out", type=_SHARE_TYPE, help="How many are taken but never answered.")
@click.option("--reading", type=_SHARE_TYPE, help="How many people read what they get.")
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0.01, max=100_000),
    help="How many times faster than real time receipts come.",
)
@click.option(
    "--hold",
    "hold_s",
    default=35.0,
    show_default=True,
    type=click.FloatRange(min=0, max=600),
    help="How many seconds a time-out takes.",
)
def sandbox(  # noqa: PLR0913 - options of the command line
    *,
    port: int,
    apns_port: int,
    mail_port: int,
    gateway: str,
    env_only: bool,
    keys: Path,
    script: Path | None,
    seed: int | None,
    failing: float | None,
    timing_out: float | None,
    reading: float | None,
    speed: float,
    hold_s: float,
) -> None:
    """Stand in for Twilio, Vonage, WhatsApp and the others, on this machine.

    Messages are taken, shown at http://127.0.0.1:8990/ and answered with receipts; nobody gets
    them. The last digits of a number, or a word in an e-mail address or token, choose what
    becomes of a message. In the shell that is to run `nextbeat serve`:

    eval "$(nextbeat sandbox --env)"
    """
    pair = open_keys(keys)
    gateway = gateway.rstrip("/")
    if env_only:
        accounts = list_accounts(f"http://{HOST}:{port}", apns_port, mail_port, pair)
        _write(merge_accounts(accounts, os.environ), gateway)
        return
    said = {"seed": seed, "failing": failing, "timing_out": timing_out, "reading": reading}
    ways = _read_script(script, {name: value for name, value in said.items() if value is not None})
    settings = SandboxSettings(port, apns_port, mail_port, gateway, ways, speed, hold_s)

    def announce(url: str, given: Mapping[str, str]) -> None:
        click.echo(f"# The stand-ins listen at {url}; see there what comes in. Ctrl-C ends it.")
        click.echo("# For `nextbeat serve`, in its shell:")
        _write(given, gateway)

    _find_server()(settings, pair, os.environ, announce)


def _find_server() -> Callable[..., None]:
    """Import the server, which needs a mail server that nothing else of Nextbeat does."""
    try:
        run: Callable[..., None] = import_module("adapters.sandbox.server").run_sandbox
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != _EXTRA:
            raise
        message = "the sandbox needs a little more: pip install 'nextbeat[demo]'"
        raise click.ClickException(message) from None
    return run


def _write(accounts: Mapping[str, str], gateway: str) -> None:
    """Write what is to be set; what the environment has is left there, and off the screen."""
    wanted = {**accounts, PUBLIC_URL: gateway}
    missing = {name: value for name, value in wanted.items() if os.environ.get(name) != value}
    click.echo(write_exports(missing), nl=False)


def _read_script(path: Path | None, said: Mapping[str, object]) -> Script:
    """Read a script; what the command line says goes before it."""
    written: dict[str, object] = {}
    name = "" if path is None else str(path)
    if path is not None:
        document = read_yaml(path.read_text("utf-8"), name)
        if document.problems:
            raise ProgramError(list(document.problems))
        value: object = document.value
        if not isinstance(value, dict):
            raise InputError(name, "a script is a map: rules, seed, failing, timing_out, reading")
        written = cast("dict[str, object]", value)
    try:
        return msgspec.convert({**written, **said}, Script)
    except msgspec.ValidationError as error:
        raise InputError(name, str(error)) from None


def _find_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nextbeat"

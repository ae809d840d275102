"""The `nextbeat` command: finds the sub-commands and turns errors into words.

Called by the installed script and by `python -m adapters.cli`. A command's module is imported when
that command is asked for, so that `nextbeat --help` and the shell's completion stay quick.

*Rules*
- Exit codes: 0 all is well, 1 problems were found or the work failed, 2 the command was not used
  as it can be.
- What a person did wrong never shows a traceback; what we did wrong always does.
"""

import errno
import sys
from importlib import import_module

import click

from engine.errors import InputError, NextbeatError, ProgramError

# The module of the same name in this package holds the command.
_COMMANDS = {
    "demo": "Play a shop day in about a minute and show what is decided and why.",
    "serve": "Take events over HTTP and websocket, decide, send.",
    "check": "Check a workspace and list what is wrong with it.",
    "test": "Play the tests of a workspace and compare what is decided with what they expect.",
    "init": "Begin a workspace, empty or of a template.",
    "schema": "Print the JSON Schema of workspace files, for editors.",
    "regions": "List the built-in rules of law: whom they concern, and since when.",
    "ingest": "Load a file of events: history, unless it is to count as now.",
    "replay": "Decide over a file of events, with their time as the clock.",
    "sim": "Run the engine in a simulated world of faults and check its promises.",
    "segments": "Show how many customers are in each segment, and who is in one.",
    "journeys": "Show how many customers are in each journey, and where one of them is.",
    "graph": "Draw a journey, with how many customers are at each step.",
    "preview": "Show what a message says to somebody, and what it costs.",
    "plan": "Tell what another workspace would do to the customers in journeys.",
    "explain": "Tell why a customer did, or did not, get a message.",
    "verify": "Check that a data folder is what was written, and would be decided so again.",
    "backup": "Copy a data folder while the server runs.",
    "restore": "Make a data folder of a backup.",
    "merge": "Make two customers one: they are the same person.",
    "unmerge": "Make two customers of one again.",
    "timeline": "Tell what happened with a customer, across channels, and what it changed.",
    "export": "Write down everything there is about a customer.",
    "acts": "List administrative acts: what was done, to whom, by whom.",
    "catalogue": "Load what events name: products, stores, content.",
    "erase": "Erase a customer, whatever is known of them, and what would come late.",
    "outbox": "List messages that did not arrive, and why.",
    "redeliver": "Have messages that did not arrive decided about once more.",
    "quarantine": "Show items that were not understood, and take them in again.",
}
_EPILOG = "Start with `nextbeat demo`, then try `nextbeat explain` on a customer it shows."


class Commands(click.Group):
    """The group of all commands; errors made on purpose end here, as a message and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order in which people meet them."""
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"adapters.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands for `--help`, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ProgramError as error:
            raise click.ClickException(_describe_problems(error)) from None
        except InputError as error:
            place = "" if error.path in {"", "$"} else f"{error.path}: "
            raise click.ClickException(f"{place}{error.message}") from None
        except BrokenPipeError:
            raise  # click knows: whoever read our output has read enough
        except NextbeatError as error:
            raise click.ClickException(str(error) or type(error).__name__) from None
        except OSError as error:
            raise click.ClickException(_describe_os_error(error)) from None


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="nextbeat", prog_name="nextbeat")
def nextbeat() -> None:
    """Decide whether, what, where and when to say something to a customer, and tell why."""


def main() -> None:
    """Run the command line and exit."""
    if not __debug__:
        click.echo(
            "Error: assertions are switched off (python -O, PYTHONOPTIMIZE), and Nextbeat relies "
            "on them: start it without.",
            err=True,
        )
        sys.exit(2)
    nextbeat()


def _describe_problems(error: ProgramError) -> str:
    count = len(error.problems)
    return f"the workspace has {count} problem{'s' * (count != 1)}:\n{error}"


def _describe_os_error(error: OSError) -> str:
    """Say what the machine refused, without its numbers."""
    what = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.EADDRINUSE:
        return f"{what}: stop what listens there, or choose another port with --port"
    return what if error.filename is None else f"{error.filename}: {what}"

"""`nextbeat serve`: take events over HTTP and websocket, decide, send, until told to stop."""

import sys
from pathlib import Path

import click

from adapters.app import run_server
from adapters.telemetry.logs import configure

_PORT_MAX = 65_535
_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@click.option(
    "--workspace",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with the workspace files.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for what must survive a restart; it is made if it is not there.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, _PORT_MAX), help="0: any."
)
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(_LEVELS),
    help="How much goes to the log on standard error.",
)
def serve(*, workspace: Path, data: Path, host: str, port: int, log_level: str) -> None:
    """Serve a workspace.

    Keys come from the environment: NEXTBEAT_WRITE_KEYS for those who send events,
    NEXTBEAT_ADMIN_KEYS for those who read. Without keys only this machine is listened to.
    """
    configure(log_level, json=not sys.stderr.isatty())
    run_server(workspace, data, host=host, port=port)

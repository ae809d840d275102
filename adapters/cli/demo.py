"""`nextbeat demo`: a shop day in about a minute, played through the real gateway."""

from pathlib import Path

import click

_EXTRA = ("aiosmtpd", "segment")


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".nextbeat-demo"),
    show_default=True,
    help="Where the day is kept, for `nextbeat explain` afterwards; it is emptied first.",
)
@click.option(
    "--seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=1, max=3_600),
    help="How long the day takes.",
)
def demo(*, data: Path, seconds: float) -> None:
    """Play one day of a shop: real events in, real e-mail out, each decision with its reason."""
    try:
        # Needs a mail server and a client library that nothing else of Nextbeat does.
        from adapters.demo.play import run_demo
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        message = "the demo needs a little more: pip install 'nextbeat[demo]'"
        raise click.ClickException(message) from None
    run_demo(data, seconds)

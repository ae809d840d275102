"""`nextbeat redeliver`: has messages that did not arrive decided about once more."""

import click

from adapters.cli.remote import Remote, path_of
from adapters.cli.source import url_option


@click.command()
@click.argument("message_ids", nargs=-1, required=True)
@url_option
def redeliver(*, message_ids: tuple[str, ...], url: str) -> None:
    """Have messages decided about once more, by MESSAGE_IDS, as `nextbeat outbox` lists them.

    Consent, caps and hours are looked at as they are today; a message that goes gets a new id. Who
    asked for it is in the list of administrative acts.
    """
    remote = Remote(url)
    for message_id in message_ids:
        remote.post(path_of("v1", "outbox", message_id, "redeliver"))
        click.echo(f"message {message_id} is decided about once more")

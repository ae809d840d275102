"""Messages inside the business's own app or site: put where the customer's client finds them.

Several channels of a workspace (`in_app`, `inbox`, `badge`) share one `Inbox`; each message says
which of them it came by, so that the client shows it in the right place. The adapter `desk` is the
same, for messages that wait for whoever serves the customer; the gateway keeps the two apart.
"""

from actors.ports import Permanent, Temporary
from adapters.channels.adapter import Adapter, NoSettings
from adapters.inbox import Inbox, InboxMessage
from engine.effects import Send
from engine.errors import StoreError


class InboxChannel:
    """Puts each message into the customer's inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def start(self) -> None:
        """Open the inbox, unless another channel did."""
        await self.inbox.open()

    async def close(self) -> None:
        """Close the inbox, if no other channel uses it."""
        await self.inbox.close()

    async def deliver(self, send: Send) -> str:
        """Store the message; a repeated one changes nothing."""
        message = InboxMessage(
            number=0,
            message_id=send.message_id,
            customer=send.customer,
            channel=send.channel,
            at=send.decided_at,
            content=send.content,
            expires_at=send.expires_at,
        )
        try:
            await self.inbox.put(message)
        except ValueError:
            raise Permanent(
                "the message holds text that can't be stored", code="bad_content"
            ) from None
        except StoreError as error:
            # Nothing was stored, and where something was all the same, the id is known.
            raise Temporary(str(error)) from error
        return send.message_id


ADAPTER = Adapter(NoSettings, lambda _name, _settings, workshop: InboxChannel(workshop.inbox))

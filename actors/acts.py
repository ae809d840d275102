"""Administrative acts: written down in the order in which they are done, with the commit at hand.

The part of `actors.runtime` by which whoever does something with the right to do so has it noted.
"""

import asyncio

from actors.commits import Committer
from actors.ports import Clock
from actors.rows import ActRow


class Acting:
    """What can be noted."""

    clock: Clock
    _commits: Committer

    def note_act(self, who: str, act: str, subject: str, detail: str = "") -> asyncio.Future[None]:
        """Write down an administrative act, as `ActRow` says; done once it is durable.

        The future fails with StoreError where that can't be: then it must not be done.
        """
        row = ActRow(0, self.clock.now(), who, act, subject, detail)
        self._commits.open.commit.acts.append(row)
        asyncio.get_running_loop().call_soon(self._commits.flush)
        return self._commits.promise()

"""One line of the table of the gateway's addresses, as `operations` and `surfaces` write it."""

from typing import Literal

import msgspec


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method at one address. `answer` None means something other than JSON."""

    method: str
    path: str
    summary: str
    tag: str
    door: Literal["write", "admin", "token", "ussd", "desk", "open"]
    text: str = ""
    parameters: type[msgspec.Struct] | None = None
    body: object = None
    answer: object = None
    answer_type: str = "application/json"
    body_types: tuple[str, ...] = ()  # besides JSON
    statuses: tuple[int, ...] = ()  # refusals, besides 401 where there is a door
    status: int = 200
    also: tuple[tuple[int, object], ...] = ()  # further answers that are no refusals

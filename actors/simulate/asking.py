"""What people ask of a process outright, beside sending inputs; it may be refused.

Used by `world`, once for each time somebody asks.
"""

import asyncio
from collections.abc import Awaitable

from actors.runtime import Runtime
from engine.errors import InputError, OverloadError, StoreError


async def ask_to_erase(runtime: Runtime, name: str) -> bool:
    """Ask for an erasure; says whether it was granted."""
    try:
        await runtime.erasures.erase(name)
    except StoreError:
        return False
    return True


async def ask_who_is_who(said: Awaitable[None]) -> str:
    """Await a merge or a parting; says why it was refused, or ""."""
    try:
        await said
    except (InputError, OverloadError, StoreError) as error:
        return str(error)
    return ""


async def see_through(work: Awaitable[None]) -> None:
    """Await work of somebody outside."""
    await work


def retrieve(answered: asyncio.Future[None]) -> None:
    """Look at an answer that nobody may be waiting for any more."""
    if not answered.cancelled():
        answered.exception()

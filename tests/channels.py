"""A channel as a program has it, for tests of what is made of one."""

from engine.program.program import Channel


def a_program(adapter: str, name: str, identity: str, settings: dict[str, object]) -> Channel:
    return Channel(
        name=name,
        adapter=adapter,
        identity=identity,
        window=None,
        session_only=False,
        caps=(),
        substitute="",
        supports=(),
        cost=0.0,
        settings=settings,
    )

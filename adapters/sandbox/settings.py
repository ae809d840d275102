"""How the sandbox is run; read by `adapters.cli.sandbox`, used by `adapters.sandbox.server`."""

import msgspec

from adapters.sandbox.fates import Script


class SandboxSettings(msgspec.Struct, frozen=True):
    """How the sandbox is run. A port of 0 is any that is free.

    `speed` is how many times faster than the clock receipts come, `hold_s` how long a time-out is:
    longer than a client's patience.
    """

    port: int = 8990
    apns_port: int = 8991
    mail_port: int = 8025
    gateway_url: str = "http://127.0.0.1:8080"
    script: Script = Script()
    speed: float = 1.0
    hold_s: float = 35.0

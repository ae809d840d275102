"""What can go wrong, for the person who reads it. The docstring of an error is its meaning.

A "no" to a message is not an error: it is a record with a Reason.
"""

import msgspec


class NextbeatError(Exception):
    """The root of all errors Nextbeat raises on purpose."""


class InputError(NextbeatError):
    """Someone outside sent something that can't be understood; nothing was stored of it.

    `code` is stable and meant for programs, `path` says where in the input, the message what was
    expected there.
    """

    def __init__(self, code: str, message: str, path: str = "$") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path


class Problem(msgspec.Struct, frozen=True):
    """One fault in a workspace: where it is, what is wrong, what would be right."""

    path: str  # like `journeys.cart.steps[1].send`
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0  # 1-based; 0 when the place is not in a file
    column: int = 0

    def __str__(self) -> str:
        """Write the fault the way compilers do, so that editors can jump to it."""
        column = f":{self.column}" if self.column > 0 else ""
        place = f"{self.file}:{self.line}{column}: " if self.file else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.path}: {self.message}{hint}"


class ProgramError(NextbeatError):
    """A workspace has faults and was not loaded; what ran before goes on running."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class StoreError(NextbeatError):
    """The store could not make something durable; nothing of it was acknowledged."""


class OverloadError(NextbeatError):
    """More work is waiting than may wait; try again after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

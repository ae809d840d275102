"""How long a restart takes with a million journaled inputs, after the process was killed."""

from bench.figures import Check, report
from bench.stage import Process, Stage

INPUTS = 1_000_000


def run() -> bool:
    """Journal a million inputs, kill the process, start it again."""
    with Stage() as stage:
        while (stats := stage.stats())["journal_seq"] < INPUTS:
            stage.load("port", path="/v1/batch", connections=4, seconds=5, items=100)
        stage.server.kill()
        stage.server = Process("bench.server", str(stage.data))
        ready = stage.server.read()
        stage.ports = ready
        after = stage.stats()
    return report(
        "recovery",
        [Check("restart with 1,000,000 inputs: ready", ready["ready_s"], 10, "s", at_most=True)],
        {
            "inputs": stats["journal_seq"],
            "tail folded": stats["journal_tail"],
            "journal after": after["journal_seq"],
        },
    )

"""A journey as a graph: what it does at each step, and where it can go from there.

Made of the instructions, so that versions of before have one, too. Asked by whoever draws journeys
or counts people in them; people stand at nodes, by the step's id.

*Rules*
- One node for each step; instructions that only lead somewhere are edges.
- `BEGIN` is where people enter, `END` where they come to the end; an `exit` step is an end of its
  own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.program.journey import Instruction, Journey, Op, WaitFor

BEGIN, END = "begin", "end"
_UNITS = (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", SECOND_MS))
_SILENT = (Op.JUMP, Op.END)


class Node(NamedTuple):
    """A step: `kind` is what it does, `label` what people read."""

    id: str
    kind: str
    label: str


class Edge(NamedTuple):
    """A way from one node to another; `label` says when it is taken."""

    source: str
    target: str
    label: str = ""


class Outline(NamedTuple):
    """A journey's nodes, in the order in which they are written, and the ways between them."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def ahead(self, step: str) -> list[str]:
        """List the steps that can come behind one, itself included."""
        found, trails = {step: None}, [step]
        while trails:
            here = trails.pop()
            for edge in self.edges:
                if edge.source == here and edge.target not in found:
                    found[edge.target] = None
                    trails.append(edge.target)
        return list(found)


def outline(journey: Journey) -> Outline:
    """Make the graph of a journey."""
    nodes: dict[str, Node] = {BEGIN: Node(BEGIN, BEGIN, _describe_trigger(journey))}
    edges: dict[Edge, None] = {}
    _lead(journey.code, BEGIN, [(0, "")], edges)
    for position, instruction in enumerate(journey.code):
        if instruction.op in _SILENT:
            continue
        _add_node(nodes, instruction)
        _lead(journey.code, instruction.step, _ways(instruction, position), edges)
    if any(edge.target == END for edge in edges):
        nodes[END] = Node(END, END, "the end")
    return Outline(tuple(nodes.values()), tuple(edges))


def _add_node(nodes: dict[str, Node], instruction: Instruction) -> None:
    """Make a node of a step; one of several instructions says what they do together."""
    step, label = instruction.step, _label(instruction)
    known = nodes.get(step)
    if known is None:
        nodes[step] = Node(step, instruction.op.value, label)
    elif instruction.op is Op.REPEAT:  # its first instruction only sets the counter
        nodes[step] = Node(step, Op.REPEAT.value, label)
    else:
        nodes[step] = known._replace(label=f"{known.label}, {label.partition(' ')[2]}")


def _lead(
    code: tuple[Instruction, ...],
    source: str,
    ways: list[tuple[int, str]],
    edges: dict[Edge, None],
) -> None:
    """Add the edges to where ways lead; within one step there are none."""
    for position, label in ways:
        target = _land(code, position)
        if target != source or label:
            edges[Edge(source, target, label)] = None


def _land(code: tuple[Instruction, ...], position: int) -> str:
    """Name the step that a position leads to; a branch that ends leads behind its `parallel`."""
    while position < len(code):
        instruction = code[position]
        if instruction.op is Op.JUMP:
            position = instruction.target
        elif instruction.op is Op.END:
            parallel = next(
                one for one in code if one.op is Op.PARALLEL and one.step == instruction.step
            )
            position = parallel.target
        else:
            return instruction.step
    return END


def _ways(instruction: Instruction, position: int) -> list[tuple[int, str]]:
    """List where an instruction leads, and when."""
    find = _WAYS.get(instruction.op)
    return [(position + 1, "")] if find is None else list(find(instruction, position))


def _if_ways(instruction: Instruction, position: int) -> Iterator[tuple[int, str]]:
    yield position + 1, "yes"
    yield instruction.target, "no"


def _wait_ways(instruction: Instruction, position: int) -> Iterator[tuple[int, str]]:
    yield position + 1, "it came"
    if instruction.duration_ms:
        yield instruction.target, f"not within {describe_span(instruction.duration_ms)}"


def _case_ways(instruction: Instruction, _position: int) -> Iterator[tuple[int, str]]:
    for case, target in instruction.cases.items():
        yield target, case
    yield instruction.target, "else"


def _split_ways(instruction: Instruction, _position: int) -> Iterator[tuple[int, str]]:
    total = sum(weight for _, weight in instruction.weights)
    for arm, weight in instruction.weights:
        share = f"{arm} {100 * weight / total:.3g} %"
        yield instruction.cases.get(arm, instruction.target), share


def _branch_ways(instruction: Instruction, _position: int) -> Iterator[tuple[int, str]]:
    for branch, target in instruction.cases.items():
        yield target, branch


def _repeat_ways(instruction: Instruction, position: int) -> Iterator[tuple[int, str]]:
    yield position + 1, "again"
    yield instruction.target, "then"


def _call_ways(instruction: Instruction, position: int) -> Iterator[tuple[int, str]]:
    yield position + 1, "answered"
    yield instruction.target, "failed"


def _no_ways(_instruction: Instruction, _position: int) -> Iterator[tuple[int, str]]:
    yield from ()


_WAYS: Mapping[str, Callable[[Instruction, int], Iterator[tuple[int, str]]]] = {
    Op.IF: _if_ways,
    Op.WAIT_FOR: _wait_ways,
    Op.SWITCH: _case_ways,
    Op.SPLIT: _split_ways,
    Op.PARALLEL: _branch_ways,
    Op.REPEAT: _repeat_ways,
    Op.EXIT: _no_ways,
    Op.CALL: _call_ways,
}


def _describe_trigger(journey: Journey) -> str:
    trigger = journey.trigger
    text = trigger.event
    if trigger.plan is not None:
        text = trigger.plan.text
    elif trigger.score:
        text = trigger.score
    elif trigger.segment:
        text = f"{trigger.on} {trigger.segment}"
    if trigger.condition is not None:
        text = f"{text} if {trigger.condition.source}"
    return text or "started by another journey"


def describe_span(duration_ms: int) -> str:
    """Write elapsed time as workspaces do: `1d12h`."""
    parts: list[str] = []
    for unit, unit_ms in _UNITS:
        count, duration_ms = divmod(duration_ms, unit_ms)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def describe_awaited(wait: WaitFor) -> str:
    """Say what a wait is for."""
    if wait.segment:
        return f"being in {wait.segment}"
    if wait.engagement:
        return f"{' or '.join(wait.kinds)}: {wait.engagement}"
    return wait.event if wait.condition is None else f"{wait.event} if {wait.condition.source}"


def _label(instruction: Instruction) -> str:
    find = _LABELS.get(instruction.op)
    return instruction.op.value if find is None else find(instruction)


def _source(instruction: Instruction) -> str:
    return instruction.condition.source if instruction.condition is not None else ""


def _label_send(one: Instruction) -> str:
    return f"send {one.message}" + (f" by {one.channel}" if one.channel else "")


def _label_repeat(one: Instruction) -> str:
    return f"repeat {one.times} times" + (f" while {_source(one)}" if one.condition else "")


def _label_parallel(one: Instruction) -> str:
    return "side by side, until " + ("one is" if one.joins_any else "all are") + " at the end"


_LABELS: Mapping[str, Callable[[Instruction], str]] = {
    Op.SEND: _label_send,
    Op.WAIT: lambda one: f"wait {describe_span(one.duration_ms)}",
    Op.WAIT_UNTIL: lambda _one: "wait until a moment",
    Op.WAIT_FOR: lambda one: "wait for " + (describe_awaited(one.wait_for) if one.wait_for else ""),
    Op.IF: lambda one: f"if {_source(one)}",
    Op.START: lambda one: f"start {one.journey}",
    Op.SET: lambda one: f"set {one.trait}",
    Op.EXIT: lambda one: f"exit: {one.reason}",
    Op.SWITCH: lambda one: f"switch {_source(one)}",
    Op.SPLIT: lambda _one: "split",
    Op.PARALLEL: _label_parallel,
    Op.REPEAT: _label_repeat,
    Op.REMEMBER: lambda one: f"remember {one.trait}",
    Op.EMIT: lambda one: f"emit {one.event}",
    Op.DECIDE: lambda one: f"decide {', '.join(one.messages)}",
    Op.CALL: lambda one: f"call {one.call.origin}" if one.call else "",
}

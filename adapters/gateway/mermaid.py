"""A journey's graph as Mermaid text, which many editors and wikis draw.

Ids are made up, since a step's name may hold anything; texts are quoted, and what Mermaid would
read as its own is written as an entity.
"""

from collections.abc import Iterator

from adapters.gateway.journeyviews import GraphNode, JourneyGraph

_LABEL_MAX = 80
# Shapes by what a step does: entry and end are round, questions are rhombs.
_ROUND, _RHOMB, _BOX = ("([", "])"), ("{{", "}}"), ("[", "]")
_SHAPES = {
    "begin": _ROUND, "end": _ROUND, "exit": _ROUND, "if": _RHOMB, "switch": _RHOMB,
    "split": _RHOMB, "wait_for": _RHOMB,
}  # fmt: skip


def write_mermaid(graph: JourneyGraph) -> str:
    """Write a graph, with the people who stand at each step."""
    return "\n".join(["flowchart TD", *_lines(graph)]) + "\n"


def _lines(graph: JourneyGraph) -> Iterator[str]:
    names = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        left, right = _SHAPES.get(node.kind, _BOX)
        yield f'  {names[node.id]}{left}"{_escape(describe_node(node))}"{right}'
    for edge in graph.edges:
        label = f'|"{_escape(edge.label)}"| ' if edge.label else ""
        yield f"  {names[edge.source]} --> {label}{names[edge.target]}"


def describe_node(node: GraphNode) -> str:
    """Say what a step does, and how many people stand there."""
    label = node.label if len(node.label) <= _LABEL_MAX else f"{node.label[: _LABEL_MAX - 1]}…"
    return f"{label} ({node.people})" if node.people else label


def _escape(text: str) -> str:
    # Mermaid's own entities, by number: a quote would end the text, and # would begin an entity.
    replaced = text.replace("#", "#35;").replace('"', "#34;").replace("<", "#lt;")
    return " ".join(replaced.replace(">", "#gt;").split())

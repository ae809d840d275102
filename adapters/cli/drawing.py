"""A journey's graph as a picture: one SVG file that needs nothing else, dark on white.

Layers from top to bottom: a step stands below everything that leads to it, but for ways back. In a
layer, steps stand below those they come from, so that few ways cross.
"""

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from adapters.gateway.journeyviews import GraphEdge, GraphNode, JourneyGraph

_BOX_WIDTH, _BOX_GAP, _LAYER_GAP = 220, 30, 64
_LINE_HEIGHT, _LINE_LENGTH, _LINES_MAX = 16, 30, 4
_MARGIN, _TITLE_HEIGHT = 24, 44
_SWEEPS = 4
_COLOURS = {
    "begin": "#e3f1e3", "end": "#eeeeee", "exit": "#eeeeee", "send": "#dfeaf7",
    "decide": "#dfeaf7", "wait": "#fbf3dc", "wait_until": "#fbf3dc", "wait_for": "#fbf3dc",
}  # fmt: skip
_PLAIN = "#f5f2f8"
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1b1b}.id{font-size:11px;fill:#555}"
    ".people{font-weight:700}.title{font-size:16px;font-weight:700}"
    ".way{fill:none;stroke:#555;stroke-width:1.4}.label{font-size:11px;fill:#333}"
)


class Box(NamedTuple):
    """Where a step is drawn."""

    x: float
    y: float
    height: float
    lines: list[str]


def draw(graph: JourneyGraph) -> str:
    """Draw a graph; the text of the file."""
    layers = _order(_layers(graph), graph.edges)
    boxes = _place(layers, {node.id: node for node in graph.nodes})
    width = max(box.x for box in boxes.values()) + _BOX_WIDTH + 2 * _MARGIN
    below = max(box.y + box.height for box in boxes.values()) + _MARGIN
    parts = [_way(edge, boxes) for edge in graph.edges]
    parts += [_step(node, boxes[node.id]) for node in graph.nodes]
    parts += [_caption(line, below + 8 + 16 * row) for row, line in enumerate(_elsewhere(graph))]
    height = below + 16 * len(graph.elsewhere) + 8
    people = f" · {graph.people} in it" if graph.people else ""
    title = escape(f"{graph.journey}{people}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" role="img"><title>{title}</title>'
        f'<style>{_STYLE}</style><defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4"'
        ' markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/>'
        '</marker></defs><rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text class="title" x="{_MARGIN}" y="28">{title}</text>{"".join(parts)}</svg>\n'
    )


def _layers(graph: JourneyGraph) -> list[list[str]]:
    """Put each step below all that lead to it; ways back, to what was written before, don't count.

    The end is drawn below everything else.
    """
    places = {node.id: place for place, node in enumerate(graph.nodes)}
    depth = dict.fromkeys(places, 0)
    for node in graph.nodes:  # in the order written: what leads forward leads to a later one
        for edge in graph.edges:
            if edge.source == node.id and places[edge.target] > places[node.id]:
                depth[edge.target] = max(depth[edge.target], depth[node.id] + 1)
    for node in graph.nodes:
        if node.kind == "end":
            depth[node.id] = max(depth.values()) if len(depth) > 1 else 0
            others = [depth[one.id] for one in graph.nodes if one.kind != "end"]
            depth[node.id] = max(depth[node.id], max(others, default=-1) + 1)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in graph.nodes:
        layers[depth[node.id]].append(node.id)
    return [layer for layer in layers if layer]


def _order(layers: list[list[str]], edges: Sequence[GraphEdge]) -> list[list[str]]:
    """Order each layer by where its steps come from, and go to."""
    for _ in range(_SWEEPS):
        for above, layer in pairwise(layers):
            _sort_by(
                layer, above, {e.target: [] for e in edges}, [(e.target, e.source) for e in edges]
            )
        for below, layer in pairwise(layers[::-1]):
            _sort_by(
                layer, below, {e.source: [] for e in edges}, [(e.source, e.target) for e in edges]
            )
    return layers


def _sort_by(
    layer: list[str],
    other: list[str],
    near: dict[str, list[int]],
    pairs: list[tuple[str, str]],
) -> None:
    places = {name: place for place, name in enumerate(other)}
    for name, neighbour in pairs:
        if neighbour in places:
            near[name].append(places[neighbour])
    own = {name: place for place, name in enumerate(layer)}
    means = {name: sum(found) / len(found) for name, found in near.items() if found}
    layer.sort(key=lambda name: means.get(name, own[name]))


def _place(layers: list[list[str]], nodes: dict[str, GraphNode]) -> dict[str, Box]:
    widest = max(len(layer) for layer in layers)
    full = widest * _BOX_WIDTH + (widest - 1) * _BOX_GAP
    boxes: dict[str, Box] = {}
    y = float(_TITLE_HEIGHT)
    for layer in layers:
        taken = len(layer) * _BOX_WIDTH + (len(layer) - 1) * _BOX_GAP
        x = _MARGIN + (full - taken) / 2
        texts = {name: _wrap(nodes[name].label) for name in layer}
        heights = {name: (len(texts[name]) + 1) * _LINE_HEIGHT + 14 for name in layer}
        for name in layer:
            boxes[name] = Box(x, y, heights[name], texts[name])
            x += _BOX_WIDTH + _BOX_GAP
        y += max(heights.values()) + _LAYER_GAP
    return boxes


def _wrap(text: str) -> list[str]:
    """Break a text into lines that fit a box; what is too long ends in dots."""
    lines = [""]
    for word in text.split():
        for piece in (word[at : at + _LINE_LENGTH] for at in range(0, len(word), _LINE_LENGTH)):
            longer = f"{lines[-1]} {piece}".strip()
            if len(longer) <= _LINE_LENGTH:
                lines[-1] = longer
            else:
                lines.append(piece)
    if len(lines) > _LINES_MAX:
        lines = [*lines[: _LINES_MAX - 1], f"{lines[_LINES_MAX - 1][: _LINE_LENGTH - 1]}…"]
    return lines


def _step(node: GraphNode, box: Box) -> str:
    colour, middle = _COLOURS.get(node.kind, _PLAIN), box.x + _BOX_WIDTH / 2
    older = len(node.versions) > 1
    people = f"{node.people} here" + (f", in {len(node.versions)} versions" if older else "")
    name = node.id if node.kind not in ("begin", "end") else ""
    below = " · ".join(part for part in (name, people if node.people else "") if part)
    lines = [
        f'<text x="{middle:.0f}" y="{box.y + 19 + row * _LINE_HEIGHT:.0f}"'
        f' text-anchor="middle">{escape(line)}</text>'
        for row, line in enumerate(box.lines)
    ]
    style = "id people" if node.people else "id"
    return (
        f'<g><rect x="{box.x:.0f}" y="{box.y:.0f}" width="{_BOX_WIDTH}" height="{box.height:.0f}"'
        f' rx="8" fill="{colour}" stroke="{"#1b1b1b" if node.people else "#999"}"/>'
        f'{"".join(lines)}<text class="{style}" x="{middle:.0f}" y="{box.y + box.height - 8:.0f}"'
        f' text-anchor="middle">{escape(below)}</text></g>'
    )


def _way(edge: GraphEdge, boxes: dict[str, Box]) -> str:
    start, end = boxes[edge.source], boxes[edge.target]
    if end.y > start.y:
        x1, y1 = start.x + _BOX_WIDTH / 2, start.y + start.height
        x2, y2 = end.x + _BOX_WIDTH / 2, end.y
        path = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + 40:.0f} {x2:.0f} {y2 - 40:.0f} {x2:.0f} {y2:.0f}"
        x, y = x1 + (x2 - x1) * 0.35, y1 + min(y2 - y1, 80) * 0.45
    else:  # a way back goes round on the right
        x1, y1 = start.x + _BOX_WIDTH, start.y + start.height / 2
        x2, y2 = end.x + _BOX_WIDTH, end.y + end.height / 2
        out = max(x1, x2) + 20
        path = f"M{x1:.0f} {y1:.0f}C{out:.0f} {y1:.0f} {out:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
        x, y = out, (y1 + y2) / 2
    label = ""
    if edge.label:
        label = (
            f'<text class="label" x="{x:.0f}" y="{y:.0f}" text-anchor="middle" stroke="#fff"'
            f' stroke-width="3" paint-order="stroke">{escape(edge.label[:_LINE_LENGTH])}</text>'
        )
    return f'<path class="way" d="{path}" marker-end="url(#tip)"/>{label}'


def _elsewhere(graph: JourneyGraph) -> list[str]:
    return [
        f"{one.people} at {one.step or 'a step'} of the older version {one.version}"
        for one in graph.elsewhere
    ]


def _caption(line: str, y: float) -> str:
    return f'<text class="id" x="{_MARGIN}" y="{y:.0f}">{escape(line)}</text>'

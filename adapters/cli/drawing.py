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
_PASSING, _PASSING_WIDTH, _BACK_SHIFT = "\0", 90, 36
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


_TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
    ' orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="#555"/></marker>'
)


class Box(NamedTuple):
    """Where a step is drawn, or a way that passes."""

    x: float
    y: float
    width: float
    height: float
    lines: list[str]

    @property
    def middle(self) -> float:
        """The middle from left to right."""
        return self.x + self.width / 2


class Chain(NamedTuple):
    """A way with the places it passes in the layers between, from above to below."""

    edge: GraphEdge
    stops: list[str]
    is_back: bool


def draw(graph: JourneyGraph) -> str:
    """Draw a graph; the text of the file."""
    layers = _layers(graph)
    chains = _chain(layers, graph.edges)
    boxes = _place(_order(layers, chains), {node.id: node for node in graph.nodes})
    width = max(box.x + box.width for box in boxes.values()) + _MARGIN
    below = max(box.y + box.height for box in boxes.values()) + _MARGIN
    parts = [_way(chain, boxes) for chain in chains]
    parts += [_step(node, boxes[node.id]) for node in graph.nodes]
    parts += [_label(chain, boxes) for chain in chains if chain.edge.label]
    parts += [_caption(line, below + 8 + 16 * row) for row, line in enumerate(_elsewhere(graph))]
    height = below + 16 * len(graph.elsewhere) + 8
    people = f" · {graph.people} in it" if graph.people else ""
    title = escape(f"{graph.journey}{people}")
    width = max(width, 2 * _MARGIN + 9 * len(title))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" role="img"><title>{title}</title>'
        f"<style>{_STYLE}</style><defs>{_TIP}</defs>"
        '<rect width="100%" height="100%" fill="#ffffff"/>'
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
            others = [depth[one.id] for one in graph.nodes if one.kind != "end"]
            depth[node.id] = max(depth[node.id], max(others, default=-1) + 1)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for node in graph.nodes:
        layers[depth[node.id]].append(node.id)
    return [layer for layer in layers if layer]


def _chain(layers: list[list[str]], edges: Sequence[GraphEdge]) -> list[Chain]:
    """Give each way a place of its own in the layers it passes, so that it meets no step there."""
    depth = {name: number for number, layer in enumerate(layers) for name in layer}
    chains: list[Chain] = []
    for number, edge in enumerate(edges):
        above, below = edge.source, edge.target
        is_back = depth[above] >= depth[below]
        if is_back:
            above, below = below, above
        stops = [above]
        for between in range(depth[above] + 1, depth[below]):
            stops.append(f"{_PASSING}{number}/{between}")
            layers[between].append(stops[-1])
        chains.append(Chain(edge, [*stops, below], is_back))
    return chains


def _order(layers: list[list[str]], chains: Sequence[Chain]) -> list[list[str]]:
    """Order each layer by where its steps come from, and go to."""
    pairs = [pair for chain in chains for pair in pairwise(chain.stops)]
    for _ in range(_SWEEPS):
        for above, layer in pairwise(layers):
            _sort_by(layer, above, [(below, name) for name, below in pairs])
        for below, layer in pairwise(layers[::-1]):
            _sort_by(layer, below, pairs)
    return layers


def _sort_by(layer: list[str], other: list[str], pairs: Sequence[tuple[str, str]]) -> None:
    places = {name: place for place, name in enumerate(other)}
    near: dict[str, list[int]] = {name: [] for name in layer}
    for name, neighbour in pairs:
        if name in near and neighbour in places:
            near[name].append(places[neighbour])
    # By shares of the breadth: layers have different numbers of steps.
    own = {name: (place + 0.5) / len(layer) for place, name in enumerate(layer)}
    means = {
        name: (sum(found) / len(found) + 0.5) / len(other) for name, found in near.items() if found
    }
    layer.sort(key=lambda name: means.get(name, own[name]))


def _place(layers: list[list[str]], nodes: dict[str, GraphNode]) -> dict[str, Box]:
    breadths = [
        sum(_width(name) for name in layer) + (len(layer) - 1) * _BOX_GAP for layer in layers
    ]
    boxes: dict[str, Box] = {}
    y = float(_TITLE_HEIGHT)
    for layer, breadth in zip(layers, breadths, strict=True):
        x = _MARGIN + (max(breadths) - breadth) / 2
        texts = {name: _wrap(nodes[name].label) for name in layer if name in nodes}
        heights = {name: (len(lines) + 1) * _LINE_HEIGHT + 14 for name, lines in texts.items()}
        highest = max(heights.values())
        for name in layer:
            height = heights.get(name, highest)
            boxes[name] = Box(x, y, _width(name), height, texts.get(name, []))
            x += _width(name) + _BOX_GAP
        y += highest + _LAYER_GAP
    return boxes


def _width(name: str) -> int:
    return _PASSING_WIDTH if name.startswith(_PASSING) else _BOX_WIDTH


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
    colour, middle = _COLOURS.get(node.kind, _PLAIN), box.middle
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


def _way(chain: Chain, boxes: dict[str, Box]) -> str:
    """Draw a way: down from layer to layer, and straight through those it only passes."""
    shift = _BACK_SHIFT if chain.is_back else 0  # beside the ways that go down
    path = ""
    for above, below in pairwise(chain.stops):
        start, end = boxes[above], boxes[below]
        x1, y1, x2, y2 = start.middle + shift, start.y + start.height, end.middle + shift, end.y
        begin = f"L{x1:.0f} {y1:.0f}" if path else f"M{x1:.0f} {y1:.0f}"
        bend = (y2 - y1) / 2
        path += f"{begin}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"
    tip = "start" if chain.is_back else "end"
    return f'<path class="way" d="{path}" marker-{tip}="url(#tip)"/>'


def _label(chain: Chain, boxes: dict[str, Box]) -> str:
    """Write when a way is taken, near where it begins."""
    above, below = (chain.stops[-1], chain.stops[-2]) if chain.is_back else chain.stops[:2]
    start, end = boxes[above], boxes[below]
    x = start.middle + (end.middle - start.middle) * 0.4
    y = start.y - 12 if chain.is_back else start.y + start.height + _LAYER_GAP * 0.42
    return (
        f'<text class="label" x="{x:.0f}" y="{y:.0f}" text-anchor="middle" stroke="#fff"'
        f' stroke-width="3" paint-order="stroke">{escape(chain.edge.label[:_LINE_LENGTH])}</text>'
    )


def _elsewhere(graph: JourneyGraph) -> list[str]:
    return [
        f"{one.people} at {one.step or 'a step'} of the older version {one.version}"
        for one in graph.elsewhere
    ]


def _caption(line: str, y: float) -> str:
    return f'<text class="id" x="{_MARGIN}" y="{y:.0f}">{escape(line)}</text>'

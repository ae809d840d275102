"""A journey as a graph: which steps there are, and which way leads where."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from actors.rows import StayCount
from adapters.cli.drawing import draw
from adapters.gateway.journeys import show_journey
from engine.program.compile import compile_source
from engine.program.outline import Outline, outline
from tests.editions import Steps, edition

EVERY: Steps = [
    {"switch": "profile.tier", "cases": {"gold": [{"send": "a", "id": "g"}]}, "id": "tier"},
    {
        "split": {"control": 1, "offer": 3},
        "cases": {"offer": [{"send": "b", "id": "o"}]},
        "id": "x",
    },
    {
        "parallel": {"mail": [{"wait": "1h", "id": "m"}], "call": [{"send": "c", "id": "k"}]},
        "id": "both",
    },
    {"repeat": 2, "steps": [{"wait": "36h", "id": "again"}], "id": "loop"},
    {"set": {"seen": True, "level": 2}, "id": "mark"},
    {"decide": ["a", "b"], "id": "best"},
    {"emit": "Done", "id": "told"},
    {"if": "profile.vip", "then": [{"exit": "vip", "id": "out"}], "id": "vip"},
]


def drawn(steps: Steps) -> Outline:
    return outline(compile_source(edition({"main": steps})).journeys["main"])


def ways(made: Outline) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for edge in made.edges:
        found.setdefault(edge.source, []).append(f"{edge.label}>{edge.target}")
    return found


def test_every_kind_of_step_has_a_node_and_leads_where_it_leads() -> None:
    made = drawn(EVERY)
    assert ways(made) == {
        "begin": [">tier"],
        "tier": ["gold>g", "else>x"],
        "g": [">x"],
        "x": ["control 25 %>both", "offer 75 %>o"],
        "o": [">both"],
        "both": ["mail>m", "call>k"] if ways(made)["both"][0][0] == "m" else ["call>k", "mail>m"],
        "m": [">loop"],
        "k": [">loop"],
        "loop": ["again>again", "then>mark"],
        "again": [">loop"],
        "mark": [">best"],
        "best": [">told"],
        "told": [">vip"],
        "vip": ["yes>out", "no>end"],
    }
    labels = {node.id: node.label for node in made.nodes}
    assert labels["again"] == "wait 1d12h"
    assert labels["mark"] in {"set level, seen", "set seen, level"}
    assert labels["loop"].startswith("repeat 2 times")
    assert labels["out"] == "exit: vip"


def test_what_is_ahead_of_a_step_goes_round_loops_and_not_back_to_the_beginning() -> None:
    made = drawn([{"wait": "1h", "id": "w"}, {"send": "a", "id": "s"}, {"send": "b", "id": "t"}])
    assert made.ahead("s") == ["s", "t", "end"]
    assert "loop" in drawn(EVERY).ahead("again")


def test_people_in_older_versions_stand_at_the_steps_of_the_same_name_or_elsewhere() -> None:
    old = compile_source(
        edition({"main": [{"wait": "1h", "id": "w"}, {"wait": "2h", "id": "gone"}]})
    )
    new = compile_source(edition({"main": [{"wait": "9h", "id": "w"}]}))
    before, now = old.journeys["main"].version, new.journeys["main"].version
    program = new.with_archive({before: old.journeys["main"]})
    counts = [
        StayCount("main", now, 0, 3, 3),
        StayCount("main", before, 0, 2, 2),
        StayCount("main", before, 1, 1, 1),
        StayCount("other", now, 0, 5, 5),
    ]
    graph = show_journey("main", program, counts)
    node = next(one for one in graph.nodes if one.id == "w")
    assert (node.people, node.versions) == (5, {now: 3, before: 2})
    assert [(one.step, one.people) for one in graph.elsewhere] == [("gone", 1)]
    assert graph.people == 6


def test_a_picture_is_sound_xml_with_every_step_within_it_and_no_two_on_one_place() -> None:
    steps: Steps = [*EVERY, {"if": 'profile.a < "<&>"', "then": [{"send": "a", "id": 'q"<&'}]}]
    graph = show_journey("main", compile_source(edition({"main": steps})), [])
    root = ET.fromstring(draw(graph))
    space = {"s": "http://www.w3.org/2000/svg"}
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [one.attrib for one in root.findall("s:g/s:rect", space)]
    assert len(boxes) == len(graph.nodes)
    placed = [[float(box[key]) for key in ("x", "y", "width", "height")] for box in boxes]
    for x, y, wide, high in placed:
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height
    for place, (x, y, wide, high) in enumerate(placed):
        for other in placed[place + 1 :]:
            apart = x + wide <= other[0] or other[0] + other[2] <= x
            assert apart or y + high <= other[1] or other[1] + other[3] <= y
    assert len(root.findall("s:path", space)) == len(graph.edges)


def test_mermaid_text_quotes_what_it_would_read_as_its_own() -> None:
    steps: list[dict[str, Any]] = [{"if": 'profile.a == "#1"', "then": [{"send": "a"}]}]
    text = show_journey("main", compile_source(edition({"main": steps})), []).mermaid
    assert "profile.a == #34;#35;1#34;" in text
    assert text.count("-->") == len(drawn(steps).edges)


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        ({"event": "Go", "if": "event.n > 1"}, "Go if event.n > 1"),
        ({"schedule": "0 9 * * mon"}, "on schedule 0 9 * * mon"),
        (
            {"schedule": "0 9 * * mon", "if": "profile.vip"},
            "on schedule 0 9 * * mon if profile.vip",
        ),
        (
            {"date": "profile.birthday at 09:00", "every": "year"},
            "on profile.birthday at 09:00 every year",
        ),
        ({"date": "profile.renewal_date - 7d"}, "on profile.renewal_date - 7d"),
        ({"score": "churn", "above": 0.7}, "churn above 0.7"),
        ({"score": "value", "below": 10, "if": "profile.vip"}, "value below 10 if profile.vip"),
        (None, "started by another journey"),
    ],
)
def test_what_begins_a_journey_stands_where_people_enter(
    trigger: dict[str, Any] | None, text: str
) -> None:
    main: dict[str, Any] = {"steps": [{"send": "a"}]}
    if trigger is not None:
        main["trigger"] = trigger
    starter = {"trigger": {"event": "Go"}, "steps": [{"start": "main"}]}
    made = outline(compile_source(edition({"main": main, "starter": starter})).journeys["main"])
    assert made.nodes[0].label == text


def test_a_call_says_who_is_called() -> None:
    made = drawn([{"webhook": {"url": "https://crm.example/a?b=1"}, "id": "ask"}])
    assert [node.label for node in made.nodes if node.id == "ask"] == ["call https://crm.example"]
    assert ways(made)["ask"] == ["answered>end", "failed>end"]

"""Workspaces in real folders: which files are read, how they merge, where faults are."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from adapters.files.workspaces import load_workspace, read_workspace, source_bytes
from engine.errors import Problem, ProgramError
from engine.limits import WORKSPACE_FILE_BYTES_MAX
from engine.profile import Profile
from engine.program.compile import compile_source
from engine.program.scope import Scope

DEMO = Path(__file__).parents[2] / "adapters" / "demo" / "workspace"
MAIN = """
workspace: shop
channels:
  email: {adapter: log, identity: email}
message_types:
  promotional: {purpose: marketing, channels: [email]}
"""
HELLO = "messages:\n  hello: {type: promotional, content: {email: {body: hi}}}\n"
GREETING = """journeys:
  greeting:
    trigger: {event: Signed Up}
    steps: [{send: hello}]
"""


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def faults(folder: Path) -> list[Problem]:
    with pytest.raises(ProgramError) as caught:
        load_workspace(folder)
    return caught.value.problems


def places(found: list[Problem], folder: Path) -> list[tuple[str, int, str]]:
    return [
        (Path(one.file).relative_to(folder).as_posix() if one.file else "", one.line, one.path)
        for one in found
    ]


def test_one_file_is_enough(tmp_path: Path) -> None:
    program = load_workspace(write(tmp_path, {"workspace.yaml": MAIN + HELLO + GREETING}))
    assert program.name == "shop"
    assert list(program.journeys) == ["greeting"]


def test_files_and_folders_named_after_top_level_keys_are_merged(tmp_path: Path) -> None:
    split = {
        "workspace.yml": MAIN,
        "messages.yaml": HELLO,
        "journeys/a/greeting.yaml": GREETING,
        "journeys/other.json": json.dumps(
            {"journeys": {"other": {"trigger": {"event": "A"}, "steps": [{"wait": "1h"}]}}}
        ),
        "segments/all.yaml": "segments: {vip: profile.vip}\n",
        "messages/empty.yaml": "# nothing yet\n",
    }
    program = load_workspace(write(tmp_path, split))
    assert list(program.journeys) == ["greeting", "other"]
    assert list(program.membership.segments) == ["vip"]


def test_a_split_workspace_is_the_same_program_as_a_whole_one(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", {"workspace.yaml": MAIN + HELLO + GREETING})
    split = {"workspace.yaml": MAIN, "messages/m.yaml": HELLO, "journeys/j.yaml": GREETING}
    divided = write(tmp_path / "divided", split)
    assert load_workspace(whole).version == load_workspace(divided).version


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    others = {
        "docker-compose.yaml": "services: {}",
        "package.json": "{}",
        ".hidden.yaml": "journeys: 1",
        "journeys/.draft.yaml": "journeys: 1",
        "notes/x.yaml": "journeys: 1",
        "content/x.yaml": "journeys: 1",
        "README.md": "journeys: 1",
    }
    folder = write(tmp_path, {"workspace.yaml": MAIN + HELLO + GREETING, **others})
    assert len(load_workspace(folder).journeys) == 1


@pytest.mark.parametrize("name", ["journey.yaml", "journeyz/a.yaml", "worksapce.yaml"])
def test_a_file_with_almost_a_known_name_is_not_passed_over_in_silence(
    tmp_path: Path, name: str
) -> None:
    (found,) = faults(write(tmp_path, {"workspace.yaml": MAIN, name: GREETING}))
    assert "is not read" in found.message
    assert found.hint in {
        "did you mean 'journeys.yaml'?",
        "did you mean 'journeys'?",
        "did you mean 'workspace.yaml'?",
    }
    assert found.line == 1


def test_the_same_journey_in_two_files_names_both_places(tmp_path: Path) -> None:
    files = {"workspace.yaml": MAIN + HELLO, "journeys/a.yaml": GREETING}
    folder = write(tmp_path, {**files, "journeys/b.yaml": "# again\n" + GREETING})
    (found,) = faults(folder)
    assert places([found], folder) == [("journeys/b.yaml", 3, "journeys.greeting")]
    assert found.message == "'greeting' is defined twice"
    assert found.hint == f"it is also in {folder.as_posix()}/journeys/a.yaml:2"


def test_a_single_value_in_two_files_names_both_places(tmp_path: Path) -> None:
    files = {"workspace.yaml": MAIN + HELLO + GREETING + "seed: 1\n", "seed.yaml": "seed: 2\n"}
    folder = write(tmp_path, files)
    (found,) = faults(folder)
    assert found.message == "'seed' is defined twice"
    assert (found.line, found.path) == (13, "seed")
    assert found.hint == f"it is also in {folder.as_posix()}/seed.yaml:1"


def test_faults_of_many_files_are_reported_together(tmp_path: Path) -> None:
    files = {
        "workspace.yaml": MAIN.replace("log", "logg"),
        "messages/m.yaml": "messages:\n  hello: {type: promo, content: {email: {body: hi}}}\n",
        "journeys/j.yaml": GREETING.replace("send: hello", "send: helo"),
        "journeys/k.yaml": GREETING,
    }
    folder = write(tmp_path, files)
    assert places(faults(folder), folder) == [
        ("journeys/k.yaml", 2, "journeys.greeting"),
        ("journeys/j.yaml", 4, "journeys.greeting.steps[0].send"),
        ("messages/m.yaml", 2, "messages.hello.type"),
        ("workspace.yaml", 4, "channels.email.adapter"),
    ]


def test_a_fault_is_written_the_way_editors_jump_to(tmp_path: Path) -> None:
    files = {"workspace.yaml": MAIN.replace("[email]", "[emial]") + HELLO + GREETING}
    folder = write(tmp_path, files)
    (found,) = faults(folder)
    assert str(found) == (
        f"{folder.as_posix()}/workspace.yaml:6:48: message_types.promotional.channels[0]: "
        "unknown channel 'emial' (did you mean 'email'?)"
    )


def test_all_files_that_cannot_be_read_are_reported_together(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "workspace.yaml": MAIN,
        "journeys/a.yaml": "journeys: [\n",
        "journeys/b.json": '{"journeys":\n {,}}',
        "journeys/c.yaml": b"journeys: \xff\xfe",
        "journeys/d.yaml": "- a\n- b\n",
        "journeys/e.yaml": "# " + "x" * WORKSPACE_FILE_BYTES_MAX,
    }
    folder = write(tmp_path, files)
    found = {Path(one.file).name: one for one in faults(folder)}
    assert found.keys() == {"a.yaml", "b.json", "c.yaml", "d.yaml", "e.yaml"}
    assert "is not YAML" in found["a.yaml"].message
    assert "is not JSON" in found["b.json"].message
    assert (found["b.json"].line, found["b.json"].column) == (2, 3)
    assert "not UTF-8" in found["c.yaml"].message
    assert "a mapping of top-level keys" in found["d.yaml"].message
    assert "too large" in found["e.yaml"].message
    assert all(one.line for one in found.values())


def test_faults_in_json_have_their_lines_too(tmp_path: Path) -> None:
    text = '{\n\t"workspace": "shop \\ud83d\\ude00",\n\t"sed": 1\n}'
    (found,) = faults(write(tmp_path / "a", {"workspace.json": text.replace("\\ud83d\\ude00", "")}))
    assert (found.line, found.column, found.path) == (3, 2, "sed")
    assert found.hint == "did you mean 'seed'?"
    (found,) = faults(write(tmp_path / "b", {"workspace.json": text}))
    # YAML has no surrogate pairs, so no places but the beginning of the file.
    assert (found.line, found.path) == (1, "sed")


def test_a_key_twice_in_json_is_a_fault_with_its_line(tmp_path: Path) -> None:
    text = '{"workspace": "shop",\n "seed": 1,\n "seed": 2}'
    (found,) = faults(write(tmp_path, {"workspace.json": text}))
    assert (found.line, found.message) == (3, "duplicate key 'seed'")


def test_a_missing_folder_a_file_and_an_empty_folder_are_explained(tmp_path: Path) -> None:
    (found,) = faults(tmp_path / "nowhere")
    assert "does not exist" in found.message
    file = write(tmp_path, {"x.yaml": MAIN}) / "x.yaml"
    (found,) = faults(file)
    assert "is not a folder" in found.message
    assert "workspace.yaml" in found.hint
    (found,) = faults(write(tmp_path / "empty", {"README.md": ""}))
    assert "there is no workspace" in found.message


@pytest.mark.parametrize(
    ("files", "file", "message"),
    [
        ({"workspace.yaml": ""}, "workspace.yaml", "a workspace needs a name"),
        ({"journeys/a.yaml": "journeys: {}"}, "journeys/a.yaml", "a workspace needs a name"),
        ({"workspace.yaml": "hello"}, "workspace.yaml", "a workspace file is a mapping"),
        ({"workspace.yaml": "- a"}, "workspace.yaml", "a workspace file is a mapping"),
    ],
)
def test_what_is_missing_altogether_has_a_place_too(
    files: dict[str, str], file: str, message: str, tmp_path: Path
) -> None:
    (found,) = faults(write(tmp_path, files))
    assert found.message.startswith(message)
    assert (found.file.endswith(f"/{file}"), found.line) == (True, 1)


@pytest.mark.parametrize("name", ["journeys/greeting.yaml", "journeys.yaml", "journeys/a/b.yml"])
def test_a_journey_without_its_section_is_told_where_to_stand(name: str, tmp_path: Path) -> None:
    bare = "# ours\ngreeting: {trigger: {event: A}, steps: [{exit: done}]}\n"
    (found,) = faults(write(tmp_path, {"workspace.yaml": "workspace: shop\n", name: bare}))
    assert (found.message, found.hint) == ("unknown key 'greeting'", "put it under `journeys:`")
    assert (found.path, found.line) == ("greeting", 2)


def test_a_strange_key_in_the_main_file_is_told_which_keys_there_are(tmp_path: Path) -> None:
    (found,) = faults(write(tmp_path, {"workspace.yaml": "workspace: shop\nzzz: 1\n"}))
    assert (found.path, found.line) == ("zzz", 2)
    assert found.hint.startswith("known keys: ")
    assert "channels, consent" in found.hint


WITH_FILE = "messages:\n  hello: {type: promotional, content: {email: {body: {file: %s}}}}\n"


def test_content_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    text = "Hi {{ profile.name }}"
    files = {"workspace.yaml": MAIN + GREETING + WITH_FILE % "a/hi.liquid"}
    program = load_workspace(write(tmp_path, {**files, "content/a/hi.liquid": text}))
    template = program.messages["hello"].content["email"]["body"]
    assert template.render({"profile": {"name": "Ann"}}) == "Hi Ann"


def test_content_is_part_of_the_version(tmp_path: Path) -> None:
    files = {"workspace.yaml": MAIN + GREETING + WITH_FILE % "hi.liquid"}
    first = load_workspace(write(tmp_path, {**files, "content/hi.liquid": "one"})).version
    assert load_workspace(write(tmp_path, {"content/hi.liquid": "two"})).version != first


def test_a_fault_in_content_is_reported_in_its_own_file(tmp_path: Path) -> None:
    files = {"workspace.yaml": MAIN + GREETING + WITH_FILE % "hi.liquid"}
    folder = write(tmp_path, {**files, "content/hi.liquid": "Hello,\n\n{% if profile.a %}there"})
    (found,) = faults(folder)
    ((file, line, path),) = places([found], folder)
    assert (file, path) == ("content/hi.liquid", "messages.hello.content.email.body")
    assert line >= 1


@pytest.mark.parametrize(
    ("name", "problem", "hint"),
    [
        ("hii.liquid", "there is no such file", "did you mean 'hi.liquid'?"),
        ("zzz", "there is no such file", "put it in"),
        ("../workspace.yaml", "lies outside the workspace's content folder", ""),
        ("/etc/hostname", "lies outside the workspace's content folder", ""),
        ("5", "the name of a file is text", ""),
        ('""', "there is no such file", ""),
    ],
)
def test_a_content_file_must_exist_inside_the_folder(
    tmp_path: Path, name: str, problem: str, hint: str
) -> None:
    files = {"workspace.yaml": MAIN + GREETING + WITH_FILE % name, "content/hi.liquid": "hi"}
    folder = write(tmp_path, files)
    (found,) = faults(folder)
    assert problem in found.message
    assert hint in found.hint
    assert places([found], folder) == [
        ("workspace.yaml", 12, "messages.hello.content.email.body.file")
    ]


def test_a_link_out_of_the_content_folder_is_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "outside", {"secret": "key"}) / "secret"
    files = {"workspace.yaml": MAIN + GREETING + WITH_FILE % "hi", "content/x": ""}
    folder = write(tmp_path / "shop", files)
    (folder / "content" / "hi").symlink_to(secret)
    (found,) = faults(folder)
    assert "lies outside" in found.message


def test_a_condition_that_cannot_be_read_is_found_to_the_column(tmp_path: Path) -> None:
    quoted = MAIN + HELLO + GREETING.replace("Signed Up", 'A, if: "event.price > > 5"')
    (found,) = faults(write(tmp_path, {"workspace.yaml": quoted}))
    written = quoted.splitlines()[found.line - 1]
    assert found.path == "journeys.greeting.trigger.if"
    assert written[found.column - 1 :].startswith("> 5")


def test_a_condition_in_a_block_is_found_to_its_line(tmp_path: Path) -> None:
    block = "segments:\n  vip: |\n    profile.a &&\n    profile.b > > 5\n"
    text = MAIN + HELLO + GREETING + block
    (found,) = faults(write(tmp_path, {"workspace.yaml": text}))
    written = text.splitlines()[found.line - 1]
    assert found.path == "segments.vip"
    assert written[found.column - 1 :].startswith("> 5")


def test_a_condition_with_escapes_is_found_to_its_beginning(tmp_path: Path) -> None:
    text = MAIN + HELLO + GREETING + 'segments:\n  vip: "profile.a == \\"x\\" > > 5"\n'
    (found,) = faults(write(tmp_path, {"workspace.yaml": text}))
    assert (found.path, found.line, found.column) == ("segments.vip", 14, 8)


def test_a_phone_number_without_quotes_is_refused_with_the_rest(tmp_path: Path) -> None:
    settings = "\n    settings: {sender: +27821234567}"
    text = MAIN.replace(
        "{adapter: log, identity: email}", f"\n    adapter: logg\n    identity: email{settings}"
    )
    found = faults(write(tmp_path, {"workspace.yaml": text + HELLO + GREETING}))
    assert [one.path for one in found] == [
        "channels.email.settings.sender",
        "channels.email.adapter",
    ]
    assert found[0].hint == 'quote it: "+27821234567"'
    assert (found[0].line, found[0].column) == (7, 24)


def test_a_stored_source_compiles_to_the_same_program(tmp_path: Path) -> None:
    files = {"workspace.yaml": MAIN + GREETING + WITH_FILE % "hi.liquid"}
    folder = write(tmp_path, {**files, "content/hi.liquid": "Hi {{ profile.name }} é"})
    stored = source_bytes(read_workspace(folder))
    program = compile_source(msgspec.json.decode(stored))
    assert program.version == load_workspace(folder).version
    assert program.messages["hello"].content["email"]["body"].source.startswith("Hi ")


def test_reading_alone_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="duplicate key 'seed'"):
        read_workspace(write(tmp_path, {"workspace.yaml": "workspace: x\nseed: 1\nseed: 2\n"}))


@pytest.mark.slow
def test_the_version_is_the_same_in_another_process_with_another_hash_seed() -> None:
    script = (
        "import sys; from pathlib import Path; from adapters.files.workspaces import *; "
        "print(load_workspace(Path(sys.argv[1])).version)"
    )
    command = [sys.executable, "-c", script, str(DEMO)]
    root = str(DEMO.parents[2])
    versions = {
        subprocess.run(
            command,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": root},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert versions == {load_workspace(DEMO).version + "\n"}


def test_the_demo_is_a_shop_with_enough_to_show() -> None:
    program = load_workspace(DEMO)
    assert len(program.journeys) >= 10
    assert len(program.channels) >= 5
    assert program.caps
    assert program.backoff is not None
    assert program.cooldown is not None
    assert "just_bought" in program.suppression_rules
    assert program.opt_out == {}
    adapters = {name: channel.adapter for name, channel in program.channels.items()}
    assert adapters["email"] == "smtp"
    assert adapters["in_app"] == "inbox"
    assert any(channel.window is not None for channel in program.channels.values())


def test_every_template_of_the_demo_renders_for_a_full_and_for_an_empty_customer() -> None:
    product = {"name": "Mug", "price": 120, "quantity": 2}
    event = {**product, "order_id": "o1", "total": 240, "products": [product], "rating": 5}
    full = {"profile": {"first_name": "Thandi"}, "event": {**event, "query": "mug"}}
    for message in load_workspace(DEMO).messages.values():
        for fields in message.content.values():
            for template in fields.values():
                assert template.render(full).strip()
                template.render({"profile": {}, "event": {}})


def test_every_message_of_the_demo_is_sent_and_every_condition_runs() -> None:
    program = load_workspace(DEMO)
    sent = {
        one.message for journey in program.journeys.values() for one in journey.code if one.message
    }
    assert sent == program.messages.keys()
    scope = Scope(Profile("u1"), 0)
    for journey in program.journeys.values():
        for one in journey.code:
            if one.condition is not None:
                one.condition.evaluate(scope)

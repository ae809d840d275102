"""A workspace's folder → its source, and from there to a Program.

Called by the command line and by `adapters.app`. `read_workspace` gathers the files, `compile`
says what they mean; where either finds faults, one ProgramError names them all with their places.

*Rules.* These files are read, in the order of their names:
- `workspace.yaml` (or `.yml`, `.json`), and files and folders named after a top-level key:
  `journeys.yaml`, `journeys/*.yaml`, `messages/*.yaml`, … at any depth. Others are left alone.
- Each holds top-level keys; they are merged. The same name in two files is an error.
- Content may be kept in `content/`: `body: {file: welcome.liquid}`.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from adapters.files.yaml12 import Document, read_json, read_yaml
from engine.errors import Problem, ProgramError
from engine.limits import WORKSPACE_FILE_BYTES_MAX, WORKSPACE_FILES_MAX
from engine.program.compile import canonical_bytes, compile_source
from engine.program.faults import quote
from engine.program.model import WorkspaceSpec
from engine.program.places import Path as SourcePath, Place, format_path
from engine.program.plain import dict_or_none
from engine.program.program import Program

_SUFFIXES = (".yaml", ".yml", ".json")
_MAIN = "workspace"
_NEARLY = 0.75  # how like a section a misspelt one is
_CONTENT, _LOCALES = "content", "locales"
_SECTIONS = tuple(field.encode_name for field in msgspec.structs.fields(WorkspaceSpec))


class Source(msgspec.Struct, frozen=True):
    """A workspace as its files say it together, with the place of each value."""

    raw: dict[str, Any]
    places: dict[SourcePath, Place]


def load_workspace(folder: Path) -> Program:
    """Read, check and compile a workspace. Raises ProgramError with every fault found."""
    reading = _Reading(folder)
    reading.read()
    if reading.is_partial:
        raise ProgramError(reading.problems)
    try:
        program = compile_source(reading.raw, reading.places)
    except ProgramError as error:
        raise ProgramError([*reading.problems, *error.problems]) from None
    if reading.problems:
        raise ProgramError(reading.problems)
    return program


def read_workspace(folder: Path) -> Source:
    """Read a workspace's files without judging what they mean. Raises ProgramError."""
    reading = _Reading(folder)
    reading.read()
    if reading.problems:
        raise ProgramError(reading.problems)
    return Source(reading.raw, reading.places)


def source_bytes(source: Source) -> bytes:
    """Write a source as JSON; decoded, it compiles to the same Program on any machine."""
    return canonical_bytes(source.raw)


class _Reading:
    """The reading of one folder: what was merged so far and what was wrong."""

    def __init__(self, folder: Path) -> None:
        self.raw: dict[str, Any] = {}
        self.places: dict[SourcePath, Place] = {}
        self.problems: list[Problem] = []
        self.is_partial = False  # something could not be read, so what it says is missing
        self._folder = folder

    def read(self) -> None:
        """Read and merge everything."""
        if not self._folder.is_dir():
            hint = "name the folder that holds workspace.yaml"
            what = "is not a folder" if self._folder.exists() else "does not exist"
            self._fail(Problem("$", f"{self._folder} {what}", hint))
            return
        files = sorted(self._find_files())
        if not files:
            hint = "a workspace needs a workspace.yaml"
            self._fail(Problem("$", f"there is no workspace in {self._folder}", hint))
        if len(files) > WORKSPACE_FILES_MAX:
            hint = f"at most {WORKSPACE_FILES_MAX} are read"
            self._fail(Problem("$", f"there are {len(files)} files in {self._folder}", hint))
            return
        for file in files:
            self._merge(self._read_document(file), file)
        main = next((file for file in files if file.stem == _MAIN), files[0] if files else None)
        if main is not None:  # where to say that something is missing altogether
            self.places.setdefault((), Place(main.as_posix(), 1, 1))
        self._include_content()

    def _find_files(self) -> Iterator[Path]:
        known = (_MAIN, *_SECTIONS)
        for entry in self._folder.iterdir():
            is_file = entry.is_file() and entry.suffix in _SUFFIXES
            if entry.name.startswith(".") or not (is_file or entry.is_dir()):
                continue
            name = entry.stem if is_file else entry.name
            if name in known and is_file:
                yield entry
            elif name in _SECTIONS:
                yield from _find_below(entry)
            elif name != _CONTENT and (near := get_close_matches(name, known, n=1, cutoff=0.8)):
                message = f"{entry.name} is not read: it is named after no top-level key"
                hint = f"did you mean {near[0] + (entry.suffix if is_file else '')!r}?"
                self.problems.append(Problem("$", message, hint, entry.as_posix(), 1, 1))

    def _read_document(self, file: Path) -> Document:
        name = file.as_posix()
        text = self._read_text(file, name)
        if text is None:
            return Document(None, {}, [], readable=False)
        return read_json(text, name) if file.suffix == ".json" else read_yaml(text, name)

    def _read_text(self, file: Path, name: str) -> str | None:
        try:
            if file.stat().st_size > WORKSPACE_FILE_BYTES_MAX:
                hint = f"at most {WORKSPACE_FILE_BYTES_MAX // 1024} KiB are read"
                self._fail(Problem("$", "is too large", hint, name, 1, 1))
                return None
            return file.read_bytes().decode("utf-8-sig")
        except OSError as error:
            self._fail(Problem("$", f"can't be read: {error.strerror}", "", name, 1, 1))
        except UnicodeDecodeError:
            self._fail(Problem("$", "is not UTF-8 text", "save it as UTF-8", name, 1, 1))
        return None

    def _merge(self, document: Document, file: Path) -> None:
        self.problems.extend(document.problems)
        if not document.readable:
            self.is_partial = True
            return
        if document.value is None:  # an empty file, or one of comments only
            return
        given = dict_or_none(document.value)
        if given is None:
            message = "a workspace file is a mapping of top-level keys"
            self._fail(Problem("$", message, "like `journeys:`", file.as_posix(), 1, 1))
            return
        for key, value in given.items():
            if self._refuse_unnested(key, file, document.places):
                continue
            section, known = dict_or_none(value), dict_or_none(self.raw.get(key))
            if key not in self.raw:
                self.raw[key] = value if section is None else dict(section)
            elif section is not None and known is not None:
                self._merge_section(key, known, section, document.places)
            else:
                self._refuse_twice((key,), document.places)
        for path, place in document.places.items():
            self.places.setdefault(path, place)

    def _refuse_unnested(self, key: str, file: Path, places: Mapping[SourcePath, Place]) -> bool:
        """Note a name that stands where its section should, in a file named after the section."""
        parts = file.relative_to(self._folder).parts
        section = parts[0] if len(parts) > 1 else file.stem
        if section == _MAIN or section not in _SECTIONS:
            return False
        if get_close_matches(key, _SECTIONS, n=1, cutoff=_NEARLY):  # a section, or nearly one
            return False
        place = places.get((key,)) or Place(file.as_posix(), 1, 1)
        where = (place.file, place.key_line or place.line, place.key_column or place.column)
        message = f"unknown key {quote(key)}"
        self.problems.append(Problem(key, message, f"put it under `{section}:`", *where))
        return True

    def _merge_section(
        self,
        key: str,
        known: dict[str, object],
        section: Mapping[str, object],
        places: Mapping[SourcePath, Place],
    ) -> None:
        for name, item in section.items():
            if name in known:
                self._refuse_twice((key, name), places)
            else:
                known[name] = item

    def _refuse_twice(self, path: SourcePath, places: Mapping[SourcePath, Place]) -> None:
        nowhere = Place("", 0, 0)
        first, second = self.places.get(path, nowhere), places.get(path, nowhere)
        message = f"{path[-1]!r} is defined twice"
        hint = f"it is also in {first.file}:{first.key_line}"
        place = (second.file, second.key_line, second.key_column)
        self.problems.append(Problem(format_path(path), message, hint, *place))

    def _include_content(self) -> None:
        """Put the texts of `content/` where messages refer to them."""
        for fields, path in list(_walk_contents(self.raw.get("messages"))):
            for field, text in fields.items():
                reference = dict_or_none(text)
                if reference is not None and list(reference) == ["file"]:
                    self._include(fields, field, reference["file"], (*path, field))

    def _include(
        self, fields: dict[str, object], field: str, name: object, path: SourcePath
    ) -> None:
        root = self._folder / _CONTENT
        file = root / name if isinstance(name, str) else root
        problem = "" if isinstance(name, str) else "the name of a file is text"
        if not problem and not file.resolve().is_relative_to(root.resolve()):
            problem = "lies outside the workspace's content folder"
        elif not problem and not file.is_file():
            problem = "there is no such file"
        text = None if problem else self._read_text(file, file.as_posix())
        if text is not None:
            fields[field] = text
            self.places[path] = Place(file.as_posix(), 1, 1, 0, 0, 1, 1)
            return
        fields[field] = ""  # what the file would say is judged when it can be read
        if problem:
            place = self.places.get((*path, "file")) or Place("", 0, 0)
            hint = self._suggest_file(str(name), root)
            where = (place.file, place.line, place.column)
            shown = f"{root.as_posix()}/{str(name)[:80]}"
            self.problems.append(
                Problem(format_path((*path, "file")), f"{shown}: {problem}", hint, *where)
            )

    def _suggest_file(self, name: str, root: Path) -> str:
        files = [file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()]
        near = get_close_matches(name, files, n=1)
        return f"did you mean {near[0]!r}?" if near else f"put it in {root.as_posix()}"

    def _fail(self, problem: Problem) -> None:
        self.problems.append(problem)
        self.is_partial = True


def _find_below(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix in _SUFFIXES and file.is_file() and not is_hidden:
            yield file


def _walk_contents(messages: object) -> Iterator[tuple[dict[str, object], SourcePath]]:
    """Give the fields of each channel's content, whatever the shape of what surrounds them."""
    for name, message in (dict_or_none(messages) or {}).items():
        said = dict_or_none(message) or {}
        written: list[tuple[object, SourcePath]] = [(said.get(_CONTENT), (_CONTENT,))]
        for locale, content in (dict_or_none(said.get(_LOCALES)) or {}).items():
            written.append((content, (_LOCALES, locale)))
        for content, where in written:
            for channel, given in (dict_or_none(content) or {}).items():
                fields = dict_or_none(given)
                if fields is not None:
                    yield fields, ("messages", name, *where, channel)

"""Reading annotation files where they lie: plain or inside a zip, with limits, nothing unpacked to disk."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from csv import DictReader
from csv import Error as CsvError
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tagline.benchmarks.datasets.dataset import BadAnnotations
from tagline.tagging.printable import safe

MAX_BYTES = 1 << 30  # bytes of one document; MSR-VTT's largest has 16 MB
MAX_FILES = 1_000_000


@dataclass(frozen=True, slots=True)
class AnnotationFile:
    """One file of annotations, on disk or in a zip."""

    name: str  # without its folders
    shown_name: str  # as people are told of it
    path: Path
    member: str | None = None  # in the zip that `path` is

    def read(self) -> bytes:
        try:
            if self.member is None:
                with self.path.open("rb") as file:
                    content = file.read(MAX_BYTES + 1)
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as packed:
                    content = packed.read(MAX_BYTES + 1)  # whatever size the zip claims
        except (
            OSError,
            RuntimeError,
            NotImplementedError,
            EOFError,
            zipfile.BadZipFile,
            ValueError,
        ) as error:
            raise BadAnnotations(f"{self.shown_name} cannot be read ({error})") from error
        except Exception as error:  # zlib.error and its kin, which have no name in common
            raise BadAnnotations(f"{self.shown_name} is damaged ({error})") from error
        if len(content) > MAX_BYTES:
            raise BadAnnotations(
                f"{self.shown_name} is larger than {MAX_BYTES >> 20} MB, too large for annotations"
            )
        return content

    def text(self) -> str:
        content = self.read()
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("latin-1")  # LSMDC's lists come from a time before UTF-8

    def json(self) -> Any:
        return parsed(self.text(), self.shown_name)

    def json_rows(self) -> list[tuple[Any, str]]:
        """(row, where it stands) of a JSON list, or of lines of JSON."""
        text = self.text()
        if text.lstrip().startswith("["):
            listed = parsed(text, self.shown_name)
            return [(row, f"{self.shown_name}, entry {n}") for n, row in enumerate(listed, 1)]
        lines = ((f"{self.shown_name}, line {n}", line) for n, line in enumerate(text.split("\n"), 1))
        return [(parsed(line, where), where) for where, line in lines if line.strip()]

    def csv_rows(self, delimiter: str = ",") -> Iterator[tuple[dict[str, str], str]]:
        """(row, where it stands) of a table with a header."""
        reader = DictReader(self.text().splitlines(keepends=True), delimiter=delimiter, strict=True)
        try:
            for row in reader:
                where = f"{self.shown_name}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise BadAnnotations(f"{where} has more or fewer columns than the first line")
                yield {str(key).strip().lower(): value for key, value in row.items()}, where
        except CsvError as error:
            raise BadAnnotations(f"{self.shown_name}, line {reader.line_num} is no CSV ({error})") from error


def parsed(text: str, shown: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadAnnotations(f"{shown} is not JSON ({error})") from error


class Annotations:
    """The documents below a folder, or the one that a file is. What lies unpacked goes before its zip."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self._known: dict[str, AnnotationFile] = {}
        if where.is_dir():
            files = [path for path in _files(where) if not path.name.startswith(".")]
        elif where.is_file():
            files = [where]
        else:
            raise BadAnnotations(f"{safe(where)} is not there; name the folder with the annotations")
        for path in files:
            self._known.setdefault(path.name, AnnotationFile(path.name, safe(path), path))
        for path in files:
            if path.suffix.lower() == ".zip":
                self._open(path)

    def _open(self, path: Path) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [entry.filename for entry in archive.infolist()[:MAX_FILES] if not entry.is_dir()]
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise BadAnnotations(f"{safe(path)} is no zip that can be read ({error})") from error
        for entry in entries:
            name = PurePosixPath(entry).name
            if not name.startswith(".") and "__MACOSX" not in entry:
                shown = f"{safe(path)} ({safe(name)})"
                self._known.setdefault(name, AnnotationFile(name, shown, path, entry))

    def __getitem__(self, name: str) -> AnnotationFile:
        """The document of this name; if there is none, a sentence says so."""
        found = self.get(name)
        if found is None:
            raise BadAnnotations(f"there is no {name} in {safe(self.where)}, plain or in a zip; put it there")
        return found

    def get(self, *names: str) -> AnnotationFile | None:
        """The first of these that is there."""
        return next((self._known[name] for name in names if name in self._known), None)

    def all(self, wanted: Callable[[str], bool]) -> list[AnnotationFile]:
        """Every document whose name is wanted, in the order of names."""
        return [self._known[name] for name in sorted(self._known) if wanted(name)]


def _files(top: Path) -> Iterator[Path]:
    """Plain files below a folder, the upper ones first within it; links to folders are not followed."""
    count = 0
    for folder, below, names in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            try:
                plain = stat.S_ISREG(path.stat().st_mode)
            except OSError:
                continue
            count += plain
            if count > MAX_FILES:
                raise BadAnnotations(f"{safe(top)} holds too many files; name the folder of the annotations")
            if plain:
                yield path

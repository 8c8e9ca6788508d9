"""Attacks by what lies beside videos, as anybody can run them: `tagline selftest --hostile`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tagline.experts.attacks import hostile
from tagline.experts.attacks.selftest import Cases, Unexpected
from tagline.experts.footage import Footage, Sampling, Uniform
from tagline.experts.panel import Panel
from tagline.experts.tags import Modality, Report
from tagline.tagging.catalog.lock import only_writer
from tagline.tagging.catalog.records import Place
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.formats import csvs, files, nfo, xmp
from tagline.tagging.formats.sheet import BadFile
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run

CASES = Cases()
ENTITIES = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'


@CASES.case("A13", "a catalog of a newer version, and one that is none")
def _newer(folder: Path) -> str:
    Catalog.open(folder).close()
    file = folder / ".tagline" / "catalog.sqlite"
    content = file.read_bytes()
    said = []
    # The version stands at byte 60 of every SQLite file.
    for changed in (content[:60] + b"\0\0\x7f\0" + content[64:], b"no database" * 999, content[:50]):
        file.write_bytes(changed)
        try:
            Catalog.open(folder).close()
        except CatalogError as reason:
            said.append(str(reason).replace(str(folder), ""))
            continue
        raise Unexpected("it was opened")
    return said[0]


@CASES.case("A21", "cells that a spreadsheet would run")
def _cells(folder: Path) -> str:
    for text in ("=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"):
        if csvs.cell(text)[:1] in "=+-@\t\r":
            raise Unexpected(f"{text!r} was written as {csvs.cell(text)!r}")
    return "quoted"


@CASES.case("A22", "sidecars with entities, bombs and bottomless nesting")
def _sidecars(folder: Path) -> str:
    texts = (
        ENTITIES + b"<x>&a;</x>",
        LAUGHS + b"<x>&c;</x>",
        b"<a>" * 100_000,
        b" " * (20 << 20),
        b"\xff\xfe",
    )
    for text in texts:
        for form in (xmp, nfo):
            try:
                form.read(text)
            except BadFile:
                continue
            raise Unexpected(f"{form.__name__} read {text[:60]!r}")
    return f"{len(texts)} refused"


@CASES.case("A26", "a disk that is not there")
def _unmounted(folder: Path) -> str:
    disk = folder / "disk"
    with Catalog.open(folder / "library") as catalog:
        catalog.save("0" * 64, Place(str(disk / "a.mp4"), 9, 1), facts=None, looks=(), unreadable="x")
        made = plan(catalog, [disk], [])
    if made.gone or made.unreachable != 1:
        raise Unexpected(f"{len(made.gone)} files count as gone")
    return "nothing counts as gone"


@CASES.case("A28", "a sidecar that is a link to somebody's file")
def _link(folder: Path) -> str:
    theirs, link = folder / "theirs", folder / "a.mp4.xmp"
    theirs.write_text("theirs")
    link.symlink_to(theirs)
    try:
        files.open_old(link, 1 << 20)
    except files.FileRefused as reason:
        return str(reason).replace(str(folder), "")
    raise Unexpected("it was followed")


@CASES.case("A33", "a lock that is a link to somebody's file")
def _lock(folder: Path) -> str:
    theirs = folder / "theirs"
    theirs.write_text("theirs")
    with Catalog.open(folder / "library") as catalog:
        assert catalog.file is not None
        catalog.file.with_name(catalog.file.name + ".lock").symlink_to(theirs)
        try:
            with only_writer(catalog):
                pass
        except CatalogError as reason:
            if theirs.read_text() == "theirs":
                return str(reason).replace(str(folder), "")
    raise Unexpected(f"the file holds {theirs.read_text()!r}")


class Saboteur:
    """An expert that does something to each file while the run has it in hand."""

    name = "saboteur"
    modality = Modality.OBJECT
    version = "1"
    needs: tuple[Sampling, ...] = (Uniform(1, side=16),)

    def __init__(self, deed: Callable[[Path], None]) -> None:
        self.deed = deed

    def missing(self) -> str | None:
        return None

    def fingerprint(self) -> str:
        return "0" * 64

    def load(self, device: str) -> None:
        pass

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        for footage in batch:
            self.deed(Path(footage.path))
        return [Report() for _ in batch]


def _swap(path: Path) -> None:
    """Put another video in its place, of its size and time."""
    facts = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@CASES.case("A47", "a video that is swapped for another while the run has it in hand")
def _swapped(folder: Path) -> str:
    hostile.honest_video(folder / "a.mp4")
    with Catalog.open(folder) as catalog:
        made = plan(catalog, [folder], [Saboteur(_swap)])
        outcome = run(made, Panel(made.experts, jobs=1))
        if len(outcome.failures) == 1 and "changed" in outcome.failures[0][2]:
            return outcome.failures[0][2]
    raise Unexpected("its tags were written down for the other")

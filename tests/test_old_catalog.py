"""A catalog that version 0.1 wrote opens with every tag, word, vector and verdict, and can be gone on with.

tests/fixtures/catalog-0.1.sqlite.gz was written by that version, once; the JSON beside it is what it read
back then.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from tagline.experts.tags import Modality
from tagline.tagging.catalog import uploads
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.vectors import SPAN, VIDEO
from tagline.tagging.catalog.write import Catalog

FIXTURES = Path(__file__).parent / "fixtures"
FOUND = '["found"'
KNOWN: dict[str, Any] = json.loads((FIXTURES / "catalog-0.1.json").read_text(encoding="utf-8"))


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Catalog]:
    file = tmp_path / "library" / ".tagline" / "catalog.sqlite"
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.decompress((FIXTURES / "catalog-0.1.sqlite.gz").read_bytes()))
    with Catalog.open(tmp_path / "library", create=False) as catalog:
        yield catalog


@pytest.mark.parametrize("raw", [False, True])
def test_every_tag_is_there(old: Catalog, raw: bool) -> None:
    known = KNOWN["raw" if raw else "tags"]
    found = {
        video.hash[0]: [list(astuple(tag)) for tag in old.tags(video.id, raw=raw)]
        for video in old.videos(gone=True)
        if video.hash[0] in known
    }
    assert found == known


def test_every_verdict_is_there(old: Catalog) -> None:
    assert [list(astuple(verdict)) for verdict in old.verdicts.all()] == KNOWN["verdicts"]
    assert {verdict.kind for verdict in old.verdicts.all()} == {
        *("accept", "reject", "add", "rename", "merge", "alias")
    }


def rows_are_as_they_were(old: Catalog) -> None:
    now, then = list(dump_lines(old)), KNOWN["rows"]
    assert [row for row in now if not row.startswith(FOUND)] == [
        row for row in then if not row.startswith(FOUND)
    ]
    # What is searched is written anew when a catalog is opened; by now it holds the names of the files, too.
    for row, known in zip(
        *([json.loads(r) for r in rows if r.startswith(FOUND)] for rows in (now, then)), strict=True
    ):
        assert all(text.startswith(known_text) for text, known_text in zip(row, known, strict=True))


def test_every_row_is_there(old: Catalog) -> None:
    rows_are_as_they_were(old)


def test_the_same_videos_are_found(old: Catalog) -> None:
    found = {words: old.fulltext.videos_with_any(words.split(), 9) for words in KNOWN["found"]}
    assert found == KNOWN["found"]


def test_vectors_captions_and_uploads_are_there(old: Catalog) -> None:
    dog, beach = (video.id for video in old.videos() if video.hash[0] in "db")
    assert old.vectors.sources() == {
        "object": {"fingerprint 1": 2},
        SPAN: {"model": 2},
        VIDEO: {"model": 1},
    }
    assert old.vectors.embedded_videos("model") == {dog: ("tags", 1)}
    assert old.vectors.spans(dog, "model") == [(0.0, 1.0), (1.0, 2.0)]
    assert [caption.split for caption in old.captions(dog)] == ["train", "test"]
    upload = uploads.upload_of(old, beach)
    assert upload is not None
    assert (upload.dataset, upload.key, upload.tags) == ("clips", "video7", ("surf",))


def test_it_can_be_gone_on_with(old: Catalog) -> None:
    talk = next(video.id for video in old.videos(gone=True) if video.hash[0] == "7")
    old.decide.reject(talk, "Anna", Modality.HUMAN)
    assert "Anna" not in [tag.text for tag in old.tags(talk)]
    old.decide.undo()
    rows_are_as_they_were(old)

"""Libraries to attack: a small one with a row of every kind, one of many tags, and what spoils a catalog."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts.footage import Coverage, Facts
from tagline.experts.tags import Embedding, Modality, Report, Sighting, Tag, Word
from tagline.tagging.catalog.files import FOLDER
from tagline.tagging.catalog.location import FILE
from tagline.tagging.catalog.records import Caption, Look, Place
from tagline.tagging.catalog.write import Catalog

VIDEOS = 6
MODALITIES = ("object", "object", "object", "person", "scene", "motion", "speech", "screen")
PER_VIDEO = 100  # tags, where there are many


def fill(catalog: Catalog, folder: Path) -> None:
    """Videos that are not there, with a row of every kind, and what a person decided about them."""
    rng = np.random.default_rng(0)
    for number in range(VIDEOS):
        video = _put_video(catalog, folder, number, rng)
        catalog.put_captions(video, [Caption("a dog runs on the beach", 0.0, 3.0, "train")])
    catalog.put_failure("it is damaged", "d", path=str(folder / "broken.mp4"))
    catalog.decide.accept(1, "dog")
    catalog.decide.reject(2, "sea")
    catalog.decide.add(3, "Anna", span=(1.0, 2.0))
    catalog.decide.rename("car", "automobile")
    catalog.decide.alias("seaside", "beach")
    (folder / FOLDER / "tagline.toml").write_text("[tag]\nbatch = 4\n", encoding="utf-8")
    (folder / FOLDER / f"{FILE}.lock").write_text(f"{os.getpid():<20}", encoding="utf-8")


def _put_video(catalog: Catalog, folder: Path, number: int, rng: Any) -> int:
    said: dict[Modality, Sequence[str]] = {
        Modality.OBJECT: ("dog", f"thing {number}", "car"),
        Modality.SCENE: ("beach", "sea"),
        Modality.SPEECH: ("holiday",),
        Modality.SCREEN: ("EXIT",),
    }
    looks = []
    for modality, texts in said.items():
        tags = [Tag(t, modality, 0.8, i, i + 2.0, str(modality), i) for i, t in enumerate(texts)]
        report = Report(
            tags=tags,
            sightings=[Sighting(t, 0.7, 1.0, (0.1, 0.1, 0.5, 0.5)) for t in texts],
            words=[Word("hello", 0.0, 0.5, 0.9)] if modality == Modality.SPEECH else [],
            vectors=[embedding(rng, 0.0)],
            notes=["half of it was dark"],
            facts={"backend": "none"},
        )
        looks.append(
            Look(str(modality), modality, "1", "f", report, seconds=0.5, coverage=Coverage(12, 11, "read"))
        )
    looks.append(Look("motion", Modality.MOTION, "1", "f", reason="it broke"))
    facts = Facts(9.0, 64, 36, Fraction(25), "h264", 0, "bt709", True, f"title {number}", "2024-05-01")
    place = Place(str(folder / f"video {number}.mp4"), 1_000 + number, 1)
    return catalog.save(digest_of(number), place, facts=facts, looks=looks)


def digest_of(number: int) -> str:
    """The hash of the video with this number."""
    return f"{number:064x}"[::-1]


def embedding(rng: Any, start: float) -> Embedding:
    """A vector of two seconds."""
    values = rng.standard_normal(8).astype(np.float32)
    return Embedding(start, start + 2.0, values / np.linalg.norm(values))


def fill_with_many(folder: Path, videos: int, words: int, seed: int) -> None:
    """A catalog of videos that are not there, PER_VIDEO tags each, as SQL writes it: none are packed yet."""
    Catalog.open(folder).close()
    draw = random.Random(seed)
    with closing(sqlite3.connect(folder / FOLDER / FILE)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO video(id, hash, size, duration, width, height, fps, codec, rotation, colour,"
            " has_sound, start, created) VALUES (?, ?, 1000, 60, 64, 36, '25', 'h264', 0, '', 1, 0, ?)",
            ((n, digest_of(n), f"20{n % 25:02d}-01-01") for n in range(1, videos + 1)),
        )
        connection.executemany(
            "INSERT INTO path(video_id, path, size, mtime_ns) VALUES (?, ?, 1000, 1)",
            ((n, f"video {n}.mp4") for n in range(1, videos + 1)),
        )
        connection.executemany(
            "INSERT INTO tag(video_id, expert, modality, said, text, score, start, end)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (_drawn_tag(n, words, draw) for n in range(1, videos + 1) for _ in range(PER_VIDEO)),
        )
        connection.execute("DELETE FROM meta WHERE key = 'effective tags'")


def _drawn_tag(video: int, words: int, draw: random.Random) -> tuple[Any, ...]:
    number = int(words * draw.random() ** 2)  # some are far more frequent than others
    modality = MODALITIES[number % len(MODALITIES)]
    text = f"word{number}x"
    start = draw.uniform(0, 50)
    return video, modality, modality, text, text, draw.random(), start, start + 5


# ---- what spoils them


def alter(folder: Path, script: str) -> None:
    """Change the catalog of a folder as a stranger would, past everything that checks."""
    with closing(sqlite3.connect(folder / FOLDER / FILE, isolation_level=None)) as connection:
        connection.executescript(script)


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"

# What a catalog is then refused for: statements.
STRANGE = {
    "tag is a view of another make": f"DROP TABLE tag; CREATE VIEW tag AS {ENDLESS} SELECT i AS id FROM n",
    "meta is a view of another make": f"DROP TABLE meta; CREATE VIEW meta AS {ENDLESS} SELECT i FROM n",
    "steal is a trigger of another make": (
        "CREATE TRIGGER steal AFTER INSERT ON verdict BEGIN DELETE FROM verdict; END"
    ),
    "caption is a table of another make": (
        "DROP TABLE caption; CREATE VIRTUAL TABLE caption USING fts5(video_id, text, start, end, split)"
    ),
    "video is a table of another make": "ALTER TABLE video DROP COLUMN fps",
    "there is no table verdict": "DROP TABLE verdict",
    "more is a table of another make": "CREATE TABLE more(a)",
}

COUNT_WITHOUT_END = f"{ENDLESS} SELECT count(*) FROM n"
TAGS_WITHOUT_END = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 100000) INSERT INTO"
    " tag(video_id, expert, modality, said, text, score, start, end)"
    " SELECT 1, 'object', 'object', 'a', 'a', 0.5, i, i FROM n"
)

_BAD_UTF8 = "CAST(x'c328' AS TEXT)"
# Statements: what is said of the rows that are then left out.
VALUES = {
    "UPDATE video SET fps = '1/0'": "facts of videos",
    "UPDATE video SET width = 'wide'": "facts of videos",
    "UPDATE video SET duration = 9e999": "facts of videos",
    f"UPDATE video SET title = {_BAD_UTF8}": "UTF-8",
    "UPDATE tag SET modality = 'smell' WHERE text = 'car'": "tags",
    "UPDATE tag SET score = 9e999 WHERE text = 'car'": "tags",
    "UPDATE tag SET start = 'soon' WHERE text = 'car'": "tags",
    "UPDATE tag SET text = x'00ff' WHERE text = 'car'": "tags",
    "UPDATE tag SET text = hex(zeroblob(100000)) WHERE text = 'car'": "tags",
    f"UPDATE tag SET text = {_BAD_UTF8} WHERE text = 'car'": "UTF-8",
    "UPDATE run SET coverage = replace(hex(zeroblob(50000)), '0', '[')": "looks of experts",
    'UPDATE run SET coverage = \'{"wanted": "all"}\'': "looks of experts",
    "UPDATE run SET modality = 'smell'": "looks of experts",
    "UPDATE verdict SET kind = 'burn'": "verdicts",
    "UPDATE verdict SET act = 'first'": "verdicts",
    "UPDATE word SET start = x'00'": "words",
    "UPDATE path SET path = 7.5 WHERE id = 1": "paths",
}

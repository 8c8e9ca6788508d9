"""Reading the catalog: videos, tags, words, vectors, and what people decided."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts.tags import Modality, Sighting, Tag, Word
from tagline.tagging.catalog.database import CatalogDatabase
from tagline.tagging.catalog.records import (
    Caption,
    ExpertCounts,
    Failure,
    LibraryCounts,
    Place,
    Run,
    TagCount,
    TextHit,
    Vectors,
    Verdict,
    Video,
    canonical_json,
    coverage_from_json,
    row_to_facts,
)
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.verdicts import LIBRARY_WIDE, MODALITY_ORDER, Renames, effective_tags
from tagline.tagging.vocabulary import clean, normal

PAGE = 500  # videos read at a time, so that a large library never lies in memory

_VIDEO = (
    "id, hash, title, created, size, duration, width, height, fps, codec, rotation, colour, has_sound, start"
)
_VERDICT = "id, act, kind, video_id, modality, text, target, start, end, at"


class MixedVectors(CatalogError):
    pass


class CatalogReader(CatalogDatabase):
    """The questions that a catalog answers."""

    _renames: Renames | None = None
    _renames_at: Hashable = None

    def videos(self, *, gone: bool = False) -> Iterator[Video]:
        """Every video in the order of its id; with `gone`, also those whose files were not there any more."""
        last = 0
        while True:
            rows = self.query(f"SELECT {_VIDEO} FROM video WHERE id > ? ORDER BY id LIMIT {PAGE}", (last,))
            if not rows:
                return
            yield from (video for video in self._videos(rows) if gone or not video.gone)
            last = rows[-1][0]

    def video(self, video_id: int) -> Video | None:
        rows = self.query(f"SELECT {_VIDEO} FROM video WHERE id = ?", (video_id,))
        return self._videos(rows)[0] if rows else None

    def find(self, named: str | os.PathLike[str] | int) -> Video | None:
        """The video with this id, path, hash (from eight characters on) or file name, if it is one."""
        if isinstance(named, int):
            return self.video(named)
        text = os.fspath(named)
        for path in (text, os.path.realpath(text), self.root / text):
            row = self.query_one("SELECT video_id FROM path WHERE path = ?", (self.key_of(path),))
            if row:
                return self.video(row[0])
        if re.fullmatch("[0-9a-f]{8,64}", text) and (video := self.find_hash(text)):
            return video
        number = self.id_of_hash(os.fsencode(text).decode("utf-8", "replace"))
        if number is not None:
            return self.video(number)
        if text.isdecimal() and text.isascii() and len(text) < 18 and (video := self.video(int(text))):
            return video
        named_so = {row[0] for row in self.query("SELECT video_id, path FROM path") if _base(row[1]) == text}
        return self.video(named_so.pop()) if len(named_so) == 1 else None

    def find_hash(self, prefix: str) -> Video | None:
        """The one video whose hash begins so; None if there is none, or more than one."""
        rows = self.query("SELECT id FROM video WHERE hash >= ? AND hash < ? LIMIT 2", (prefix, prefix + "g"))
        return self.video(rows[0][0]) if len(rows) == 1 else None

    def tags(self, video_id: int, *, raw: bool = False, judged: bool = True) -> list[Tag]:
        """The tags of a video as they hold, people's verdicts applied.

        `raw`: as the experts said them, letter for letter. Not `judged`: in normal form and under the
        library's names, but as if nobody had accepted, rejected or added any for this video.
        """
        rows = self.query(
            f"SELECT {'said' if raw else 'text'}, modality, score, start, end, expert, best FROM tag"
            " WHERE video_id = ? ORDER BY start, id",
            (video_id,),
        )
        tags = [_tag(row) for row in rows]
        if raw:
            return sorted(
                tags, key=lambda tag: (tag.start, MODALITY_ORDER[tag.modality], tag.text, tag.source, tag.end)
            )
        duration = self.query_one("SELECT duration FROM video WHERE id = ?", (video_id,))
        verdicts = self.verdicts(video_id) if judged else []
        return effective_tags(tags, verdicts, self.renames, duration[0] if duration else None)

    def all_tags(self, *, gone: bool = False) -> Iterator[tuple[Video, list[Tag]]]:
        """Every video with its tags as they hold, in the order of ids."""
        for video in self.videos(gone=gone):
            yield video, self.tags(video.id)

    def tag_counts(self, modality: Modality | None = None) -> list[TagCount]:
        """How many videos and spans each tag has in the library, the most used first."""
        videos: dict[tuple[str, Modality], int] = defaultdict(int)
        spans: dict[tuple[str, Modality], int] = defaultdict(int)
        for _, tags in self.all_tags():
            keys = [(tag.text, tag.modality) for tag in tags if modality is None or tag.modality == modality]
            for key in keys:
                spans[key] += 1
            for key in set(keys):
                videos[key] += 1
        counts = [TagCount(text, sense, videos[text, sense], spans[text, sense]) for text, sense in videos]
        return sorted(counts, key=lambda c: (-c.videos, -c.spans, c.text, MODALITY_ORDER[c.modality]))

    def videos_with_tag(self, text: str, modality: str, most: int) -> list[int]:
        """Some of the videos that experts gave this tag, at most so many. text: in its normal form."""
        rows = self.query(
            "SELECT DISTINCT video_id FROM tag WHERE text = ? AND modality = ? LIMIT ?",
            (text, modality, most),
        )
        return [row[0] for row in rows]

    def most_used_tags(self, most: int, without: Collection[Modality] = ()) -> list[tuple[Modality, str]]:
        """What experts said of the most videos, in normal form, but for some modalities."""
        rows = self.query(
            f"SELECT modality, text FROM tag WHERE modality NOT IN ({_marks(without)})"
            " GROUP BY modality, text ORDER BY count(DISTINCT video_id) DESC, modality, text LIMIT ?",
            (*without, most),
        )
        return [(Modality(modality), text) for modality, text in rows]

    def distinct_tags(self, most: int, modality: Modality | None = None) -> list[str]:
        """The different texts that experts said, in normal form and in order; of one modality or of all."""
        rows = self.query(
            "SELECT DISTINCT text FROM tag WHERE ? IS NULL OR modality = ? ORDER BY text LIMIT ?",
            (modality, modality, most),
        )
        return [row[0] for row in rows]

    def distinct_captions(self, most: int) -> list[str]:
        """The different captions, in order."""
        rows = self.query("SELECT DISTINCT text FROM caption ORDER BY text LIMIT ?", (most,))
        return [row[0] for row in rows]

    def words(self, video_id: int) -> list[Word]:
        """The transcript, in the order of time."""
        rows = self.query(
            "SELECT text, start, end, probability FROM word WHERE video_id = ? ORDER BY start, id",
            (video_id,),
        )
        return [Word(*row) for row in rows]

    def sightings(self, video_id: int) -> list[tuple[str, Sighting]]:
        """(expert, what it saw in one frame), in the order of time."""
        rows = self.query(
            "SELECT expert, text, score, time, x, y, width, height FROM sighting WHERE video_id = ?"
            " ORDER BY time, id",
            (video_id,),
        )
        return [
            (expert, Sighting(text, score, time, None if box[0] is None else tuple(box)))  # type: ignore[arg-type]
            for expert, text, score, time, *box in rows
        ]

    def captions(self, video_id: int) -> list[Caption]:
        rows = self.query(
            "SELECT text, start, end, split FROM caption WHERE video_id = ? ORDER BY id", (video_id,)
        )
        return [Caption(*row) for row in rows]

    def all_captions(self, split: str | None = None) -> Iterator[tuple[int, Caption]]:
        """(video id, caption) over the library, in the order of videos; of one split, if it is given."""
        last = (0, 0)
        while True:
            rows = self.query(
                "SELECT video_id, id, text, start, end, split FROM caption"
                " WHERE (video_id, id) > (?, ?) AND (? IS NULL OR split = ?)"
                f" ORDER BY video_id, id LIMIT {PAGE * 20}",
                (*last, split, split),
            )
            if not rows:
                return
            yield from ((row[0], Caption(*row[2:])) for row in rows)
            last = (rows[-1][0], rows[-1][1])

    def vector_sources(self) -> dict[str, dict[str, int]]:
        """For each source of vectors: its fingerprints, and how many vectors have each."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for source, fingerprint, count in self.query(
            "SELECT source, fingerprint, count(*) FROM vector GROUP BY source, fingerprint ORDER BY 1, 2"
        ):
            found[source][fingerprint] = count
        return dict(found)

    def vectors(self, source: str, *, fingerprint: str | None = None) -> Vectors:
        """Every vector of a source: video ids int64 [N], spans float64 [N, 2] in seconds, float32 [N, D].

        Vectors of different models do not belong in one table: without a `fingerprint` all must agree.
        """
        known = self.vector_sources().get(source, {})
        if fingerprint is None and len(known) > 1:
            raise MixedVectors(
                f"the vectors of {source!r} in {self.name} were made by {len(known)} different models; "
                "run `tagline tag` again to bring them up to date"
            )
        count = sum(known.values()) if fingerprint is None else known.get(fingerprint, 0)
        rows = self.iterate(
            "SELECT video_id, start, end, floats FROM vector"
            " WHERE source = ? AND (? IS NULL OR fingerprint = ?) ORDER BY video_id, start, id",
            (source, fingerprint, fingerprint),
        )
        ids = np.zeros(count, np.int64)
        spans = np.zeros((count, 2), np.float64)
        values = np.zeros((count, 0), np.float32)
        for place, (video_id, start, end, floats) in enumerate(rows):
            row = np.frombuffer(floats, "<f4")
            if place == 0:
                values = np.zeros((count, len(row)), np.float32)
            elif len(row) != values.shape[1]:
                raise MixedVectors(f"the vectors of {source!r} in {self.name} differ in length")
            ids[place], spans[place], values[place] = video_id, (start, end), row
        return Vectors(ids, spans, values)

    def runs(self, video_id: int) -> list[Run]:
        """What each expert's last full look at a video was."""
        rows = self.query(
            "SELECT expert, modality, version, fingerprint, seconds, coverage, notes, facts, at FROM run"
            " WHERE video_id = ? ORDER BY expert",
            (video_id,),
        )
        return [
            Run(
                r[0],
                Modality(r[1]),
                r[2],
                r[3],
                r[4],
                coverage_from_json(r[5]),
                json.loads(r[6]),
                json.loads(r[7]),
                r[8],
            )
            for r in rows
        ]

    def failures(self, video_id: int | None = None) -> list[Failure]:
        """What failed last, of one video or in the whole library."""
        rows = self.query(
            "SELECT video_id, path, expert, fingerprint, reason, at FROM failure"
            " WHERE ? IS NULL OR video_id = ? ORDER BY id",
            (video_id, video_id),
        )
        return [Failure(row[0], None if row[1] is None else self.path_of(row[1]), *row[2:]) for row in rows]

    def verdicts(self, video_id: int | None = None) -> list[Verdict]:
        """What people decided about one video; without a video, every verdict, the library-wide ones too."""
        rows = self.query(
            f"SELECT {_VERDICT} FROM verdict WHERE ? IS NULL OR video_id = ? ORDER BY id",
            (video_id, video_id),
        )
        return [_verdict(row) for row in rows]

    def last_act(self) -> int | None:
        """The number of what was decided last; None if nothing was."""
        last: int | None = self.query_one("SELECT max(act) FROM verdict")[0]
        return last

    def accepted(self) -> set[tuple[int, str]]:
        """(video id, normal form) of everything that a person has accepted or added."""
        rows = self.query(
            "SELECT video_id, text FROM verdict WHERE kind IN ('accept', 'add') AND video_id IS NOT NULL"
        )
        return {(video_id, normal(self.canonical(text))) for video_id, text in rows}

    def act(self, act: int) -> list[Verdict]:
        """The verdicts that were written together."""
        rows = self.query(f"SELECT {_VERDICT} FROM verdict WHERE act = ? ORDER BY id", (act,))
        return [_verdict(row) for row in rows]

    @property
    def renames(self) -> Renames:
        """Library-wide renames, merges and aliases, as one mapping of texts."""
        token = self.change_token()
        if self._renames is None or self._renames_at != token:
            rows = self.query(f"SELECT {_VERDICT} FROM verdict WHERE kind IN {LIBRARY_WIDE} ORDER BY id")
            self._renames, self._renames_at = Renames(_verdict(row) for row in rows), token
        return self._renames

    def _forget_cached(self) -> None:
        self._renames = None

    def canonical(self, text: str, modality: Modality | None = None) -> str:
        """What a text is called in this library: normal form, then aliases, merges and renames."""
        return self.renames.of(normal(text, modality), modality)

    def search(self, query: str, limit: int = 50) -> list[TextHit]:
        """Videos whose tags, transcript, text on the screen or title hold the words of a query.

        The query is words, nothing else: no sign in it has a meaning. Every word must be found; if that
        gives nothing, any of them.
        """
        words = re.findall(r"\w+", clean(query, 1_000))[:64]
        if not words or limit < 1:
            return []
        for joint in (" ", " OR "):
            rows = self.query(
                "SELECT rowid, -bm25(found, 3.0, 1.0, 1.0, 2.0), snippet(found, -1, '', '', '…', 12)"
                " FROM found WHERE found MATCH ? ORDER BY rank, rowid LIMIT ?",
                (joint.join(f'"{word}"' for word in words), min(limit, 10_000)),
            )
            if rows:
                return [TextHit(*row) for row in rows]
        return []

    def place(self, path: str | os.PathLike[str]) -> tuple[int, Place, bool] | None:
        """What is known of a file by its path: the video's id, size and time, and whether it was gone."""
        row = self.query_one(
            "SELECT video_id, size, mtime_ns, gone FROM path WHERE path = ?", (self.key_of(path),)
        )
        return (row[0], Place(os.fspath(path), row[1], row[2]), bool(row[3])) if row else None

    def places(self) -> Iterator[tuple[int, str, bool]]:
        """Every known file: the video's id, its path, and whether it was gone when last looked for."""
        last = 0
        while True:
            rows = self.query(
                f"SELECT id, video_id, path, gone FROM path WHERE id > ? ORDER BY id LIMIT {PAGE * 4}",
                (last,),
            )
            if not rows:
                return
            yield from ((row[1], self.path_of(row[2]), bool(row[3])) for row in rows)
            last = rows[-1][0]

    def id_of_hash(self, digest: str) -> int | None:
        row = self.query_one("SELECT id FROM video WHERE hash = ?", (digest,))
        return row[0] if row else None

    def hash_of(self, video_id: int) -> str | None:
        row = self.query_one("SELECT hash FROM video WHERE id = ?", (video_id,))
        return row[0] if row else None

    def knows_size(self, size: int) -> bool:
        """Whether some known video has this many bytes; if not, a file of that size must be new."""
        return bool(self.query_one("SELECT 1 FROM video WHERE size = ? LIMIT 1", (size,)))

    def done(self, video_id: int) -> dict[str, tuple[str, str]]:
        """expert: (version, fingerprint) of its last full look at a video."""
        rows = self.query("SELECT expert, version, fingerprint FROM run WHERE video_id = ?", (video_id,))
        return {row[0]: (row[1], row[2]) for row in rows}

    def counts(self) -> LibraryCounts:
        """How much the library holds, and how far the experts are with it."""
        videos, here, files = self.query_one(
            "SELECT (SELECT count(*) FROM video), count(DISTINCT video_id), count(*) FROM path WHERE gone = 0"
        )
        (unreadable,) = self.query_one("SELECT count(*) FROM failure WHERE expert = ''")
        experts = self.query(
            "SELECT name, sum(done), sum(failed) FROM ("
            " SELECT expert AS name, count(*) AS done, 0 AS failed FROM run GROUP BY expert"
            " UNION ALL SELECT expert, 0, count(*) FROM failure WHERE expert <> '' GROUP BY expert"
            ") GROUP BY name ORDER BY name"
        )
        return LibraryCounts(videos, here, files, unreadable, [ExpertCounts(*row) for row in experts])

    def latest_runs(self, most: int) -> list[tuple[int, str]]:
        """(video id, time of its last look in ISO 8601) of the videos looked at last, the latest first."""
        return self.query(
            "SELECT video_id, max(at) AS last FROM run GROUP BY video_id"
            " ORDER BY last DESC, video_id DESC LIMIT ?",
            (most,),
        )

    def usual_seconds(self) -> dict[str, float]:
        """expert: seconds that it took for a video, on average over the library."""
        rows = self.query("SELECT expert, avg(seconds) FROM run WHERE seconds IS NOT NULL GROUP BY expert")
        return dict(rows)

    def _videos(self, rows: Sequence[tuple[Any, ...]]) -> list[Video]:
        here: dict[int, list[str]] = defaultdict(list)
        for video_id, key in self.query(
            f"SELECT video_id, path FROM path WHERE gone = 0 AND video_id IN ({_marks(rows)}) ORDER BY id",
            [row[0] for row in rows],
        ):
            here[video_id].append(self.path_of(key))
        return [_video(row, sorted(here[row[0]])) for row in rows]


def _video(row: tuple[Any, ...], paths: list[str]) -> Video:
    number, digest, title, created, size, *rest = row
    facts = row_to_facts(tuple(rest), title, created)
    # What came from a data set's lists, without files, has no size and cannot be gone.
    return Video(number, digest, paths, facts, title, created, gone=not paths and size is not None, size=size)


def _tag(row: tuple[Any, ...]) -> Tag:
    text, modality, score, start, end, expert, best = row
    return Tag(text, Modality(modality), score, start, end, expert, best)


def _verdict(row: tuple[Any, ...]) -> Verdict:
    number, act, kind, video_id, modality, *rest = row
    return Verdict(number, act, kind, video_id, Modality(modality) if modality else None, *rest)


def _marks(values: Collection[object]) -> str:
    """As many question marks as there are values."""
    return ",".join("?" * len(values))


def _base(key: str | bytes) -> str:
    return Path(os.fsdecode(key)).name


def dump_lines(catalog: CatalogReader) -> Iterator[str]:
    """Everything that does not depend on when and in which order it was written, one line a row, sorted.

    Two catalogs of the same videos, experts and verdicts give the same lines.
    """
    for query in _QUERIES:
        yield from sorted(_line(row) for row in catalog.query(query))


def _line(row: tuple[Any, ...]) -> str:
    return canonical_json(
        [hashlib.sha256(cell).hexdigest() if isinstance(cell, bytes) else cell for cell in row]
    )


_OF = "JOIN video v ON v.id = x.video_id"
_QUERIES = (
    "SELECT 'video', hash, size, duration, width, height, fps, codec, rotation, colour, has_sound, start,"
    " title, created FROM video",
    f"SELECT 'path', v.hash, x.path FROM path x {_OF} WHERE x.gone = 0",
    f"SELECT 'run', v.hash, x.expert, x.modality, x.version, x.fingerprint, x.coverage, x.notes, x.facts"
    f" FROM run x {_OF}",
    f"SELECT 'failure', v.hash, x.path, x.expert, x.fingerprint, x.reason FROM failure x LEFT {_OF}",
    f"SELECT 'tag', v.hash, x.expert, x.modality, x.said, x.text, x.score, x.start, x.end, x.best"
    f" FROM tag x {_OF}",
    f"SELECT 'sighting', v.hash, x.expert, x.text, x.score, x.time, x.x, x.y, x.width, x.height"
    f" FROM sighting x {_OF}",
    f"SELECT 'word', v.hash, x.expert, x.text, x.start, x.end, x.probability FROM word x {_OF}",
    f"SELECT 'vector', v.hash, x.source, x.fingerprint, x.start, x.end, x.floats FROM vector x {_OF}",
    f"SELECT 'caption', v.hash, x.text, x.start, x.end, x.split FROM caption x {_OF}",
    f"SELECT 'verdict', row_number() OVER (ORDER BY x.id), x.kind, v.hash, x.modality, x.text, x.target,"
    f" x.start, x.end FROM verdict x LEFT {_OF}",
    "SELECT 'found', v.hash, x.tags, x.screen, x.transcript, x.title FROM found x"
    " JOIN video v ON v.id = x.rowid",
)

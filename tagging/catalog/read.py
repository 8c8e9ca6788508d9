"""Reading the catalog: videos, tags, words, vectors and verdicts; and all of it as lines to compare."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tagline.experts.tags import Modality, Sighting, Tag, Word
from tagline.tagging.catalog.database import CatalogDatabase
from tagline.tagging.catalog.fulltext import FullText, SearchableTexts
from tagline.tagging.catalog.records import (
    Caption,
    ExpertCounts,
    Failure,
    LibraryCounts,
    Place,
    Run,
    TagCount,
    Video,
    canonical_json,
    coverage_from_json,
    row_to_facts,
)
from tagline.tagging.catalog.vectors import VectorStore
from tagline.tagging.catalog.verdict_log import VerdictLog
from tagline.tagging.catalog.verdicts import MODALITY_ORDER, effective_tags
from tagline.tagging.names import MAX_NAMES, name_words
from tagline.tagging.vocabulary import normal

PAGE = 500  # videos read at a time, so that a large library never lies in memory

_VIDEO = (
    "id, hash, title, created, size, duration, width, height, fps, codec, rotation, colour, has_sound, start"
)


class CatalogReader(CatalogDatabase):
    """The questions that a catalog answers. Its parts: `fulltext`, `vectors`, `verdicts`."""

    def __init__(
        self, connection: sqlite3.Connection, file: Path | None, root: Path, notice: str | None
    ) -> None:
        super().__init__(connection, file, root, notice)
        self.vectors = VectorStore(self)
        self.fulltext = FullText(self, self._searchable_texts)
        self.verdicts = VerdictLog(self, self.fulltext.mark_stale)

    def _settle(self, writable: bool) -> None:
        super()._settle(writable)
        if writable:
            self.fulltext.renew_normal_forms()

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
        verdicts = self.verdicts.of(video_id) if judged else []
        return effective_tags(tags, verdicts, self.verdicts.renames, duration[0] if duration else None)

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

    def canonical(self, text: str, modality: Modality | None = None) -> str:
        """What a text is called in this library: normal form, then aliases, merges and renames."""
        return self.verdicts.canonical(text, modality)

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

    def usual_cost(self) -> dict[str, float]:
        """expert: seconds that it took for a second of video, over the library."""
        rows = self.query(
            "SELECT r.expert, sum(r.seconds) / sum(v.duration) FROM run r JOIN video v ON v.id = r.video_id"
            " WHERE r.seconds IS NOT NULL AND v.duration > 0 GROUP BY r.expert"
        )
        return dict(rows)

    def usual_length(self) -> float:
        """Seconds of video in a byte, over the library; 0 where no length is known."""
        row = self.query_one("SELECT sum(duration) / sum(size) FROM video WHERE duration > 0 AND size > 0")
        return (row[0] if row else None) or 0.0

    def length_of_hash(self, digest: str) -> float | None:
        """Seconds of a video that is known by its content."""
        row = self.query_one("SELECT duration FROM video WHERE hash = ?", (digest,))
        return row[0] if row else None

    def _searchable_texts(self, video_id: int) -> SearchableTexts:
        spoken: list[str] = []
        written: list[str] = []
        held = self.tags(video_id)
        keys = {(tag.modality, normal(tag.text, tag.modality)) for tag in held}
        said = [
            tag
            for tag in self.tags(video_id, raw=True)
            if (tag.modality, normal(self.canonical(tag.text, tag.modality), tag.modality)) in keys
        ]
        for tag in (*held, *said):
            (written if tag.modality == Modality.SCREEN else spoken).append(tag.text)
        transcript = " ".join(word.text for word in self.words(video_id))
        title = self.query_one("SELECT title FROM video WHERE id = ?", (video_id,))
        names = [(title[0] if title else None) or "", *self.names(video_id)]
        return SearchableTexts(_once(spoken), _once(written), transcript, _once(names))

    def names(self, video_id: int) -> list[str]:
        """The words in the names of a video's files, and of their folders inside the library."""
        rows = self.query(
            "SELECT path FROM path WHERE video_id = ? AND gone = 0 ORDER BY id LIMIT ?", (video_id, MAX_NAMES)
        )
        return [words for (key,) in rows if (words := name_words(key))]

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


def _once(texts: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(texts))


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

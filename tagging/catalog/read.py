"""Reading the catalog: videos, tags, words, vectors and verdicts."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts.tags import Modality, Sighting, Tag, Word
from tagline.tagging.catalog import kinds, values
from tagline.tagging.catalog.connection import Connection
from tagline.tagging.catalog.database import CatalogDatabase
from tagline.tagging.catalog.effective import EffectiveTags
from tagline.tagging.catalog.fulltext import FullText, SearchableTexts
from tagline.tagging.catalog.records import (
    MOST_SIGHTINGS,
    MOST_TAGS,
    MOST_WORDS,
    Caption,
    ExpertCounts,
    Failure,
    LibraryCounts,
    Place,
    Run,
    TagCount,
    Video,
    row_to_facts,
)
from tagline.tagging.catalog.vectors import VectorStore
from tagline.tagging.catalog.verdict_log import VerdictLog
from tagline.tagging.catalog.verdicts import MODALITY_ORDER, effective_tags
from tagline.tagging.names import MAX_NAMES, name_words
from tagline.tagging.vocabulary import normal

PAGE = 500  # videos read at a time, so that a large library never lies in memory
MOST_EXPERTS = 50  # that looked at one video; reading ends where no run of so many can have written more

_VIDEO = (
    "id, hash, title, created, size, duration, width, height, fps, codec, rotation, colour, has_sound, start"
)


class CatalogReader(CatalogDatabase):
    """The questions that a catalog answers. Its parts: `fulltext`, `vectors`, `verdicts`."""

    def __init__(self, connection: Connection, file: Path | None, root: Path, notice: str | None) -> None:
        super().__init__(connection, file, root, notice)
        self.vectors = VectorStore(self)
        self.effective = EffectiveTags(self)
        self.fulltext = FullText(self, self._renewed_texts)
        self.verdicts = VerdictLog(self, self.fulltext.mark_stale)

    def _settle(self, writable: bool) -> None:
        super()._settle(writable)
        if writable:
            self.fulltext.renew_normal_forms()
            if not self.effective.complete:  # the catalog is older than that table
                with self.transaction():
                    for (video_id,) in self.query("SELECT id FROM video"):
                        self.effective.put(video_id, self.tags(video_id))
                    self.effective.mark_complete()

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
        return next(iter(self._videos(rows)), None)

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
        known = self.rows("path", (values.row_id, values.path), "SELECT video_id, path FROM path")
        named_so = {video_id for video_id, key in known if _base(key) == text}
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
        rows = self.rows(
            "tags",
            kinds.TAG,
            f"SELECT {'said' if raw else 'text'}, modality, score, start, end, expert, best FROM tag"
            " WHERE video_id = ? ORDER BY start, id",
            (video_id,),
            most=MOST_EXPERTS * MOST_TAGS,
        )
        tags = [Tag(*row) for row in rows]
        if raw:
            return sorted(
                tags, key=lambda tag: (tag.start, MODALITY_ORDER[tag.modality], tag.text, tag.source, tag.end)
            )
        video = self.video(video_id) if judged else None
        verdicts = self.verdicts.of(video_id) if judged else []
        return effective_tags(tags, verdicts, self.verdicts.renames, video.duration if video else None)

    def all_tags(self, *, gone: bool = False) -> Iterator[tuple[Video, list[Tag]]]:
        """Every video with its tags as they hold, in the order of ids."""
        for video in self.videos(gone=gone):
            yield video, self.tags(video.id)

    def tag_counts(self, modality: Modality | None = None) -> list[TagCount]:
        """How many videos and spans each tag has in the library, the most used first."""
        terms, numbers = self.effective.terms()
        videos, spans = np.zeros(len(terms)), np.zeros(len(terms))
        for page in self.effective.pages(numbers):
            used = page.tags["term"]
            videos += np.bincount(used, minlength=len(terms))
            spans += np.bincount(used, page.tags["spans"], minlength=len(terms))
        counts = [
            TagCount(text, sense, int(videos[number]), int(spans[number]))
            for number, (sense, text) in enumerate(terms)
            if videos[number] and (modality is None or sense == modality)
        ]
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
        return self.rows(
            "tags",
            (values.modality, values.tag_text),
            f"SELECT modality, text FROM tag WHERE modality NOT IN ({_marks(without)})"
            " GROUP BY modality, text ORDER BY count(DISTINCT video_id) DESC, modality, text LIMIT ?",
            (*without, most),
        )

    def distinct_tags(self, most: int, modality: Modality | None = None) -> list[str]:
        """The different texts that experts said, in normal form and in order; of one modality or of all."""
        rows = self.rows(
            "tags",
            (values.tag_text,),
            "SELECT DISTINCT text FROM tag WHERE ? IS NULL OR modality = ? ORDER BY text LIMIT ?",
            (modality, modality, most),
        )
        return [row[0] for row in rows]

    def distinct_captions(self, most: int) -> list[str]:
        """The different captions, in order."""
        rows = self.rows(
            "captions", (values.text,), "SELECT DISTINCT text FROM caption ORDER BY text LIMIT ?", (most,)
        )
        return [row[0] for row in rows]

    def words(self, video_id: int) -> list[Word]:
        """The transcript, in the order of time."""
        rows = self.rows(
            "words",
            (values.tag_text, values.seconds, values.seconds, values.number),
            "SELECT text, start, end, probability FROM word WHERE video_id = ? ORDER BY start, id",
            (video_id,),
            most=2 * MOST_WORDS,
        )
        return [Word(*row) for row in rows]

    def sightings(self, video_id: int) -> list[tuple[str, Sighting]]:
        """(expert, what it saw in one frame), in the order of time."""
        rows = self.rows(
            "sightings",
            kinds.SIGHTING,
            "SELECT expert, text, score, time, x, y, width, height FROM sighting WHERE video_id = ?"
            " ORDER BY time, id",
            (video_id,),
            most=MOST_EXPERTS * MOST_SIGHTINGS,
        )
        return [
            (expert, Sighting(text, score, time, None if None in box else tuple(box)))  # type: ignore[arg-type]
            for expert, text, score, time, *box in rows
        ]

    def captions(self, video_id: int) -> list[Caption]:
        rows = self.rows(
            "captions",
            kinds.CAPTION,
            "SELECT text, start, end, split FROM caption WHERE video_id = ? ORDER BY id",
            (video_id,),
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
            listed = (values.whole, values.whole, *kinds.CAPTION)
            yield from ((row[0], Caption(*row[2:])) for row in self.good("captions", listed, rows))
            last = (rows[-1][0], rows[-1][1])

    def runs(self, video_id: int) -> list[Run]:
        """What each expert's last full look at a video was."""
        rows = self.rows(
            "looks of experts",
            kinds.RUN,
            "SELECT expert, modality, version, fingerprint, seconds, coverage, notes, facts, at FROM run"
            " WHERE video_id = ? ORDER BY expert",
            (video_id,),
        )
        return [Run(*row) for row in rows]

    def failures(self, video_id: int | None = None) -> list[Failure]:
        """What failed last, of one video or in the whole library."""
        rows = self.rows(
            "failures",
            kinds.FAILURE,
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
        rows = self.rows(
            "paths",
            (values.whole, values.whole, values.whole, values.flag),
            "SELECT video_id, size, mtime_ns, gone FROM path WHERE path = ?",
            (self.key_of(path),),
        )
        return (rows[0][0], Place(os.fspath(path), *rows[0][1:3]), rows[0][3]) if rows else None

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
            for _, video_id, key, gone in self.good("paths", kinds.PLACE, rows):
                yield video_id, self.path_of(key), gone
            last = rows[-1][0]

    def id_of_hash(self, digest: str) -> int | None:
        row = self.query_one("SELECT id FROM video WHERE hash = ?", (digest,))
        return row[0] if row else None

    def hash_of(self, video_id: int) -> str | None:
        rows = self.rows("videos", (values.text,), "SELECT hash FROM video WHERE id = ?", (video_id,))
        return rows[0][0] if rows else None

    def knows_size(self, size: int) -> bool:
        """Whether some known video has this many bytes; if not, a file of that size must be new."""
        return bool(self.query_one("SELECT 1 FROM video WHERE size = ? LIMIT 1", (size,)))

    def done(self, video_id: int) -> dict[str, tuple[str, str]]:
        """expert: (version, fingerprint) of its last full look at a video."""
        rows = self.rows(
            "looks of experts",
            (values.text,) * 3,
            "SELECT expert, version, fingerprint FROM run WHERE video_id = ?",
            (video_id,),
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def counts(self) -> LibraryCounts:
        """How much the library holds, and how far the experts are with it."""
        videos, here, files = self.query_one(
            "SELECT (SELECT count(*) FROM video), count(DISTINCT video_id), count(*) FROM path WHERE gone = 0"
        )
        (unreadable,) = self.query_one("SELECT count(*) FROM failure WHERE expert = ''")
        experts = self.rows(
            "looks of experts",
            (values.text, values.whole, values.whole),
            "SELECT name, sum(done), sum(failed) FROM ("
            " SELECT expert AS name, count(*) AS done, 0 AS failed FROM run GROUP BY expert"
            " UNION ALL SELECT expert, 0, count(*) FROM failure WHERE expert <> '' GROUP BY expert"
            ") GROUP BY name ORDER BY name",
        )
        return LibraryCounts(videos, here, files, unreadable, [ExpertCounts(*row) for row in experts])

    def latest_runs(self, most: int) -> list[tuple[int, str]]:
        """(video id, time of its last look in ISO 8601) of the videos looked at last, the latest first."""
        return self.rows(
            "looks of experts",
            (values.whole, values.text),
            "SELECT video_id, max(at) AS last FROM run GROUP BY video_id"
            " ORDER BY last DESC, video_id DESC LIMIT ?",
            (most,),
        )

    def usual_cost(self) -> dict[str, float]:
        """expert: seconds that it took for a second of video, over the library."""
        rows = self.rows(
            "looks of experts",
            (values.text, values.seconds),
            "SELECT r.expert, sum(r.seconds) / sum(v.duration) FROM run r JOIN video v ON v.id = r.video_id"
            " WHERE r.seconds IS NOT NULL AND v.duration > 0 GROUP BY r.expert",
        )
        return dict(rows)

    def usual_length(self) -> float:
        """Seconds of video in a byte, over the library; 0 where no length is known."""
        rows = self.rows(
            "facts of videos",
            (values.seconds,),
            "SELECT coalesce(sum(duration) / sum(size), 0) FROM video WHERE duration > 0 AND size > 0",
        )
        return float(rows[0][0]) if rows else 0.0

    def length_of_hash(self, digest: str) -> float | None:
        """Seconds of a video that is known by its content."""
        rows = self.rows(
            "facts of videos",
            (values.maybe(values.seconds),),
            "SELECT duration FROM video WHERE hash = ?",
            (digest,),
        )
        return rows[0][0] if rows else None

    def _renewed_texts(self, video_id: int) -> SearchableTexts:
        """What a video can be found by; the tags that it holds are packed anew on the way."""
        held = self.tags(video_id)
        self.effective.put(video_id, held)
        spoken: list[str] = []
        written: list[str] = []
        keys = {(tag.modality, normal(tag.text, tag.modality)) for tag in held}
        said = [
            tag
            for tag in self.tags(video_id, raw=True)
            if (tag.modality, normal(self.canonical(tag.text, tag.modality), tag.modality)) in keys
        ]
        for tag in (*held, *said):
            (written if tag.modality == Modality.SCREEN else spoken).append(tag.text)
        transcript = " ".join(word.text for word in self.words(video_id))
        video = self.video(video_id)
        names = [(video.title if video is not None else None) or "", *self.names(video_id)]
        return SearchableTexts(_once(spoken), _once(written), transcript, _once(names))

    def names(self, video_id: int) -> list[str]:
        """The words in the names of a video's files, and of their folders inside the library."""
        rows = self.rows(
            "path",
            (values.path,),
            "SELECT path FROM path WHERE video_id = ? AND gone = 0 ORDER BY path LIMIT ?",
            (video_id, MAX_NAMES),
        )
        return [words for (key,) in rows if (words := name_words(key))]

    def _videos(self, rows: Sequence[tuple[Any, ...]]) -> list[Video]:
        here: dict[int, list[str]] = defaultdict(list)
        for video_id, key in self.rows(
            "paths",
            (values.row_id, values.path),
            f"SELECT video_id, path FROM path WHERE gone = 0 AND video_id IN ({_marks(rows)}) ORDER BY id",
            [row[0] for row in rows],
        ):
            here[video_id].append(self.path_of(key))
        return [video for row in rows for video in self._video(row, here)]

    def _video(self, row: tuple[Any, ...], here: dict[int, list[str]]) -> Iterator[Video]:
        """A video whose facts, title, date or size cannot be is one without them."""
        for number, digest in self.good("videos", (values.row_id, values.text), [row[:2]]):
            whole = self.good("facts of videos", kinds.ABOUT, [row[2:]])
            nothing: tuple[Any, ...] = (None, None, 0, *(None,) * len(kinds.FACTS))
            title, created, size, *facts = whole[0] if whole else nothing
            try:
                known = row_to_facts(tuple(facts), title, created)
            except values.BadValue:
                self.left_out.add("facts of videos")
                known = None
            paths = sorted(here[number])
            # What came from a data set's lists, without files, has no size and cannot be gone.
            gone = not paths and size is not None
            yield Video(number, digest, paths, known, title, created, gone=gone, size=size)


def _once(texts: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(texts))


def _marks(values: Collection[object]) -> str:
    """As many question marks as there are values."""
    return ",".join("?" * len(values))


def _base(key: str | bytes) -> str:
    return Path(os.fsdecode(key)).name

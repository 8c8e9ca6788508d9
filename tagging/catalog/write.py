"""The catalog: the one truth on disk about videos, what experts said of them and what people decided.

One SQLite file, `FOLDER/.tagline/catalog.sqlite`. Each write is one transaction, so whatever stops the
program leaves a catalog that is whole. The tables are described in schema.py, the records that go in and come
out in records.py, opening and transactions in database.py, reading in read.py. Its parts are `fulltext` (the
words that search finds), `vectors` and `verdicts` (verdict_log.py); no SQL stands outside this folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from tagline.experts.footage import Facts
from tagline.experts.tags import Report
from tagline.tagging.catalog.decide import VerdictWriter
from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.catalog.records import (
    Caption,
    Look,
    Place,
    canonical_json,
    checked,
    coverage_to_json,
    facts_to_row,
    now,
)
from tagline.tagging.vocabulary import clean, normal


class Catalog(CatalogReader):
    """An open catalog. Use it as a context manager, or call `close`.

    `root` is the folder below which paths are stored relative to it; `decide` writes people's verdicts.
    """

    @property
    def decide(self) -> VerdictWriter:
        """Writes what a person decides."""
        return VerdictWriter(self)

    # ---- videos and files

    def put_video(
        self,
        digest: str,
        *,
        size: int | None = None,
        facts: Facts | None = None,
        title: str | None = None,
        created: str | None = None,
    ) -> int:
        """The id of the video with this content hash, made if it is new. What is None stays as it was."""
        own = facts.title if facts else None  # what the file calls itself; a title given by name goes first
        created = created if created is not None else facts.created if facts else None
        with self.transaction():
            self.execute("INSERT OR IGNORE INTO video(hash, size) VALUES (?, ?)", (digest, size))
            video_id = self.id_of_hash(digest)
            assert video_id is not None
            for column, value in (
                ("size", size),
                ("title", clean(title, 1_000) if title else None),
                ("created", clean(created) if created else None),
            ):
                if value is not None:
                    self.execute(f"UPDATE video SET {column} = ? WHERE id = ?", (value, video_id))
            if title is None and own:
                self.execute(
                    "UPDATE video SET title = coalesce(title, ?) WHERE id = ?", (clean(own, 1_000), video_id)
                )
            if facts is not None:
                self.execute(
                    "UPDATE video SET duration = ?, width = ?, height = ?, fps = ?, codec = ?, rotation = ?,"
                    " colour = ?, has_sound = ?, start = ? WHERE id = ?",
                    (*facts_to_row(facts), video_id),
                )
            if title is not None or facts is not None:
                self.fulltext.mark_stale([video_id])
        return video_id

    def put_path(self, video_id: int, place: Place) -> None:
        """This file holds this video. Other files of it that are not there any more are marked as gone."""
        key = self.key_of(place.path)
        with self.transaction():
            self.execute(
                "INSERT INTO path(video_id, path, size, mtime_ns) VALUES (?, ?, ?, ?) ON CONFLICT(path)"
                " DO UPDATE SET video_id = excluded.video_id, size = excluded.size,"
                " mtime_ns = excluded.mtime_ns, gone = 0",
                (video_id, key, place.size, place.mtime_ns),
            )
            self.execute("DELETE FROM failure WHERE path = ?", (key,))
            rows = self.query(
                "SELECT path FROM path WHERE video_id = ? AND gone = 0 AND path <> ?", (video_id, key)
            )
            self.mark_gone([path for (other,) in rows if not os.path.lexists(path := self.path_of(other))])
            self.fulltext.mark_stale([video_id])

    def mark_gone(self, paths: Iterable[str], gone: bool = True) -> None:
        """These files were not there. Nothing is deleted: they may come back."""
        with self.transaction():
            self.execute_many(
                "UPDATE path SET gone = ? WHERE path = ?", [(int(gone), self.key_of(path)) for path in paths]
            )

    def forget(self, video_id: int) -> None:
        """Delete a video with all that is known of it. No run does this; only a person may ask for it."""
        with self.transaction():
            self.execute("DELETE FROM video WHERE id = ?", (video_id,))
            self.execute("DELETE FROM found WHERE rowid = ?", (video_id,))

    # ---- what experts say

    def save(
        self,
        digest: str,
        place: Place | None,
        *,
        facts: Facts | None,
        looks: Sequence[Look] = (),
        unreadable: str | None = None,
        decoder: str = "",
    ) -> int:
        """Everything that one pass over one file gave, in one transaction. Returns the video's id."""
        with self.transaction():
            video_id = self.put_video(digest, size=place.size if place else None, facts=facts)
            if place is not None:
                before = self.place(place.path)
                self.put_path(video_id, place)
                if before is not None and before[0] != video_id:
                    self._inherit(before[0], video_id)
            if unreadable is not None:
                self.put_failure(unreadable, decoder, video_id=video_id)
            elif facts is not None:
                self.clear_failure(video_id, "")
            for look in looks:
                self.put_look(video_id, look)
        return video_id

    def _inherit(self, old: int, new: int) -> None:
        """A file was written anew, say with other metadata: if it still shows the same footage as far as can
        be told, what people said of it goes along."""
        one, other = self.video(old), self.video(new)
        if one is None or other is None or not _same_footage(one.facts, other.facts) or self.verdicts.of(new):
            return
        self.execute(
            "INSERT INTO verdict(act, kind, video_id, modality, text, target, start, end, at)"
            " SELECT act, kind, ?, modality, text, target, start, end, at FROM verdict"
            " WHERE video_id = ? ORDER BY id",
            (new, old),
        )
        self.fulltext.mark_stale([new])

    def put_look(self, video_id: int, look: Look) -> None:
        """Replace what this expert said of this video; if it failed, keep what it said before."""
        if look.report is None:
            self.put_failure(
                look.reason or "no reason given", look.fingerprint, video_id=video_id, expert=look.expert
            )
            return
        report = checked(look.report, look.modality, look.also)
        with self.transaction():
            self.clear_failure(video_id, look.expert)
            for table in ("run", "tag", "sighting", "word"):
                self.execute(
                    f"DELETE FROM {table} WHERE video_id = ? AND expert = ?", (video_id, look.expert)
                )
            self.execute(
                "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    video_id,
                    look.expert,
                    look.modality,
                    look.version,
                    look.fingerprint,
                    look.seconds,
                    coverage_to_json(look.coverage),
                    canonical_json(report.notes),
                    canonical_json(report.facts),
                    now(),
                ),
            )
            self._put_findings(video_id, look.expert, report)
            self.vectors.put(video_id, look.expert, look.fingerprint, report.vectors)
            self.fulltext.mark_stale([video_id])

    def _put_findings(self, video_id: int, expert: str, report: Report) -> None:
        write = self.execute_many
        write(
            "INSERT INTO tag(video_id, expert, modality, said, text, score, start, end, best)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    video_id,
                    expert,
                    t.modality,
                    t.text,
                    normal(t.text, t.modality),
                    t.score,
                    t.start,
                    t.end,
                    t.best,
                )
                for t in report.tags
            ],
        )
        write(
            "INSERT INTO sighting(video_id, expert, text, score, time, x, y, width, height)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (video_id, expert, clean(s.text), float(s.score), float(s.time), *_box(s.box))
                for s in report.sightings
            ],
        )
        write(
            "INSERT INTO word(video_id, expert, text, start, end, probability) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (video_id, expert, clean(w.text), float(w.start), float(w.end), float(w.probability))
                for w in report.words
            ],
        )

    def put_failure(
        self,
        reason: str,
        fingerprint: str,
        *,
        video_id: int | None = None,
        path: str | None = None,
        expert: str = "",
    ) -> None:
        """What went wrong, with a video, with one expert at a video, or with a path that cannot be opened."""
        key = self.key_of(path) if path is not None else None
        with self.transaction():
            if video_id is not None:
                self.clear_failure(video_id, expert)
            else:
                self.execute("DELETE FROM failure WHERE path = ?", (key,))
            self.execute(
                "INSERT INTO failure(video_id, path, expert, fingerprint, reason, at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    video_id,
                    None if video_id is not None else key,
                    expert,
                    fingerprint,
                    clean(reason, 1_000),
                    now(),
                ),
            )

    def clear_failure(self, video_id: int, expert: str) -> None:
        """What went wrong has been put right."""
        self.execute("DELETE FROM failure WHERE video_id = ? AND expert = ?", (video_id, expert))

    def drop_path_failures(self, paths: Iterable[str]) -> None:
        """These paths need no excuse any more: they are gone or could be read."""
        with self.transaction():
            self.execute_many("DELETE FROM failure WHERE path = ?", [(self.key_of(path),) for path in paths])

    # ---- captions

    def put_captions(self, video_id: int, captions: Iterable[Caption], *, replace: bool = False) -> None:
        """Add captions to a video; with `replace`, in place of those it has."""
        with self.transaction():
            if replace:
                self.execute("DELETE FROM caption WHERE video_id = ?", (video_id,))
            self.execute_many(
                "INSERT INTO caption(video_id, text, start, end, split) VALUES (?, ?, ?, ?, ?)",
                [
                    (video_id, " ".join(clean(c.text, 10_000).split()), c.start, c.end, c.split)
                    for c in captions
                ],
            )


def _same_footage(one: Facts | None, other: Facts | None) -> bool:
    """Whether two files may hold the same footage: same picture size and codec, same length to 0.1 s."""
    if one is None or other is None or one.duration is None or other.duration is None:
        return False
    same = (one.width, one.height, one.codec) == (other.width, other.height, other.codec)
    return same and abs(one.duration - other.duration) <= 0.1


def _box(box: tuple[float, float, float, float] | None) -> tuple[float | None, ...]:
    return (None,) * 4 if box is None else tuple(float(number) for number in box)

"""What full-text search finds: kept in step with tags, transcripts, titles and what people decided."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from tagline.experts.tags import Modality
from tagline.tagging.catalog.database import CatalogDatabase
from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.catalog.schema import TOKENIZER
from tagline.tagging.vocabulary import VERSION as NORMAL_FORM
from tagline.tagging.vocabulary import normal


class FullText:
    """The words of all videos. Words are given without signs; a word is found in all its forms."""

    def __init__(self, database: CatalogDatabase) -> None:
        self._database = database

    def videos_with_any(self, words: Sequence[str], most: int) -> list[int]:
        """Videos that hold any of the words, the most promising first."""
        if not words:
            return []
        any_word = " OR ".join(f'"{word}"' for word in words)
        rows = self._database.query(
            "SELECT rowid FROM found WHERE found MATCH ? ORDER BY rank, rowid LIMIT ?", (any_word, most)
        )
        return [row[0] for row in rows]

    def video_count(self) -> int:
        """How many videos can be found."""
        return int(self._database.query_one("SELECT count(*) FROM found")[0])

    def document_frequency(self, word: str) -> int:
        """How many videos hold a word."""
        found = self._database.query_one("SELECT count(*) FROM found WHERE found MATCH ?", (f'"{word}"',))
        return int(found[0])


def stems(words: Iterable[str]) -> list[tuple[str, ...]]:
    """What each word is to full-text search, by its very own rule: "dogs" and "dog" are one."""
    words = list(words)
    found: list[list[str]] = [[] for _ in words]
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute(f"CREATE VIRTUAL TABLE word USING fts5(text, {TOKENIZER})")
        index.execute("CREATE VIRTUAL TABLE term USING fts5vocab(word, instance)")
        index.executemany("INSERT INTO word(rowid, text) VALUES (?, ?)", enumerate(words))
        for number, term in index.execute("SELECT doc, term FROM term ORDER BY doc, offset"):
            found[number].append(term)
    return [tuple(terms) for terms in found]


class SearchableCatalog(CatalogReader):
    """A catalog whose searchable words are renewed at the end of each transaction that touched them."""

    def __init__(
        self, connection: sqlite3.Connection, file: Path | None, root: Path, notice: str | None
    ) -> None:
        super().__init__(connection, file, root, notice)
        self.fulltext = FullText(self)
        self._changed: set[int] | None = set()  # videos whose words are to be renewed; None: all

    def _mark_words_stale(self, video_ids: Iterable[int] | None) -> None:
        """What full-text search finds of these videos (None: of all) is renewed when the transaction ends."""
        if video_ids is None:
            self._changed = None
        elif self._changed is not None:
            self._changed.update(video_ids)

    def _before_commit(self) -> None:
        changed, self._changed = self._changed, set()
        for video_id in (video.id for video in self.videos(gone=True)) if changed is None else changed:
            self.execute("DELETE FROM found WHERE rowid = ?", (video_id,))
            self.execute(
                "INSERT INTO found(rowid, tags, screen, transcript, title) VALUES (?, ?, ?, ?, ?)",
                (video_id, *self._searchable(video_id)),
            )

    def _forget_cached(self) -> None:
        super()._forget_cached()
        self._changed = set()

    def _searchable(self, video_id: int) -> tuple[str, str, str, str]:
        """tags, text on the screen, transcript, title. Tags in their normal form and as they were said."""
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
        return _once(spoken), _once(written), transcript, (title[0] if title else None) or ""

    def _settle(self, writable: bool) -> None:
        """After opening: normal forms that an older tagline wrote are brought up to date."""
        super()._settle(writable)
        if not writable or self.meta("normal form") == str(NORMAL_FORM):
            return
        with self.transaction():
            rows = self.query("SELECT DISTINCT said, modality FROM tag")
            self.execute_many(
                "UPDATE tag SET text = ? WHERE said = ? AND modality = ?",
                [(normal(said, Modality(modality)), said, modality) for said, modality in rows],
            )
            self._mark_words_stale(None)
            self.set_meta("normal form", str(NORMAL_FORM))


def _once(texts: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(texts))

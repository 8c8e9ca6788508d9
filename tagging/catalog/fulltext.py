"""What full-text search finds: kept in step with tags, transcripts, titles and what people decided."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from tagline.experts.tags import Modality
from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.vocabulary import VERSION as NORMAL_FORM
from tagline.tagging.vocabulary import normal


class SearchableCatalog(CatalogReader):
    """A catalog whose searchable words are renewed at the end of each transaction that touched them."""

    def __init__(
        self, connection: sqlite3.Connection, file: Path | None, root: Path, notice: str | None
    ) -> None:
        super().__init__(connection, file, root, notice)
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
            self.connection.execute("DELETE FROM found WHERE rowid = ?", (video_id,))
            self.connection.execute(
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
        title = self.connection.execute("SELECT title FROM video WHERE id = ?", (video_id,)).fetchone()
        return _once(spoken), _once(written), transcript, (title[0] if title else None) or ""

    def _settle(self, writable: bool) -> None:
        """After opening: normal forms that an older tagline wrote are brought up to date."""
        super()._settle(writable)
        if not writable or self.meta("normal form") == str(NORMAL_FORM):
            return
        with self.transaction():
            rows = self.connection.execute("SELECT DISTINCT said, modality FROM tag").fetchall()
            self.connection.executemany(
                "UPDATE tag SET text = ? WHERE said = ? AND modality = ?",
                [(normal(said, Modality(modality)), said, modality) for said, modality in rows],
            )
            self._mark_words_stale(None)
            self.set_meta("normal form", str(NORMAL_FORM))


def _once(texts: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(texts))

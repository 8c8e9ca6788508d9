"""What full-text search finds: kept in step with tags, transcripts, titles and what people decided."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import NamedTuple

from tagline.tagging.catalog import values
from tagline.tagging.catalog.connection import CatalogUnwritable
from tagline.tagging.catalog.database import CatalogDatabase
from tagline.tagging.catalog.schema import TOKENIZER
from tagline.tagging.vocabulary import VERSION as NORMAL_FORM
from tagline.tagging.vocabulary import normal

TEXTS = 2  # raise whenever other texts are searched: catalogs then renew theirs when opened


class SearchableTexts(NamedTuple):
    """What can be found of a video."""

    tags: str  # in their normal form and as they were said, one a line
    screen: str
    transcript: str
    title: str  # and the names of its files


class FullText:
    """The words of all videos, renewed at the end of each transaction that touched them. Reached as
    `catalog.fulltext`.

    Words are given without signs; a word is found in all its forms.
    """

    def __init__(self, catalog: CatalogDatabase, texts_of: Callable[[int], SearchableTexts]) -> None:
        self._catalog = catalog
        self._texts_of = texts_of
        self._changed: set[int] | None = set()  # videos whose words are to be renewed; None: all
        catalog.before_commit.append(self._renew)
        catalog.on_rollback.append(self._forget_changed)

    def videos_with_any(self, words: Sequence[str], most: int) -> list[int]:
        """Videos that hold any of the words, the most promising first."""
        if not words:
            return []
        any_word = " OR ".join(f'"{word}"' for word in words)
        rows = self._catalog.query(
            "SELECT rowid FROM found WHERE found MATCH ? ORDER BY rank, rowid LIMIT ?", (any_word, most)
        )
        return [row[0] for row in rows]

    def video_count(self) -> int:
        """How many videos can be found."""
        return int(self._catalog.query_one("SELECT count(*) FROM found")[0])

    def document_frequency(self, *words: str) -> int:
        """How many videos hold a word, or words side by side ("hot dog"); of several, any of them."""
        any_word = " OR ".join(f'"{word}"' for word in words)
        found = self._catalog.query_one("SELECT count(*) FROM found WHERE found MATCH ?", (any_word,))
        return int(found[0])

    def terms(self, most: int) -> list[tuple[str, int]]:
        """(word as the index has it, videos that hold it), in the order of words; none on a full disk, where
        no view of them can be made."""
        try:
            # Of a name that no table of the catalog has: the temporary one would hide it.
            self._catalog.execute(
                "CREATE VIRTUAL TABLE IF NOT EXISTS temp.indexed_word USING fts5vocab('main', 'found', 'row')"
            )
        except CatalogUnwritable:
            return []
        return self._catalog.rows(
            "words to search for",
            (values.long_text, values.whole),
            "SELECT term, doc FROM temp.indexed_word ORDER BY term LIMIT ?",
            (most,),
        )

    def written_as(self, term: str) -> str:
        """A word of the index as some video has it: "cockatoo" for "cockatoo", "happy" for "happi"."""
        rows = self._catalog.rows(
            "words to search for",
            (values.long_text,),
            "SELECT snippet(found, -1, char(1), char(2), '', 8) FROM found WHERE found MATCH ? LIMIT 1",
            (f'"{term}"',),
        )
        marked = re.search("\x01([^\x02]+)\x02", rows[0][0]) if rows else None
        return marked[1].casefold() if marked else term

    def mark_stale(self, video_ids: Iterable[int] | None) -> None:
        """What full-text search finds of these videos (None: of all) is renewed when the transaction ends."""
        if video_ids is None:
            self._changed = None
        elif self._changed is not None:
            self._changed.update(video_ids)

    def _renew(self) -> None:
        changed, self._changed = self._changed, set()
        if changed is None:
            changed = {row[0] for row in self._catalog.query("SELECT id FROM video")}
        for video_id in changed:
            self._catalog.execute("DELETE FROM found WHERE rowid = ?", (video_id,))
            self._catalog.execute(
                "INSERT INTO found(rowid, tags, screen, transcript, title) VALUES (?, ?, ?, ?, ?)",
                (video_id, *self._texts_of(video_id)),
            )

    def _forget_changed(self) -> None:
        self._changed = set()

    def renew_normal_forms(self) -> None:
        """Normal forms that an older tagline wrote are brought up to date."""
        catalog, form = self._catalog, f"{NORMAL_FORM}.{TEXTS}"
        if catalog.meta("normal form") == form:
            return
        with catalog.transaction():
            kinds = (values.tag_text, values.modality)
            rows = catalog.rows("tags", kinds, "SELECT DISTINCT said, modality FROM tag")
            catalog.execute_many(
                "UPDATE tag SET text = ? WHERE said = ? AND modality = ?",
                [(normal(said, modality), said, modality) for said, modality in rows],
            )
            self.mark_stale(None)
            catalog.set_meta("normal form", form)


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

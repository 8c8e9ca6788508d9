"""The verdicts of people as the catalog keeps them: in the order in which they were given, act by act."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from tagline.experts.tags import Modality
from tagline.tagging.catalog import values
from tagline.tagging.catalog.database import CatalogDatabase
from tagline.tagging.catalog.records import Verdict, now
from tagline.tagging.catalog.verdicts import LIBRARY_WIDE, Renames, VerdictRow
from tagline.tagging.vocabulary import normal

_COLUMNS = "id, act, kind, video_id, modality, text, target, start, end, at"
_KINDS = (
    values.whole,
    values.whole,
    values.decision,
    values.maybe(values.whole),
    values.maybe(values.modality),
    values.tag_text,
    values.maybe(values.tag_text),
    values.maybe(values.seconds),
    values.maybe(values.seconds),
    values.text,
)
MOST = 1_000_000  # verdicts: one a second for twelve days


class VerdictLog:
    """Reached as `catalog.verdicts`."""

    def __init__(self, catalog: CatalogDatabase, mark_stale: Callable[[Iterable[int] | None], None]) -> None:
        self._catalog = catalog
        self._mark_stale = mark_stale  # the words by which these videos (None: all) are found
        self._renames: Renames | None = None
        self._renames_at: Hashable = None
        catalog.on_rollback.append(self._forget_renames)

    def of(self, video_id: int) -> list[Verdict]:
        """What people decided about one video."""
        return self._read("WHERE video_id = ?", video_id)

    def all(self) -> list[Verdict]:
        """Every verdict, the library-wide ones too."""
        return self._read()

    def last_act(self) -> int | None:
        """The number of what was decided last; None if nothing was."""
        rows = self._catalog.rows(
            "verdicts",
            (values.maybe(values.whole),),
            "SELECT max(act) FROM verdict WHERE typeof(act) = 'integer'",
        )
        last: int | None = rows[0][0] if rows else None
        return last

    def accepted(self) -> set[tuple[int, str]]:
        """(video id, normal form) of everything that a person has accepted or added."""
        rows = self._catalog.rows(
            "verdicts",
            (values.whole, values.tag_text),
            "SELECT video_id, text FROM verdict WHERE kind IN ('accept', 'add') AND video_id IS NOT NULL",
        )
        return {(video_id, normal(self.canonical(text))) for video_id, text in rows}

    def act(self, act: int) -> list[Verdict]:
        """The verdicts that were written together."""
        return self._read("WHERE act = ?", act)

    @property
    def renames(self) -> Renames:
        """Library-wide renames, merges and aliases, as one mapping of texts."""
        token = self._catalog.change_token()
        if self._renames is None or self._renames_at != token:
            steps = self._read(f"WHERE kind IN {LIBRARY_WIDE}")
            self._renames, self._renames_at = Renames(steps), token
        return self._renames

    def canonical(self, text: str, modality: Modality | None = None) -> str:
        """What a text is called in this library: normal form, then aliases, merges and renames."""
        return self.renames.of(normal(text, modality), modality)

    def write(self, rows: Sequence[VerdictRow]) -> list[Verdict]:
        """Write the rows of one act, after each other, and bring the searchable words up to date."""
        with self._catalog.transaction():
            act = (self.last_act() or 0) + 1
            at = now()
            for kind, video_id, modality, text, target, start, end in rows:
                self._catalog.execute(
                    "INSERT INTO verdict(act, kind, video_id, modality, text, target, start, end, at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (act, kind, video_id, modality, text, target, start, end, at),
                )
            written = self.act(act)
            self._after_change(written)
        return written

    def drop_last_act(self) -> list[Verdict]:
        """Delete the verdicts of the last act and return them."""
        with self._catalog.transaction():
            last = self.last_act()
            if last is None:
                return []
            dropped = self.act(last)
            self._catalog.execute("DELETE FROM verdict WHERE act = ?", (last,))
            self._after_change(dropped)
        return dropped

    def _after_change(self, verdicts: Sequence[Verdict]) -> None:
        self._renames = None
        everywhere = any(verdict.kind in LIBRARY_WIDE for verdict in verdicts)
        self._mark_stale(None if everywhere else {v.video_id for v in verdicts if v.video_id is not None})

    def _forget_renames(self) -> None:
        self._renames = None

    def _read(self, where: str = "", *parameters: object) -> list[Verdict]:
        rows = self._catalog.rows(
            "verdicts", _KINDS, f"SELECT {_COLUMNS} FROM verdict {where} ORDER BY id", parameters, most=MOST
        )
        return [Verdict(*row) for row in rows]

"""Deciding: accepting, rejecting, adding and renaming tags, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence

from tagline.experts.tags import HUMAN_SOURCE, Modality
from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.catalog.records import Verdict
from tagline.tagging.catalog.verdicts import VerdictRow
from tagline.tagging.vocabulary import clean, normal


class VerdictWriter:
    """Writes what a person decides. Reached as `catalog.decide`.

    Texts are taken as they are typed ("Anna" stays "Anna"); they are compared in their normal form.
    """

    def __init__(self, catalog: CatalogReader) -> None:
        self._catalog = catalog

    def accept(self, video_id: int, text: str, modality: Modality | None = None) -> list[Verdict]:
        """This tag is right: it stays, with score 1, whatever later runs say. Accepting one that is not
        there adds it."""
        found = [*self._catalog.tags(video_id), *self._catalog.tags(video_id, judged=False)]
        spans = [
            tag
            for tag in dict.fromkeys(found)  # an earlier rejection must not hide what is accepted now
            if tag.source != HUMAN_SOURCE
            and normal(tag.text, tag.modality) == normal(text, tag.modality)
            and (modality is None or tag.modality == modality)
        ]
        if not spans:
            return self.add(video_id, text, modality or Modality.HUMAN)
        rows: list[VerdictRow] = [
            ("accept", video_id, tag.modality, tag.text, None, tag.start, tag.end) for tag in spans
        ]
        return self._catalog.verdicts.write(rows)

    def reject(self, video_id: int, text: str, modality: Modality | None = None) -> list[Verdict]:
        """This tag is wrong for this video, in one modality or in all, now and after every re-run."""
        return self._catalog.verdicts.write(
            [("reject", video_id, modality, _checked_text(text), None, None, None)]
        )

    def add(
        self,
        video_id: int,
        text: str,
        modality: Modality = Modality.HUMAN,
        span: tuple[float, float] | None = None,
    ) -> list[Verdict]:
        """This is in the video too; without a span, from its first to its last second."""
        start, end = span if span is not None else (None, None)
        if start is not None and end is not None and not 0.0 <= start <= end:
            raise ValueError(f"a span starts at 0 or later and ends after it starts: {start:g} to {end:g}")
        return self._catalog.verdicts.write(
            [("add", video_id, modality, _checked_text(text), None, start, end)]
        )

    def rename(self, old: str, new: str, modality: Modality | None = None) -> list[Verdict]:
        """Call a tag otherwise in the whole library, now and after every re-run."""
        return self._library_wide("rename", [old], new, modality)

    def merge(self, texts: Sequence[str], into: str, modality: Modality | None = None) -> list[Verdict]:
        """Make several tags one."""
        return self._library_wide("merge", texts, into, modality)

    def alias(self, other: str, text: str, modality: Modality | None = None) -> list[Verdict]:
        """`other` is another word for `text`, wherever it turns up."""
        return self._library_wide("alias", [other], text, modality)

    def undo(self) -> list[Verdict]:
        """Take the last act back, and say what it was; nothing if there is none."""
        return self._catalog.verdicts.drop_last_act()

    def _library_wide(
        self, kind: str, texts: Sequence[str], target: str, modality: Modality | None
    ) -> list[Verdict]:
        into = _checked_text(target)
        rows: list[VerdictRow] = [
            (kind, None, modality, _checked_text(text), into, None, None) for text in texts
        ]
        return self._catalog.verdicts.write(rows)


def _checked_text(text: str) -> str:
    said = clean(text)
    if not said:
        raise ValueError("a tag needs a text")
    return said

"""What people decided about tags, and how it overrules what experts say: now, and after every re-run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tagline.experts.tags import HUMAN_SOURCE, Modality, Tag
from tagline.tagging.catalog.records import Verdict
from tagline.tagging.vocabulary import normal

MODALITY_ORDER = {modality: place for place, modality in enumerate(Modality)}
LIBRARY_WIDE = ("rename", "merge", "alias")


class Renames:
    """The library-wide renames, merges and aliases, applied one after the other as they were said.

    So a -> b and later b -> c give c for both, and undoing the last gives b again.
    """

    def __init__(self, verdicts: Iterable[Verdict]) -> None:
        self._steps = [
            (v.id, v.modality, v.text, v.target or v.text) for v in verdicts if v.kind in LIBRARY_WIDE
        ]
        self._known: dict[tuple[str, Modality | None, int], str] = {}

    def __bool__(self) -> bool:
        return bool(self._steps)

    def of(self, text: str, modality: Modality | None = None, since: int = 0) -> str:
        """What a tag is called now. `since` leaves out what was said up to that verdict."""
        key = (text, modality, since)
        if key not in self._known:
            for number, only, old, new in self._steps:
                if number <= since or (only is not None and modality is not None and only != modality):
                    continue
                if normal(text, modality) == normal(old, modality):
                    text = new
            self._known[key] = text
        return self._known[key]


def effective_tags(
    tags: Sequence[Tag],
    verdicts: Sequence[Verdict],
    renames: Renames,
    duration: float | None,
) -> list[Tag]:
    """The tags of one video as they hold, from what experts said and what people decided.

    tags: of the experts, texts in normal form. verdicts: of this video, in order. Of several verdicts on
    one text and modality the last holds. A tag accepted or added stays when no expert gives it any more; an
    accepted tag has score 1. Spans of one text, modality and source that touch become one. The result is
    ordered by start, modality, text.
    """
    if not verdicts and not renames:  # nobody has decided anything
        return _in_order(_join(tags))
    judged = _standing_verdicts(verdicts, renames)
    kept: list[Tag] = []
    accepted: set[tuple[Modality, str]] = set()
    given: set[tuple[Modality, str]] = set()
    for tag in tags:
        text = renames.of(tag.text, tag.modality)
        key = (tag.modality, normal(text, tag.modality))
        said = judged.get(key) or _verdict_in_any_modality(judged, key)
        if any(verdict.kind == "reject" for verdict in said):
            continue
        kept.append(tag if text == tag.text else replace(tag, text=text))
        given.add(key)
        if any(verdict.kind == "accept" for verdict in said):
            accepted.add(key)
    kept = [
        replace(tag, score=1.0) if (tag.modality, normal(tag.text, tag.modality)) in accepted else tag
        for tag in _join(kept)
    ]
    by_hand: list[Tag] = []
    for (modality, form), said in judged.items():
        for verdict in said:
            if modality is None or verdict.kind == "reject":
                continue
            if verdict.kind == "add" or (modality, form) not in given:
                by_hand.append(_person_tag(verdict, modality, renames, duration))
    kept += _join(by_hand)
    return _in_order(kept)


def _in_order(tags: Iterable[Tag]) -> list[Tag]:
    return sorted(
        tags, key=lambda tag: (tag.start, MODALITY_ORDER[tag.modality], tag.text, tag.source, tag.end)
    )


def _standing_verdicts(
    verdicts: Sequence[Verdict], renames: Renames
) -> dict[tuple[Modality | None, str], list[Verdict]]:
    """For each modality and text what counts: the last rejection, or everything said since then.

    A rejection whatever the modality (None) silences what was said of single modalities before it, and a
    later word on one modality lifts it for that one.
    """
    judged: dict[tuple[Modality | None, str], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.kind in LIBRARY_WIDE:
            continue
        text = renames.of(verdict.text, verdict.modality, since=verdict.id)
        key = (verdict.modality, normal(text, verdict.modality))
        if verdict.kind != "reject":
            judged[key] = [v for v in judged.get(key, []) if v.kind != "reject"] + [verdict]
            continue
        judged[key] = [verdict]
        if verdict.modality is None:
            for modality in Modality:
                judged.pop((modality, normal(text, modality)), None)
    return judged


def _verdict_in_any_modality(
    judged: dict[tuple[Modality | None, str], list[Verdict]], key: tuple[Modality, str]
) -> list[Verdict]:
    """A verdict on this text in every modality. Written text is compared in both of its forms."""
    return judged.get((None, key[1])) or judged.get((None, normal(key[1])), [])


def _person_tag(verdict: Verdict, modality: Modality, renames: Renames, duration: float | None) -> Tag:
    text = renames.of(verdict.text, modality, since=verdict.id)
    start = verdict.start if verdict.start is not None else 0.0
    end = verdict.end if verdict.end is not None else max(duration or 0.0, start)
    return Tag(text, modality, 1.0, start, end, HUMAN_SOURCE)


def _join(tags: Iterable[Tag]) -> list[Tag]:
    """Merge tags of one text, modality and source whose spans touch; the best score and its second win."""
    joined: list[Tag] = []
    last: dict[tuple[str, Modality, str], int] = {}
    for tag in sorted(tags, key=lambda t: (t.start, t.end, -t.score, t.text)):
        key = (normal(tag.text, tag.modality), tag.modality, tag.source)
        place = last.get(key)
        if place is None or joined[place].end < tag.start:
            last[key] = len(joined)
            joined.append(tag)
            continue
        before = joined[place]
        better = before if before.score >= tag.score else tag
        joined[place] = replace(
            before, score=better.score, best=better.best, end=max(before.end, tag.end), text=before.text
        )
    return joined


VerdictRow = tuple[str, int | None, Modality | None, str, str | None, float | None, float | None]
"""kind, video id, modality, text, target, start, end"""

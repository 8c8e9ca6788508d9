"""The one rule by which our tags go into a list that is somebody else's too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeywordChanges:
    """A keyword list after merging: what to take out, what to append, and what to remember as ours."""

    drop: frozenset[str]
    append: tuple[str, ...]
    ours: tuple[str, ...]


def merge_keywords(present: Sequence[str], written: Sequence[str], wanted: Sequence[str]) -> KeywordChanges:
    """Put `wanted` into the list `present`, of which `written` came from us the last time.

    - A keyword that was there before us is never ours: it is neither repeated nor ever taken out.
    - Ours go when they are wanted no more.
    - Ours that somebody has taken out stay out, and stay remembered, so that they do not come back.

    Doing it twice changes nothing.
    """
    here, before = set(present), set(written)
    theirs = here - before
    ours = tuple(dict.fromkeys(text for text in wanted if text not in theirs))
    return KeywordChanges(
        drop=frozenset((here & before) - set(ours)),
        append=tuple(text for text in ours if text not in here and text not in before),
        ours=ours,
    )


def removed_keywords(present: Sequence[str], written: Sequence[str]) -> list[str]:
    """What came from us and is there no more."""
    here = set(present)
    return [text for text in dict.fromkeys(written) if text not in here]

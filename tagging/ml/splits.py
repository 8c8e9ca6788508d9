"""Which videos a model learns from, chooses its checkpoint by, and is tested on: the same for all models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from tagline.tagging.catalog.uploads import UPLOADER

if TYPE_CHECKING:
    from tagline.tagging.catalog.read import CatalogReader

SPLITS = ("test", "val", "train")  # the first that anything says of a video holds
LEARNED_FROM = frozenset({"", "train"})
KEY: Callable[[Any], str] = attrgetter("key")  # what decides on which side an item is

T = TypeVar("T")


def split_of(catalog: CatalogReader, video_id: int) -> str:
    """The split of a video by what its data set and its captions say; "" where nothing is said.

    A video is of one split as a whole: what was tested on once must not be learned from, under whatever
    caption. So "test" wins over "val", and that over "train".
    """
    told = {caption.split for caption in catalog.captions(video_id)}
    told |= {str(run.facts.get("split") or "") for run in catalog.runs(video_id) if run.expert == UPLOADER}
    return next((split for split in SPLITS if split in told), "")


def hold_out(
    items: Sequence[T], share: float, most: int, seed: int = 0, *, key: Callable[[T], str] = KEY
) -> tuple[list[T], list[T]]:
    """(to learn from, to validate with): a share of them, at most so many, by a hash of each key.

    So an item stays on its side when others come or go.
    """
    count = min(most, max(1, round(share * len(items)))) if len(items) > 1 else 0
    held = _first(items, count, seed, key)
    return [x for i, x in enumerate(items) if i not in held], [x for i, x in enumerate(items) if i in held]


def subset(items: Sequence[T], most: int | None, *, key: Callable[[T], str] = KEY) -> list[T]:
    """So many at most, in their order; the same ones every time: a hash of each key decides."""
    if most is None or len(items) <= most:
        return list(items)
    chosen = _first(items, most, 0, key)
    return [x for i, x in enumerate(items) if i in chosen]


def stable_hash(key: str, seed: int | None = None) -> int:
    """64 bits that follow from the key, and the seed where one is given, in every process."""
    text = key if seed is None else f"{seed}:{key}"
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")


def _first(items: Sequence[T], count: int, seed: int, key: Callable[[T], str]) -> set[int]:
    return set(sorted(range(len(items)), key=lambda i: stable_hash(key(items[i]), seed))[:count])

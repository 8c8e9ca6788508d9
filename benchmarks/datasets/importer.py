"""A data set into a catalog: each video's file found by name, known by content, with its captions and tags.

A catalog knows videos by the content of their files, so what is said of a video whose file is not there has
nothing to hold on to: it stays in the annotations, the video is listed as missing, and running the same
import again when the file is there brings it in. Nothing else changes then: an import may be repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePath

from tagline.benchmarks.datasets.dataset import Dataset, Item, some_names
from tagline.tagging.catalog.records import Caption, Place, now
from tagline.tagging.catalog.uploads import Upload, put_upload
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.walk import Walk, content_hash
from tagline.tagging.printable import safe
from tagline.tagging.vocabulary import clean

LONGEST_CAPTION, LONGEST_TITLE = 10_000, 1_000  # characters, as the catalog keeps them
BATCH = 200  # videos in one transaction
SPLIT_ORDER = ("", "train", "val", "test")  # the later, the farther from what is learnt from

Progress = Callable[[int, int], None]  # done, of all


@dataclass(slots=True)
class DatasetImport:
    """What an import did."""

    videos: int = 0  # of the data set, that it uses
    found: int = 0
    changed: int = 0  # videos of which the catalog learnt something
    missing: list[str] = field(default_factory=list)  # names of videos without a file
    unreadable: list[str] = field(default_factory=list)  # sentences
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.missing and not self.unreadable


def import_dataset(
    catalog: Catalog, dataset: Dataset, folder: Path, progress: Progress | None = None
) -> DatasetImport:
    """Import what there are files for. Repeating it changes nothing; another split replaces the first."""
    outcome = DatasetImport(videos=sum(map(wanted, dataset.items)))
    files = FilesByName(folder, dataset.endings)
    outcome.notes += files.troubles
    pairs = []
    for item in dataset.items:
        place = files.of(item)
        if place is not None:
            pairs.append((item, place))
        elif wanted(item):
            outcome.missing.append(item.key)
    outcome.missing.sort(key=_as_people_count)
    by_hash: dict[str, list[Item]] = {}
    places: dict[str, list[Place]] = {}
    for done, (item, place) in enumerate(pairs, 1):
        digest = _digest(catalog, place, outcome)
        if digest is not None:
            by_hash.setdefault(digest, []).append(item)
            places.setdefault(digest, []).append(place)
            outcome.found += wanted(item)
        if progress:
            progress(done, len(pairs))
    hashes = list(by_hash)
    for start in range(0, len(hashes), BATCH):
        with catalog.transaction():
            for digest in hashes[start : start + BATCH]:
                outcome.changed += _put(
                    catalog, dataset.name, digest, places[digest], by_hash[digest], outcome
                )
    _store_summary(catalog, dataset, outcome)
    return outcome


def _as_people_count(name: str) -> list[tuple[int, str]]:
    """video2 goes before video10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def wanted(item: Item) -> bool:
    """Whether this variant of the data set uses the video."""
    return bool(item.split or item.captions or item.tags)


class FilesByName:
    """The files below a folder, to be asked for by name, by name without ending, or by path."""

    def __init__(self, folder: Path, endings: frozenset[str]) -> None:
        walk = Walk([folder], endings=endings)
        self._places: dict[str, Place] = {}
        top = Path(walk.folders[0])
        listed = list(walk)
        # What lies higher up goes first, then what sorts first: `a.mp4` rather than `old/a.mp4`.
        for place in sorted(listed, key=lambda p: (p.path.count("/"), p.path)):
            below = PurePath(place.path).relative_to(top) if top.is_dir() else PurePath(place.path)
            for name in (str(below), str(below.with_suffix("")), below.name, below.stem):
                self._places.setdefault(name, place)
        self.troubles = walk.troubles

    def of(self, item: Item) -> Place | None:
        return next((self._places[name] for name in item.names if name in self._places), None)


def _digest(catalog: Catalog, place: Place, outcome: DatasetImport) -> str | None:
    """The content of a file; one whose size and time the catalog knows is not read again."""
    if place.size == 0:
        outcome.unreadable.append(f"{safe(place.path)} is empty")
        return None
    place_known = catalog.place(place.path)
    if place_known is not None and place_known[1] == place:
        return catalog.hash_of(place_known[0])
    try:
        return content_hash(place.path)
    except OSError as error:
        outcome.unreadable.append(f"{safe(place.path)} cannot be read ({error.strerror})")
        return None


def _put(
    catalog: Catalog,
    dataset: str,
    digest: str,
    places: Sequence[Place],
    items: Sequence[Item],
    outcome: DatasetImport,
) -> bool:
    """One content with everything that is said of it. Whether the catalog did not know all of it already."""
    item = _merge_duplicates(items, outcome)
    video_id = catalog.id_of_hash(digest)
    before = catalog.video(video_id) if video_id is not None else None
    video_id = catalog.put_video(digest, size=places[0].size)
    title = clean(item.title or "", LONGEST_TITLE)
    if title and (before is None or before.title != title):
        catalog.put_video(digest, title=title)
    for place in dict.fromkeys(places):
        known = catalog.place(place.path)
        if known is None or known != (video_id, place, False):
            catalog.put_path(video_id, place)
    changed = _put_captions(catalog, video_id, item.captions)
    upload = Upload(dataset, item.key, item.split, item.tags, item.title, item.category)
    return put_upload(catalog, video_id, upload, item.duration) or changed or before is None


def _put_captions(catalog: Catalog, video_id: int, captions: Sequence[Caption]) -> bool:
    stored = [replace(c, text=" ".join(clean(c.text, LONGEST_CAPTION).split())) for c in captions]
    stored = [caption for caption in stored if caption.text]
    if catalog.captions(video_id) == stored:
        return False
    catalog.put_captions(video_id, stored, replace=True)
    return True


def _merge_duplicates(items: Sequence[Item], outcome: DatasetImport) -> Item:
    """Several names for one content are one video. If it is in train and test, it is in test alone: nobody
    may learn what is asked for."""
    if len(items) == 1:
        return items[0]
    split = max((item.split for item in items), key=SPLIT_ORDER.index)
    same = [item for item in items if item.split == split]
    keys = [item.key for item in items]
    sentence = f"{some_names(keys)} are one and the same file: taken as one video"
    if len(same) < len(items):
        sentence += f", in {split} only"
    outcome.notes.append(sentence)
    first = same[0]
    return Item(
        key=first.key,
        names=first.names,
        captions=tuple(dict.fromkeys(caption for item in same for caption in item.captions)),
        split=split,
        title=first.title,
        tags=tuple(dict.fromkeys(tag for item in same for tag in item.tags)),
        category=first.category,
        duration=first.duration,
    )


def _store_summary(catalog: Catalog, dataset: Dataset, outcome: DatasetImport) -> None:
    """What was imported, for whoever reads figures that come of it."""
    summary = {
        "dataset": dataset.name,
        "variant": dataset.variant,
        "counts": [asdict(count) for count in dataset.counts],
        "videos": outcome.videos,
        "found": outcome.found,
        "missing": len(outcome.missing),
        "at": now(),
    }
    catalog.set_meta(f"prepared {dataset.name}", json.dumps(summary, ensure_ascii=False))


def prepared(catalog: Catalog, name: str) -> dict[str, object] | None:
    """What the last import of a data set wrote down."""
    stored = catalog.meta(f"prepared {name}")
    return json.loads(stored) if stored else None


def sentences(outcome: DatasetImport, folder: Path) -> Iterable[str]:
    """The outcome for people."""
    found, videos, changed = (f"{n:,}" for n in (outcome.found, outcome.videos, outcome.changed))
    yield f"{found} of {videos} videos are in {safe(folder)}; {changed} are new to the catalog or changed"
    if outcome.missing:
        count, names = f"{len(outcome.missing):,}", some_names(outcome.missing)
        yield f"no file for {count} videos: {names}; run this again when they are there"
    yield from outcome.unreadable[:5]
    if len(outcome.unreadable) > 5:
        yield f"and {len(outcome.unreadable) - 5:,} more that cannot be read"

"""The playhouse as a data set: its truth.json read; and its videos laid out in the formats of MSR-VTT.

Captions, title, user tags and split, never the truth itself: what is in the picture, when and where stays out
of the catalog, so that nothing that is measured can have read it.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

from tagline.benchmarks.datasets.dataset import (
    BadAnnotations,
    Dataset,
    Item,
    PublishedCount,
    clean_split,
    seconds,
    split_counts,
)
from tagline.benchmarks.datasets.documents import AnnotationFile
from tagline.benchmarks.datasets.importer import FilesByName
from tagline.benchmarks.datasets.msrvtt import TEST_LIST, TRAIN_LIST
from tagline.tagging.catalog.records import Caption
from tagline.tagging.printable import safe


def read(where: Path) -> Dataset:
    from tagline.benchmarks.playhouse.render.video import VideoSpec
    from tagline.benchmarks.playhouse.truth.sets import SET_SIZES, TRUTH

    path = where if where.is_file() else where / TRUTH
    if not path.is_file():
        raise BadAnnotations(f"{safe(where)} has no {TRUTH}; `tagline bench playhouse render` writes one")
    document = AnnotationFile(path.name, safe(path), path)
    content = document.json()
    try:
        rows = [
            (VideoSpec(int(row["seed"]), clean_split(row["split"], document.shown_name)), row)
            for row in content["videos"]
        ]
        items = [_item(spec.name, spec.split, row, document.shown_name) for spec, row in rows]
        name = str(content.get("set", ""))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnnotations(f"{document.shown_name} is not a playhouse's truth ({error!r})") from error
    sizes = {split: count for split, (count, _) in SET_SIZES.get(name, {}).items()}
    counts = [
        PublishedCount("videos", sum(sizes.values()) or None, len(items)),
        *split_counts(items, sizes, {split: 20 * count for split, count in sizes.items()}),
        PublishedCount("user tags", None, sum(len(item.tags) for item in items)),
    ]
    return Dataset("playhouse", items, counts, variant=name)


def _item(name: str, split: str, row: dict[str, Any], where: str) -> Item:
    return Item(
        key=name,
        names=(name,),
        captions=tuple(
            Caption(str(c["text"]), seconds(c["start"], where), seconds(c["end"], where), split)
            for c in row["captions"]
        ),
        split=split,
        title=str(row["title"]),
        tags=tuple(map(str, row["user_tags"])),
        duration=seconds(row["duration"], where),
    )


def write_msrvtt_standin(rendered: Path, folder: Path) -> tuple[Path, Path]:
    """From a rendered set in `world`: (folder of annotations, folder of videos), both below `folder`."""
    annotations, videos = folder / "annotations", folder / "videos"
    for made in (annotations, videos):
        made.mkdir(parents=True, exist_ok=True)
    files = FilesByName(rendered, frozenset({".mp4"}))
    test_list: list[tuple[str, ...]] = []
    train_list: list[tuple[str, ...]] = []
    content: dict[str, list[dict[str, object]]] = {"videos": [], "sentences": []}
    for number, item in enumerate(read(rendered).items):
        key, place = f"video{number}", files.of(item)
        if place is None:
            raise BadAnnotations(f"{safe(rendered / item.key)} is not there; render the set again")
        _link_video(Path(place.path), videos / f"{key}.mp4")
        split = "test" if item.split == "test" else "train"
        entry = {"video_id": key, "id": number, "category": number % 20, "split": split}
        content["videos"].append({**entry, "start time": 0.0, "end time": item.duration})
        for caption in item.captions:
            sentence = {"sen_id": len(content["sentences"]), "video_id": key, "caption": caption.text}
            content["sentences"].append(sentence)
        if split == "test":
            test_list.append((f"ret{len(test_list)}", f"msr{number}", key, item.captions[0].text))
        else:
            train_list.append((key,))
    (annotations / "MSRVTT_data.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    _write_csv(annotations / TEST_LIST, ("key", "vid_key", "video_id", "sentence"), test_list)
    _write_csv(annotations / TRAIN_LIST["1k-A"], ("video_id",), train_list)
    return annotations, videos


def _link_video(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where that cannot be."""
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise BadAnnotations(f"{safe(target)} is another video; choose another folder") from None
    except OSError:
        shutil.copyfile(source, target)


def _write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])

"""A stand-in for MSR-VTT: videos of the playhouse under MSR-VTT's names, with annotations in its formats.

For trying the whole way from annotations to tables where the genuine videos are not at hand. As in 1k-A, a
test video asks with one sentence, and what the playhouse calls "val" is learnt from.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

from tagline.benchmarks.datasets import playhouse
from tagline.benchmarks.datasets.importer import FilesByName
from tagline.benchmarks.datasets.msrvtt import TEST_LIST, TRAIN_LIST
from tagline.benchmarks.datasets.shared import BadAnnotations
from tagline.tagging.names import safe


def write_msrvtt_standin(rendered: Path, folder: Path) -> tuple[Path, Path]:
    """From a rendered set in `world`: (folder of annotations, folder of videos), both below `folder`."""
    annotations, videos = folder / "annotations", folder / "videos"
    for made in (annotations, videos):
        made.mkdir(parents=True, exist_ok=True)
    files = FilesByName(rendered, frozenset({".mp4"}))
    test_list: list[tuple[str, ...]] = []
    train_list: list[tuple[str, ...]] = []
    content: dict[str, list[dict[str, object]]] = {"videos": [], "sentences": []}
    for number, item in enumerate(playhouse.read(rendered).items):
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

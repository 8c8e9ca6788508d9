"""Tiny annotations that tests write themselves, and files that are called like videos."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tagline.benchmarks.datasets.dataset import Dataset, Item

SPLIT = {"video0": "train", "video1": "train", "video2": "validate", "video3": "test", "video4": "test"}
JSFUSION = """key,vid_key,video_id,sentence
ret0,msr3,video3,a dog video3 catches
ret1,msr4,video4,its a t shirt
"""


# A list of one's own: two rows about one video, one about another in a folder.
CSV = "\n".join(
    [
        "file,caption,split,start,end,title,tags",
        'a.mp4,"a dog, running",train,0,2.5,My dog,dog|my pet',
        "a.mp4,it jumps,train,2.5,4,,jump",
        "trip/b,a cat,test,,,,",
    ]
)


def videodatainfo(splits: Sequence[str]) -> str:
    keys = [key for key, split in SPLIT.items() if split in splits]
    videos = [
        {"id": n, "video_id": key, "category": n, "split": SPLIT[key], "start time": 2.0, "end time": 14.5}
        for n, key in enumerate(keys)
    ]
    sentences = [
        {"sen_id": 100 * n + m, "video_id": key, "caption": text}
        for n, key in enumerate(keys)
        for m, text in enumerate((f"a dog, {key} catches", "It's a t-shirt", "nobody asks with this"))
    ]
    return json.dumps({"info": {}, "videos": videos, "sentences": sentences})


def small_vtt(folder: Path) -> Path:
    """The original two files, one zipped with a folder in it, and the lists."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "train_val_annotation.zip", "w") as archive:
        archive.writestr("inside/train_val_videodatainfo.json", videodatainfo(("train", "validate")))
        archive.writestr("inside/readme.txt", "nothing")
    (folder / "test_videodatainfo.json").write_text(videodatainfo(("test",)))
    (folder / "MSRVTT_JSFUSION_test.csv").write_text(JSFUSION)
    (folder / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo1\nvideo2\n")
    (folder / "MSRVTT_train.7k.csv").write_text("video_id\nvideo0\n")
    return folder


def filmed(folder: Path, *names: str) -> Path:
    """Files that are called like videos; an import reads their bytes and nothing more."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"video of {name}".encode())
    return folder


def by_key(dataset: Dataset) -> dict[str, Item]:
    return {item.key: item for item in dataset.items}


def texts(item: Item) -> list[str]:
    return [caption.text for caption in item.captions]

"""COCO: boxes of detections in pixels, one image for each looked-at moment of a video. It goes out only.

An image is called `holiday.mp4#t=12.500`: the moment of a video as web players write it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, BinaryIO

from tagline.tagging.formats import merging
from tagline.tagging.formats.sheet import BadFile, ImportedVideo, VideoExport, compact_json, parse_json
from tagline.tagging.printable import safe

MOST_BYTES = merging.MOST_BYTES
LISTS = ("images", "annotations", "categories", "videos")


def write(out: BinaryIO, sheets: Iterable[VideoExport], videos: frozenset[str], old: BinaryIO | None) -> None:
    """All boxes of `sheets`, merged into what is there: images, boxes and categories of others stay."""
    data = _others(_open(old.read()), videos) if old is not None else {name: [] for name in LISTS}
    categories = {entry.get("name"): entry["id"] for entry in data["categories"]}
    following = {name: 1 + max((entry["id"] for entry in data[name]), default=0) for name in LISTS}

    def new(kind: str, /, **values: Any) -> int:
        data[kind].append({"id": following[kind], **values})
        following[kind] += 1
        return following[kind] - 1

    for sheet in sheets:
        moments = defaultdict(list)
        for sighting in sheet.sightings:
            if sighting.box is not None and sheet.width and sheet.height:
                moments[sighting.time].append(sighting)
        if not moments:
            continue
        name = safe(sheet.path)
        weights = {expert: list(named) for expert, named in sheet.weights.items() if named}
        video = new("videos", file_name=name, tagline_video=sheet.video, tagline_weights=weights)
        for time, seen in sorted(moments.items()):
            image = new(
                "images",
                file_name=f"{name}#t={time:.3f}",
                width=sheet.width,
                height=sheet.height,
                video_id=video,
                time=time,
                tagline_video=sheet.video,
            )
            for sighting in seen:
                if sighting.text not in categories:
                    categories[sighting.text] = new("categories", name=sighting.text, supercategory="")
                assert sighting.box is not None
                box = pixels(sighting.box, sheet.width, sheet.height)
                new(
                    "annotations",
                    image_id=image,
                    category_id=categories[sighting.text],
                    bbox=box,
                    area=round(box[2] * box[3], 2),
                    iscrowd=0,
                    score=sighting.score,
                )
    out.write(compact_json({"info": {"description": "written by tagline"}, **data}).encode())


def read(source: BinaryIO) -> list[ImportedVideo]:
    raise BadFile("is COCO, which holds boxes and no tags; import JSON, CSV, Parquet, XMP, NFO or WebVTT")


def pixels(box: tuple[float, float, float, float], width: int, height: int) -> list[float]:
    """[x, y, width, height] in pixels of a box in shares of the picture, cut off at its edges."""
    x, y, w, h = box
    left, top = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
    right, bottom = min(max(x + w, left), 1.0), min(max(y + h, top), 1.0)
    return [
        round(left * width, 2),
        round(top * height, 2),
        round((right - left) * width, 2),
        round((bottom - top) * height, 2),
    ]


def _others(data: dict[str, Any], videos: frozenset[str]) -> dict[str, Any]:
    """What is there, less what we wrote about these videos before. Categories stay: others may use them."""
    gone = {image["id"] for image in data["images"] if image.get("tagline_video") in videos}
    return {
        **data,
        "images": [image for image in data["images"] if image["id"] not in gone],
        "annotations": [box for box in data["annotations"] if box.get("image_id") not in gone],
        "videos": [video for video in data["videos"] if video.get("tagline_video") not in videos],
    }


def _open(data: bytes) -> dict[str, Any]:
    content = parse_json(data)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise BadFile("is no COCO file")
    for name in LISTS:
        entries = content.setdefault(name, [])
        if not isinstance(entries, list) or not all(map(_numbered, entries)):
            raise BadFile(f"is a COCO file whose {name} cannot be read")
    return content


def _numbered(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("id"), int)

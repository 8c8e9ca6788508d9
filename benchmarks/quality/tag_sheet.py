"""A sheet of tags with a frame of each, to be judged by eye; and the verdicts that somebody gave.

`write_sheet` leaves pictures of twelve frames each, without scores, and verdicts.tsv, whose last column is
filled in: y right, n wrong, ? cannot be told. `read_verdicts` counts them.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagline.experts.tags import Tag

ROWS, COLUMNS, WIDTH, HEIGHT, CAPTION = 3, 4, 320, 240, 36
HEADER = ("number", "file", "start", "end", "modality", "source", "tag", "score", "right")
VERDICTS = "verdicts.tsv"


@dataclass(frozen=True, slots=True)
class SheetTag:
    """A tag of a file, to be judged."""

    path: str
    tag: Tag


def choose(tags: Sequence[SheetTag], most: int, seed: int = 0) -> list[SheetTag]:
    """At most so many, drawn at random, in the order of the files."""
    drawn = random.Random(seed).sample(range(len(tags)), min(most, len(tags)))
    return [tags[number] for number in sorted(drawn)]


def write_sheet(tags: Sequence[SheetTag], folder: Path) -> None:
    """Pictures sheet-01.png …, and the table to fill in."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / VERDICTS).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n")
        rows.writerow(HEADER)
        for number, one in enumerate(tags, 1):
            tag = one.tag
            times = (f"{tag.start:.2f}", f"{tag.end:.2f}")
            name = Path(one.path).name
            score = f"{tag.score:.3f}"
            rows.writerow((number, name, *times, tag.modality, tag.source, tag.text, score, ""))
    size = ROWS * COLUMNS
    for page in range(0, len(tags), size):
        _draw(tags[page : page + size], page + 1, folder / f"sheet-{page // size + 1:02}.png")


def read_verdicts(file: Path) -> dict[str, Any]:
    """How many tags were right, of those that could be told, in all and by modality."""
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened, delimiter="\t") if row["right"] in ("y", "n")]
    by_modality: dict[str, list[bool]] = {}
    for row in rows:
        by_modality.setdefault(row["modality"], []).append(row["right"] == "y")
    right = sum(row["right"] == "y" for row in rows)
    return {
        "judged": len(rows),
        "right": right / len(rows) if rows else None,
        "by_modality": {
            name: {"judged": len(found), "right": sum(found) / len(found)}
            for name, found in sorted(by_modality.items())
        },
        "rows": [{key: row[key] for key in ("file", "modality", "tag", "right")} for row in rows],
    }


def _draw(tags: Sequence[SheetTag], first: int, file: Path) -> None:
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (COLUMNS * WIDTH, ROWS * (HEIGHT + CAPTION)), "white")
    pen = ImageDraw.Draw(page)
    for place, one in enumerate(tags):
        left, top = place % COLUMNS * WIDTH, place // COLUMNS * (HEIGHT + CAPTION)
        frame = _frame(Path(one.path), (one.tag.start + one.tag.end) / 2)
        if frame is not None:
            frame.thumbnail((WIDTH, HEIGHT))
            page.paste(frame, (left, top + CAPTION))
        words = f"{first + place}  {one.tag.modality}: {one.tag.text}"
        pen.text((left + 4, top + 4), words[:52], "black")
        pen.text((left + 4, top + 18), Path(one.path).name[:46], "gray")
    page.save(file)


def _frame(path: Path, time: float) -> Any:
    """The picture nearest to a time, as a PIL image; None where there is none."""
    from PIL import Image

    from tagline.experts.decode.decoder import Decoder
    from tagline.experts.footage import PerSecond, Unreadable

    sampling = PerSecond(1.0, HEIGHT)
    try:
        with Decoder(jobs=1) as decoder:
            footage = decoder.read(path, (sampling,))
            try:
                view = footage.view(sampling)
                if not len(view.times):
                    return None
                nearest = int(abs(view.times - time).argmin())
                return Image.fromarray(view.frames[nearest].copy())
            finally:
                footage.close()
    except Unreadable:
        return None

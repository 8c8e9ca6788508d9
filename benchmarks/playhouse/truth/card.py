"""The datasheet of a set: counts, rates, the long tail of its tags, examples, and a sheet to look at."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tagline.benchmarks.playhouse.draw.appearance import PERSONS
from tagline.benchmarks.playhouse.draw.inventory import OBJECTS, SCENES
from tagline.benchmarks.playhouse.draw.motions import MOTIONS
from tagline.benchmarks.playhouse.render import renderer
from tagline.benchmarks.playhouse.render.video import VideoSpec
from tagline.benchmarks.playhouse.truth import user_tags
from tagline.benchmarks.playhouse.truth.truth import Truth, truth
from tagline.benchmarks.playhouse.world import characters, voices
from tagline.benchmarks.playhouse.world.scenario import SCREEN_TEXTS, scenario
from tagline.benchmarks.playhouse.world.sentences import TOPICS

ZIPF_RANKS = (10, 1000)  # where the slope is fitted: past the plateau of the head, before single uses


def world() -> dict[str, Any]:
    """What there is in the playhouse, whatever the set."""
    return {
        "scenes": len(SCENES),
        "places": len(SCENES) * 20,
        "persons": len(PERSONS),
        "characters": sum(len(characters.characters(kind)) for kind in PERSONS),
        "objects": len(OBJECTS),
        "motions": len(MOTIONS),
        "topics": len(TOPICS),
        "spoken sentences": len(voices.recordings()),
        "voices": len({line.voice for line in voices.recordings()}),
        "screen texts": len(SCREEN_TEXTS),
        "wrong user tags": user_tags.WRONG,
        "misspelt user tags": user_tags.MISSPELT,
        "synonyms among plain tags": user_tags.SYNONYM,
    }


def counts(truths: Sequence[Truth]) -> dict[str, Any]:
    """Plain figures of a set."""
    worlds = [scenario(known.seed) for known in truths]
    number = max(len(truths), 1)
    return {
        "videos": len(truths),
        **{split: sum(known.split == split for known in truths) for split in ("train", "val", "test")},
        "hours": round(sum(known.duration for known in truths) / 3600, 2),
        "mean seconds": round(sum(known.duration for known in truths) / number, 1),
        "without sound": round(sum(not one.sound for one in worlds) / number, 3),
        "with speech": round(sum(bool(one.speech) for one in worlds) / number, 3),
        "with text on screen": round(sum(bool(one.screen_texts) for one in worlds) / number, 3),
        "portrait": round(sum(one.height > one.width for one in worlds) / number, 3),
        "with cuts": round(sum(len(one.shots) > 1 for one in worlds) / number, 3),
        "captions": sum(len(known.captions) for known in truths),
        "different captions": len({caption.text for known in truths for caption in known.captions}),
    }


def tag_counts(tag_lists: Iterable[Iterable[str]]) -> Counter[str]:
    return Counter(tag for tags in tag_lists for tag in tags)


def slope(uses: Counter[str], ranks: tuple[int, int] = ZIPF_RANKS) -> tuple[float, float]:
    """Of log uses over log rank between the ranks: the slope of the straight line, and its R squared.

    Not a number for a set so small that all of these tags are used equally often.
    """
    frequency = np.array(sorted(uses.values(), reverse=True), float)[ranks[0] - 1 : ranks[1]]
    if len(frequency) < 2 or frequency[0] == frequency[-1]:
        return math.nan, math.nan
    rank = np.arange(ranks[0], ranks[0] + len(frequency), dtype=float)
    x, y = np.log(rank), np.log(frequency)
    line = np.polyfit(x, y, 1)
    return float(line[0]), float(np.corrcoef(x, y)[0, 1] ** 2)


def tags(truths: Sequence[Truth]) -> dict[str, Any]:
    """The long tail in figures; a set without training videos is described by its test videos."""
    of = {split: tag_counts(t.user_tags for t in truths if t.split == split) for split in ("train", "test")}
    train = of["train"] or of["test"]
    lengths = [len(known.user_tags) for known in truths]
    shared = set(train) & set(of["test"])
    both = sorted((train[tag] + of["test"][tag] for tag in shared), reverse=True)
    common = int(np.searchsorted(np.cumsum(both), 0.9 * sum(both))) + 1 if both else 0
    falling, fit = slope(train) if len(train) > 500 else (float("nan"), float("nan"))
    return {
        "uses in train": train.total(),
        "distinct in train": len(train),
        "used once in train": sum(count == 1 for count in train.values()),
        "phrases among them": sum(" " in tag for tag in train),
        "mean per video": round(float(np.mean(lengths)), 2),
        "most in a video": max(lengths),
        "distinct in test": len(of["test"]),
        "in train and test": len(shared),
        "common (90 % of uses)": common,
        "slope": round(falling, 3),
        "r squared": round(fit, 3),
    }


def sheet(specs: Sequence[VideoSpec], path: Path, width: int = 1800, height: int = 210) -> Path:
    """A contact sheet: a good moment of each video with its title and some tags, in rows of equal width."""
    gap, foot = 12, 42
    rows: list[list[tuple[VideoSpec, Image.Image]]] = [[]]
    for spec in specs:
        picture = _moment(spec)
        shown = round(picture.width * height / picture.height)
        if rows[-1] and gap + sum(gap + image.width for _, image in rows[-1]) + shown + gap > width:
            rows.append([])
        rows[-1].append((spec, picture.resize((shown, height), Image.Resampling.LANCZOS)))
    page = Image.new("RGB", (width, len(rows) * (height + foot + gap) + gap), (250, 247, 240))
    draw = ImageDraw.Draw(page)
    bold, small = ImageFont.load_default(size=13), ImageFont.load_default(size=11)
    for number, row in enumerate(rows):
        y = gap + number * (height + foot + gap)
        spare = width - gap - sum(gap + image.width for _, image in row)
        between = gap + (spare / (len(row) - 1) if len(row) > 1 and number < len(rows) - 1 else 0)
        x = float(gap)
        for spec, picture in row:
            known = truth(spec.seed)
            page.paste(picture, (round(x), y))
            room = min(picture.width + between - gap, width - gap - x)
            draw.text(
                (x, y + height + 5), _short(draw, known.title, bold, room), font=bold, fill=(40, 36, 44)
            )
            listed = "  ".join("#" + tag.replace(" ", "_") for tag in known.user_tags)
            draw.text((x, y + height + 23), _short(draw, listed, small, room), font=small, fill=(120, 92, 70))
            x += picture.width + between
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)
    return path


def _moment(spec: VideoSpec) -> Image.Image:
    """A frame of the shot with most people in it."""
    world = scenario(spec.seed)
    shot = max(world.shots, key=lambda shot: len(shot.actors) + 0.3 * len(shot.props))
    frame = round((shot.start * 0.55 + shot.end * 0.45) * world.fps)
    return renderer.picture(world, frame / world.fps, frame)


def _short(draw: ImageDraw.ImageDraw, text: str, font: Any, width: float) -> str:
    text = text.encode("latin-1", "replace").decode("latin-1")
    while text and draw.textlength(text, font=font) > width:
        text = text[:-2]
    return text


def plot(uses: Counter[str], path: Path) -> Path:
    """Uses over rank, both axes logarithmic, with the fitted line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    frequency = np.array(sorted(uses.values(), reverse=True), float)
    falling, fit = slope(uses)
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.loglog(np.arange(1, len(frequency) + 1), frequency, ".", color="#3e74ce", markersize=3)
    low, high = ZIPF_RANKS[0], min(ZIPF_RANKS[1], len(frequency))
    ranks = np.geomspace(low, high, 50)
    middle = np.exp(
        np.mean(np.log(frequency[low - 1 : high])) - falling * np.mean(np.log(np.arange(low, high + 1)))
    )
    axes.loglog(ranks, middle * ranks**falling, color="#d83e3a", label=f"slope {falling:.2f}, R² {fit:.2f}")
    axes.set(xlabel="rank of the tag", ylabel="uses", title="User tags of the playhouse")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)
    return path


def examples(truths: Sequence[Truth], count: int = 3) -> list[dict[str, Any]]:
    return [
        {
            "video": known.seed,
            "title": known.title,
            "user tags": list(known.user_tags),
            "captions": [caption.text for caption in known.captions[:6]],
        }
        for known in truths[:count]
    ]

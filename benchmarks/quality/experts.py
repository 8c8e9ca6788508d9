"""The experts with the playhouse's weights, on test videos: what they tag against what is true.

Test videos are rendered to mp4 and go through the real panel. Two tags of a video agree if their texts
do; when they were said is compared too, in the details. What counts:

- objects, persons: what is plainly visible for two seconds must be tagged; what shows more briefly, is
  mostly hidden or only a few pixels large may be (see playhouse/sighted.py). F1 over all videos.
- scenes: for each shot, whether the scene tag that covers most of it is its scene.
- motions: for each video in which somebody moves, whether the surest motion tag is one of its motions.
- speech: share of the spoken topics that are among the words heard.
- screen: share of the texts shown whose words were all read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

VIDEOS = 100
Span = tuple[float, float]


@dataclass
class TagCounts:
    """Right, wrong and missed tags."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    overlaps: list[float] = field(default_factory=list)

    def add(self, predicted: Iterable[str], must: Iterable[str], may: Iterable[str] = ()) -> None:
        predicted, must = set(predicted), set(must)
        self.right += len(predicted & must)
        self.wrong += len(predicted - must - set(may))
        self.missed += len(must - predicted)

    @property
    def scores(self) -> dict[str, float]:
        p = self.right / max(self.right + self.wrong, 1)
        r = self.right / max(self.right + self.missed, 1)
        return {"precision": round(p, 3), "recall": round(r, 3), "f1": round(2 * p * r / max(p + r, 1e-9), 3)}


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """Options: seed (another hundred videos), videos, only (experts, by comma)."""
    from tagline.benchmarks.playhouse.world.scenario import SPLIT_BASES

    seed, count = int(options.get("seed", 0)), int(options.get("videos", VIDEOS))
    if not 0 <= seed < 400 or not 1 <= count <= 1000:
        raise ValueError("seed must be from 0 to 399, and videos from 1 to 1000")
    names = options.get("only", "object,person,scene,motion,speech,screen").split(",")
    # Past the seeds of every named set, so that whatever was chosen on those was not chosen here.
    first = SPLIT_BASES["test"] + 600_000 + seed * 1000
    seeds = range(first, first + count)
    absent = _absent(names)
    here = [name for name in names if name not in absent]
    with tempfile.TemporaryDirectory() as folder:
        reports, seconds = _reports_of(seeds, Path(folder), here)
    values, details = score(reports)
    # An expert without weights finds nothing, which is what its figure says.
    values |= {KEYS[name]: 0.0 for name in absent}
    details |= absent
    return {
        "values": values,
        "configuration": {"collection": "playhouse", "weights": _weights(), "videos": count},
        "seeds": [seeds[0], seeds[-1]],
        "details": {**details, "seconds": {name: round(spent, 1) for name, spent in seconds.items()}},
    }


def _reports_of(
    seeds: Sequence[int], folder: Path, names: Sequence[str]
) -> tuple[dict[int, dict[str, Any]], dict[str, float]]:
    """The reports of each expert on each video, and how long each took."""
    import os
    import time
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial

    from tagline.benchmarks.playhouse.render.video import render_video, video_spec
    from tagline.experts.base import build_expert
    from tagline.experts.footage import Work
    from tagline.experts.panel import Failed, Panel

    begun = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        paths = list(pool.map(partial(render_video, folder=folder), map(video_spec, seeds)))
    rendering = time.monotonic() - begun
    panel = Panel([build_expert(name, {"collection": "playhouse"}) for name in names], device="cpu")
    reports: dict[int, dict[str, Any]] = {}
    for number, seen in zip(seeds, panel.run(Work(path, tuple(names)) for path in paths), strict=True):
        failed = [report.reason for report in seen.reports.values() if isinstance(report, Failed)]
        if seen.unreadable or failed or panel.broken:
            raise RuntimeError(f"{seen.path.name}: {seen.unreadable or failed or panel.broken}")
        reports[number] = dict(seen.reports)
    return reports, {"rendering": rendering, "reading": panel.timing.waiting, **panel.timing.experts}


def _absent(names: Sequence[str]) -> dict[str, str]:
    """Experts that cannot run, and why."""
    from tagline.experts.base import build_expert

    said = {name: build_expert(name, {"collection": "playhouse"}).missing() for name in names}
    return {name: sentence for name, sentence in said.items() if sentence}


def score(reports: Mapping[int, Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, Any]]:
    """The figures and their details, from each seed's reports by expert."""
    values: dict[str, float] = {}
    details: dict[str, Any] = {}
    for name in next(iter(reports.values())):
        found, more = SCORES[name]({seed: report[name] for seed, report in reports.items()})
        values |= found
        details[name] = more
    return values, details


def _detected(reports: Mapping[int, Any], name: str) -> tuple[dict[str, float], dict[str, Any]]:
    from tagline.benchmarks.playhouse.truth.events import events
    from tagline.benchmarks.playhouse.truth.truth import visible_things

    whole, by_kind = TagCounts(), {}  # type: ignore[var-annotated]
    for seed, report in reports.items():
        plain = visible_things(seed, name == "person")
        predicted = {tag.text for tag in report.tags}
        whole.add(predicted, plain.must, plain.may)
        for kind in predicted | plain.must:
            count = by_kind.setdefault(kind, TagCounts())
            count.add(predicted & {kind}, plain.must & {kind}, plain.may & {kind})
        for kind in predicted & plain.must:
            true = [(e.start, e.end) for e in events(seed) if e.kind == name and e.text == kind]
            whole.overlaps.append(overlap([(t.start, t.end) for t in report.tags if t.text == kind], true))
    kinds = {kind: by_kind[kind].scores["f1"] for kind in sorted(by_kind)}
    return {f"{name}_f1": whole.scores["f1"]}, {
        **whole.scores,
        "span_iou": _mean(whole.overlaps),
        "f1": kinds,
    }


def _scenes(reports: Mapping[int, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    from tagline.benchmarks.playhouse.world.scenario import scenario

    right: list[bool] = []
    first: list[bool] = []
    whole = TagCounts()
    for seed, report in reports.items():
        shots = scenario(seed).shots
        for shot in shots:
            covers: dict[str, float] = {}
            for tag in report.tags:
                shared = min(tag.end, shot.end) - max(tag.start, shot.start)
                covers[tag.text] = covers.get(tag.text, 0.0) + max(shared, 0.0)
            best = max(covers, key=lambda text: covers[text], default=None)
            right.append(best == shot.scene and covers[shot.scene] > 0)
        true = {shot.scene for shot in shots}
        whole.add({tag.text for tag in report.tags}, true)
        surest = max(report.tags, key=lambda tag: tag.score, default=None)
        first.append(surest is not None and surest.text in true)
        for scene in true & {tag.text for tag in report.tags}:
            predicted = [(tag.start, tag.end) for tag in report.tags if tag.text == scene]
            spans = [(shot.start, shot.end) for shot in shots if shot.scene == scene]
            whole.overlaps.append(overlap(predicted, spans))
    more = {**whole.scores, "surest_of_video": _mean(first), "span_iou": _mean(whole.overlaps)}
    return {"scene_accuracy": _mean(right)}, {"shots": len(right), **more}


def _motions(reports: Mapping[int, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    from tagline.benchmarks.playhouse.truth.events import events

    right: list[bool] = []
    confused: dict[str, int] = {}
    whole = TagCounts()
    for seed, report in reports.items():
        true = {event.text for event in events(seed) if event.kind == "motion"}
        whole.add({tag.text for tag in report.tags}, true)
        if not true:
            continue
        surest = max(report.tags, key=lambda tag: tag.score, default=None)
        right.append(surest is not None and surest.text in true)
        if not right[-1]:
            predicted = surest.text if surest else "nothing"
            key = f"{' + '.join(sorted(true))} taken for {predicted}"
            confused[key] = confused.get(key, 0) + 1
    more = {"videos": len(right), **whole.scores, "mistakes": confused}
    return {"motion_accuracy": _mean(right)}, more


def _spoken(reports: Mapping[int, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    from tagline.benchmarks.playhouse.truth.events import events

    heard: list[bool] = []
    tagged: list[bool] = []
    for seed, report in reports.items():
        words = {word.text.lower() for word in report.words}
        tags = {word for tag in report.tags for word in tag.text.lower().split()}
        for topic in {event.text for event in events(seed) if event.kind == "topic"}:
            heard.append(topic in words)
            tagged.append(topic in tags)
    return {"speech_recall": _mean(heard)}, {"topics": len(heard), "recall_of_tags": _mean(tagged)}


def _shown(reports: Mapping[int, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    from tagline.benchmarks.playhouse.world.scenario import scenario

    found: list[bool] = []
    misread: list[str] = []
    for seed, report in reports.items():
        read = " ".join("".join(filter(str.isalnum, tag.text.casefold())) for tag in report.tags)
        for shown in scenario(seed).screen_texts:
            found.append(all(word.casefold() in read for word in shown.text.split()))
            if not found[-1]:
                misread.append(f"{shown.text}: {', '.join(tag.text for tag in report.tags) or 'nothing'}")
    return {"screen_recall": _mean(found)}, {"texts": len(found), "missed": misread}


KEYS = {
    "object": "object_f1",
    "person": "person_f1",
    "scene": "scene_accuracy",
    "motion": "motion_accuracy",
    "speech": "speech_recall",
    "screen": "screen_recall",
}
SCORES: dict[str, Callable[[Mapping[int, Any]], tuple[dict[str, float], dict[str, Any]]]] = {
    "object": lambda reports: _detected(reports, "object"),
    "person": lambda reports: _detected(reports, "person"),
    "scene": _scenes,
    "motion": _motions,
    "speech": _spoken,
    "screen": _shown,
}


def overlap(a: Sequence[Span], b: Sequence[Span]) -> float:
    """Intersection over union of two sets of spans, each taken as a whole."""
    edges = sorted({edge for span in (*a, *b) for edge in span})
    both = either = 0.0
    for start, end in pairwise(edges):
        in_a = any(s <= start and end <= e for s, e in a)
        in_b = any(s <= start and end <= e for s, e in b)
        both += (end - start) * (in_a and in_b)
        either += (end - start) * (in_a or in_b)
    return both / either if either else 0.0


def _weights() -> dict[str, str]:
    from tagline.experts.weights import registry

    return {
        entry.name: registry.find(entry.name).sha256[:12]
        for entry in registry.entries().values()
        if entry.collection == registry.PLAYHOUSE
    }


def _mean(values: Sequence[float | bool]) -> float:
    return round(sum(values) / len(values), 3) if values else float("nan")

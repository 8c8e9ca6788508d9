"""`one-tagger`: fused tags against every single source, and stated precision against measured.

On a library that was prepared and tagged like any other:

    tagline bench playhouse render bench DIR
    tagline bench prepare playhouse --videos DIR
    tagline tag DIR --weights playhouse

Everything is fitted on the split "val" (each source's own threshold, too); neighbours come from "train"; the
user tags of "test" are the truth and are read here for the first time. Where only part of a set was tagged,
videos of "val" and "test" that no expert has watched do not count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagline.tagging.fusion.weighing import TagCandidate
    from tagline.tagging.neighbours.snapshot import LibrarySnapshot

TARGETS = (0.5, 0.6, 0.7, 0.8, 0.9)
Scored = Sequence[tuple[Mapping[str, float], Collection[str]]]  # (score by form, true forms) of each video


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """library=DIR videos=N (test videos, all if not given)."""
    from tagline.benchmarks.fixtures.playhouse_set import home
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.fusion.fuse import TagFusion
    from tagline.tagging.fusion.post_process import open_view_encoder
    from tagline.tagging.ml.calibration import best_threshold
    from tagline.tagging.neighbours.expert import NeighboursExpert, update_catalog
    from tagline.tagging.neighbours.snapshot import read_snapshot
    from tagline.tagging.vocabulary import normal

    folder = Path(options["library"]).expanduser() if "library" in options else home({})
    with Catalog.open(folder, create=False) as catalog:
        library = with_frames(read_snapshot(catalog))
        viewer = open_view_encoder(library, "playhouse")
        update_catalog(catalog, library, viewer, NeighboursExpert())
        merger = TagFusion(catalog, library, viewer)
        fitted = merger.learn()
        sides: dict[str, list[tuple[dict[str, TagCandidate], set[str]]]] = {"val": [], "test": []}
        for video_id, one, split in zip(library.ids, library.examples, library.splits, strict=True):
            if split in sides and one.tags:
                sides[split].append((merger.candidates(video_id), {normal(tag) for tag in one.tags}))
    test = sides["test"][: int(options.get("videos", len(sides["test"])))]
    if not sides["val"] or not test:
        raise ValueError(f"{folder} has no tagged videos of the splits val and test; see one_tagger.py")
    values: dict[str, Any] = {"test_videos": len(test), "judged_tags": fitted.weights.labelled}
    sources = sorted({name for own, _ in (*sides["val"], *test) for c in own.values() for name in c.scores})
    for source in sources:
        least = best_threshold(by_source(sides["val"], source))
        values[f"{source}_f1"] = round(scores(by_source(test, source), least)["f1"], 4)
    fused = [({form: fitted.weights(c) for form, c in own.items()}, truth) for own, truth in test]
    found = scores(fused, fitted.threshold)
    values["merged_f1"] = round(found["f1"], 4)
    values["best_single_f1"] = max(values[f"{source}_f1"] for source in sources)
    values["best_single"] = max(sources, key=lambda source: float(values[f"{source}_f1"]))
    values["beats_every_single"] = values["merged_f1"] > values["best_single_f1"]
    values |= precision("", fused, fitted.threshold)
    for target in TARGETS:
        values |= precision(f"_at_{target:g}", fused, fitted.threshold_for(target))
    return {
        "values": values,
        "configuration": {"sources": sources, "neighbours": viewer.identity},
        "seeds": [],
        "details": {
            "bias": fitted.weights.bias,
            "said": dict(fitted.weights.source_bias),
            "score": dict(fitted.weights.score_weight),
            "habit": fitted.weights.history_weight,
            "common": fitted.weights.frequency_weight,
            "merged": found,
        },
    }


def with_frames(library: LibrarySnapshot) -> LibrarySnapshot:
    """Without the videos of "val" and "test" that have no frame vectors."""
    chosen = [
        i
        for i, (one, split) in enumerate(zip(library.examples, library.splits, strict=True))
        if split not in ("val", "test") or one.frames is not None
    ]
    return replace(
        library,
        ids=[library.ids[i] for i in chosen],
        examples=[library.examples[i] for i in chosen],
        tagged_videos=[library.tagged_videos[i] for i in chosen],
        splits=[library.splits[i] for i in chosen],
    )


def by_source(rows: Sequence[tuple[Mapping[str, TagCandidate], set[str]]], source: str) -> Scored:
    """What one source alone says, by its own scores."""
    return [
        ({form: c.scores[source].score for form, c in own.items() if source in c.scores}, truth)
        for own, truth in rows
    ]


def scores(rows: Scored, least: float) -> dict[str, float]:
    """Example-based precision, recall and F1 of what is said from `least` on."""
    from tagline.tagging.ml.metrics import example_based

    truth = [set(own) for _, own in rows]
    predicted = [{form for form, score in own.items() if score >= least} for own, _ in rows]
    every = set().union(*truth, *predicted)
    found = example_based(truth, predicted, every)
    return {"precision": found.precision, "recall": found.recall, "f1": found.f1}


def precision(name: str, rows: Scored, least: float) -> dict[str, float]:
    """Stated: the mean score of the tags said; measured: the share that is right; and their distance."""
    predicted = [
        (score, form in truth) for own, truth in rows for form, score in own.items() if score >= least
    ]
    if not predicted:
        return {f"tags{name}": 0.0}
    stated, measured = mean(score for score, _ in predicted), mean(right for _, right in predicted)
    return {
        f"stated_precision{name}": round(stated, 4),
        f"measured_precision{name}": round(measured, 4),
        f"gap_points{name}": round(100 * abs(stated - measured), 2),
        f"tags{name}": round(len(predicted) / len(rows), 2),
    }

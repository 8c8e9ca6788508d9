"""The gain from a memory that grows without training: tags before and after people tagged more videos.

Yesterday half of the training videos were tagged, and a tagger learned from them. Today the other half is
tagged as well; the memory hears of it, the tagger's weights stay as they are. Novel are the tags that nobody
had used yesterday. Row by row: the consensus of similar videos alone, and the retrieval-augmented generator.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from tagline.benchmarks.quality import taggers
from tagline.benchmarks.quality.taggers import RETRIEVAL_AUGMENTED, Figures, More, TaggerData
from tagline.benchmarks.registry import cache

if TYPE_CHECKING:
    from tagline.tagging.generator.config import TaggerRunConfig
    from tagline.tagging.generator.data import Said
    from tagline.tagging.neighbours.retriever import MemoryRetriever
    from tagline.tagging.neighbours.views import ViewEncoder

CODE_USED = (
    "tagline.tagging.generator",
    "tagline.benchmarks.baselines",
    "tagline.tagging.neighbours",
    "tagline.tagging.fusion",
    "tagline.tagging.ranker",
    "tagline.tagging.ml",
)
NEIGHBOURS, MOST = 8, 30  # of the consensus alone


def growth_table(
    rows: TaggerData, viewer: ViewEncoder, config: TaggerRunConfig, seeds: Sequence[int], gain: More
) -> Any:
    """(means over seeds by "ROW_COLUMN", all runs)"""
    runs = [
        cached_run(rows, viewer, taggers.varied(config, RETRIEVAL_AUGMENTED["op-tsg-rag"], seed), gain)
        for seed in seeds
    ]
    return {key: round(mean(one[key] for one in runs), 4) for key in runs[0]}, runs


def cached_run(rows: TaggerData, viewer: ViewEncoder, config: TaggerRunConfig, gain: More) -> Figures:
    """`run`, unless the same was done before."""
    from tagline.tagging.ml.config import as_dict

    about = {"config": as_dict(config), "data": rows.digest(), "models": viewer.identity}
    return cache.cached_figures(
        "grown-memory",
        {**about, "code": cache.code_fingerprint(*CODE_USED)},
        lambda: run(rows, viewer, config, gain),
    )


def run(rows: TaggerData, viewer: ViewEncoder, config: TaggerRunConfig, gain: More) -> Figures:
    """All four rows of one seed."""
    from tagline.tagging.neighbours.retriever import MemoryRetriever

    yesterday = replace(rows, train=rows.train[: len(rows.train) // 2])
    days = {"yesterday": yesterday.train, "grown": rows.train}
    c = config.model
    retrievers = {
        day: MemoryRetriever.from_examples(train, viewer, neighbours=c.neighbours, most=c.retrieved)
        for day, train in days.items()
    }
    before, today = (library_of(train, viewer) for train in days.values())
    predicted = {
        "yesterday_neighbours": consensus(yesterday, before),
        "grown_neighbours": consensus(yesterday, before, today),
        **generated(yesterday, retrievers, config),
    }
    known_tags = {tag for one in yesterday.train for tag in one.tags}
    found: Figures = {}
    for name, own in predicted.items():
        columns = taggers.columns(rows.train, rows.test, own)
        columns |= gain([[tag for tag, _ in tags] for tags in own], known_tags)
        found |= {f"{name}_{key}": value for key, value in columns.items()}
    return found


def library_of(train: Sequence[Any], viewer: ViewEncoder) -> MemoryRetriever:
    """Who knows these videos, and asks as widely as the consensus alone does."""
    from tagline.tagging.neighbours.retriever import MemoryRetriever

    return MemoryRetriever.from_examples(train, viewer, neighbours=NEIGHBOURS, most=MOST)


def consensus(rows: TaggerData, library: MemoryRetriever, grown: MemoryRetriever | None = None) -> list[Said]:
    """What videos like the test videos agree on, from the score on that suits the validation videos.

    grown: knows more videos than `library`, by which the score was found.
    """
    from tagline.tagging.ranker.train import fit_calibration_and_threshold

    calibration, least = fit_calibration_and_threshold(library.retrieve(rows.validation), rows.validation)
    found = (grown or library).retrieve(rows.test)
    return [[(tag, s) for tag, score in own if (s := calibration(score)) >= least] for own in found]


def generated(
    rows: TaggerData, libraries: dict[str, MemoryRetriever], config: TaggerRunConfig
) -> dict[str, list[Said]]:
    """What a generator that learned yesterday writes, told by yesterday's memory and by today's."""
    from tagline.tagging.generator.predict import predict_all
    from tagline.tagging.generator.train import train
    from tagline.tagging.ml.data import Examples
    from tagline.tagging.ml.trainer import to_stderr

    examples = Examples(list(rows.train), list(rows.validation), [], rows.frames_by)
    with tempfile.TemporaryDirectory() as folder:
        trained = train(config, examples, Path(folder) / "run", report=(), say=to_stderr).trained
    return {
        f"{day}_rag": predict_all(trained.model, trained.collator(library), rows.test)
        for day, library in libraries.items()
    }

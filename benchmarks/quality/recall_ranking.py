"""The two-stage system on any tagged rows: recall by channel, three ways to draw negatives, three systems.

As the paper's tables: 1, the recall of each channel and of their union; 2, the ranker with 10 negatives,
with 400, and with 400 of which some are two hops away; 3, the classifier alone, all tags ranked, and recall
with ranking, by tag accuracy (of the tags said, the share that is annotated) and tags a video. What is said
of a video is decided by a threshold that was fitted on the validation videos, never on test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from statistics import mean
from typing import TYPE_CHECKING, Any

from tagline.benchmarks.quality import taggers
from tagline.benchmarks.quality.taggers import Figures, TaggerData
from tagline.benchmarks.registry import cache

if TYPE_CHECKING:
    from tagline.tagging.generator.data import Said
    from tagline.tagging.ml.data import Example
    from tagline.tagging.neighbours.memory import RetrievalSystem
    from tagline.tagging.neighbours.views import ViewEncoder
    from tagline.tagging.ranker.config import RankerConfig
    from tagline.tagging.ranker.ranking import TrainedRanker

CANDIDATES = 50  # tags of each channel
NEIGHBOURS = 15  # videos of each channel
TOP = 5  # tags that Table 2 looks at
EPOCHS = 6  # of fifteen, the fifth was the best on MSR-VTT's validation videos

NEGATIVES: dict[str, dict[str, Any]] = {
    "negatives_10": {"negatives": 10, "hard": 0.0},
    "negatives_400": {"negatives": 400, "hard": 0.0},
    "negatives_400_two_hop": {"negatives": 400, "hard": 0.25},
}
OURS = "negatives_400_two_hop"


def config_of(options: Mapping[str, str], seed: int, **changes: Any) -> RankerConfig:
    """ranker.KEY=VALUE, such as ranker.epochs=5."""
    from tagline.tagging.ml.config import with_settings
    from tagline.tagging.ranker.config import RankerConfig

    config = RankerConfig(seed=seed, epochs=EPOCHS, **changes)
    found: RankerConfig = with_settings(
        config, [f"{key[7:]}={value}" for key, value in options.items() if key.startswith("ranker.")]
    )
    return found


def cached_run(rows: TaggerData, viewer: ViewEncoder, config: RankerConfig) -> Figures:
    """`run`, unless the same was done before."""
    code = cache.code_fingerprint(
        "tagline.tagging.ranker", "tagline.tagging.neighbours", "tagline.tagging.fusion", "tagline.tagging.ml"
    )
    sounds = [0 if one.sound is None else len(one.sound) for one in (*rows.train, *rows.test)]
    about = {"config": asdict(config), "data": rows.digest(), "sounds": sounds, "models": viewer.identity}
    return cache.cached_figures("recall-ranking", {**about, "code": code}, lambda: run(rows, viewer, config))


def run(rows: TaggerData, viewer: ViewEncoder, config: RankerConfig) -> Figures:
    """All three tables on the test videos, for one seed."""
    from tagline.tagging.ml.trainer import to_stderr
    from tagline.tagging.ranker.train import train

    def trained(**changes: Any) -> TrainedRanker:
        return train(replace(config, **changes), rows.train, rows.validation, say=to_stderr)

    classifier = trained(objective="classify")
    channels = Channels(rows.train, viewer, classifier)
    found = recall(channels(rows.test), rows)
    validation, test = (all_candidates(channels(own)) for own in (rows.validation, rows.test))
    found["candidates"] = mean(map(len, test))
    found |= system_figures(
        "classifier", classifier.classify(rows.validation), classifier.classify(rows.test), rows
    )
    for name, changes in NEGATIVES.items():
        ranker = trained(**changes)
        ranked = ranker.rank(rows.test, test)
        found[f"{name}_top{TOP}"] = top(ranked, rows.test)
        if name == OURS:
            found |= system_figures("ranker_all", ranker.rank(rows.validation), ranker.rank(rows.test), rows)
            found |= system_figures("two_stage", ranker.rank(rows.validation, validation), ranked, rows)
    for source in ("text", "multimodal"):
        if source in channels.names:
            found |= system_figures(
                f"{source}_channel",
                channels.scored(source, rows.validation),
                channels.scored(source, rows.test),
                rows,
            )
    return found


class Channels:
    """The recall channels over the training videos: similar videos' tags, and the classifier's."""

    def __init__(self, train: Sequence[Example], viewer: ViewEncoder, classifier: TrainedRanker) -> None:
        from tagline.tagging.neighbours.memory import RECALL, Memory, TaggedVideo

        self.viewer, self.classifier = viewer, classifier
        tagged = [TaggedVideo(one.key, one.tags) for one in train]
        self.memory = Memory(tagged, viewer(train))
        self.sources: dict[str, RetrievalSystem] = {s.name: s for s in self.memory.retrieval_systems(RECALL)}

    @property
    def names(self) -> list[str]:
        return [*self.sources, "classifier"]

    def scored(self, name: str, examples: Sequence[Example]) -> list[Said]:
        """The best tags of one channel with their scores."""
        if name == "classifier":
            return self.classifier.classify(examples, most=CANDIDATES)
        views = self.memory.fit(self.viewer(examples))
        found = self.memory.propose(
            views, [one.key for one in examples], count=NEIGHBOURS, systems=[self.sources[name]]
        )
        return [[(p.text, p.score) for p in own[:CANDIDATES]] for own in found]

    def __call__(self, examples: Sequence[Example]) -> dict[str, list[list[str]]]:
        """Candidates by channel."""
        return {name: [[t for t, _ in own] for own in self.scored(name, examples)] for name in self.names}


def all_candidates(candidates: Mapping[str, Sequence[Sequence[str]]]) -> list[list[str]]:
    """All channels' candidates of each video, each once."""
    return [
        list(dict.fromkeys(tag for own in parts for tag in own))
        for parts in zip(*candidates.values(), strict=True)
    ]


def recall(candidates: Mapping[str, Sequence[Sequence[str]]], rows: TaggerData) -> Figures:
    """Table 1: the share of the annotated tags, of those that training knows, that each channel finds."""
    train_tags = {tag for one in rows.train for tag in one.tags}
    truth = [train_tags.intersection(one.tags) for one in rows.test]

    def share(found: Sequence[Sequence[str]]) -> float:
        right = sum(len(own & set(tags)) for own, tags in zip(truth, found, strict=True))
        return right / max(sum(map(len, truth)), 1)

    figures = {f"recall_{name}": share(found) for name, found in candidates.items()}
    return {**figures, "recall_union": share(all_candidates(candidates))}


def top(ranked: Sequence[Said], test: Sequence[Example]) -> float:
    """Table 2: of the first TOP tags of a video the share that is annotated."""
    shares = [
        len({tag for tag, _ in own[:TOP]}.intersection(one.tags)) / TOP
        for own, one in zip(ranked, test, strict=True)
    ]
    return mean(shares)


def system_figures(name: str, validation: Sequence[Said], test: Sequence[Said], rows: TaggerData) -> Figures:
    """Table 3 and the papers' F1 of one system, its threshold fitted on the validation videos."""
    from tagline.tagging.ranker.train import fit_calibration_and_threshold

    calibration, least = fit_calibration_and_threshold(validation, rows.validation)
    accepted = [[(tag, s) for tag, score in own if (s := calibration(score)) >= least] for own in test]
    counts = [(len({t for t, _ in own} & set(one.tags)), len(own)) for own, one in zip(accepted, rows.test)]
    columns = taggers.columns(rows.train, rows.test, accepted)
    return {
        f"{name}_accuracy": sum(right for right, _ in counts) / max(sum(n for _, n in counts), 1),
        f"{name}_tags": mean(n for _, n in counts),
        **{f"{name}_{key}": value for key, value in columns.items() if key.endswith("_f1")},
    }


def table(rows: TaggerData, viewer: ViewEncoder, options: Mapping[str, str], seeds: Sequence[int]) -> Any:
    """(means over seeds, all runs)"""
    runs = [cached_run(rows, viewer, config_of(options, seed)) for seed in seeds]
    return {key: round(mean(one[key] for one in runs), 4) for key in runs[0]}, runs

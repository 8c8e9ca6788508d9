"""What the tables of taggers share: methods, one run of one of them, and the papers' columns of figures."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from tagline.benchmarks.registry import cache

if TYPE_CHECKING:
    from tagline.tagging.generator.config import TaggerRunConfig
    from tagline.tagging.generator.data import Said
    from tagline.tagging.ml.data import Example

Figures = dict[str, float]
# Further columns from what was said of the test videos: (tags of each, tags of training) to figures.
More = Callable[[Sequence[Sequence[str]], set[str]], Figures]

# What differs between the methods; encoders, schedule and data are the same.
METHODS: dict[str, dict[str, Any]] = {
    "bin": {"method": "bin"},
    "asl": {"method": "asl"},
    "frequent-first": {"order": "frequent first"},
    "rare-first": {"order": "rare first"},
    "order-free": {"order": "learned"},
    "open-book": {"method": "open-book", "order": "frequent first"},
    "op-tsg": {},
}
OURS = "op-tsg"
# Open-Tag's addition to ours: the decoder is told the consensus tags of similar videos.
RETRIEVAL_AUGMENTED = {"op-tsg-rag": {"retrieved": 12, "neighbours": 8}}
# Beyond the papers: words may be copied from the title, which a small tagger does not learn by itself.
COPYING: dict[str, dict[str, Any]] = {
    "op-tsg-copy": {"copy_title": True},
    "frequent-first-copy": {"order": "frequent first", "copy_title": True},
}
DETAILS_ONLY = ("validation", "best_epoch", "seconds", "core_seconds")  # in the details alone


@dataclass(frozen=True, slots=True)
class TaggerData:
    """What taggers are trained, chosen and tested on."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    frames_by: str = ""  # hash of the towers that made the frame vectors

    def digest(self) -> str:
        """Of everything that a tagger sees."""
        from tagline.tagging.ml.config import digest

        def content(one: Example) -> list[Any]:
            seen = [] if one.frames is None else [float(one.frames.sum()), *one.frames.shape]
            return [one.key, one.title, one.tags, seen]

        return digest(*([content(one) for one in own] for own in (self.train, self.validation, self.test)))


def seeds_of(options: Mapping[str, str], default: str = "0,1,2") -> list[int]:
    """seeds=0,1,2, or seed=N for one."""
    return [int(seed) for seed in options.get("seeds", options.get("seed", default)).split(",")]


def chosen_rows(
    options: Mapping[str, str], key: str, known: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The rows that the option `key` names, all unless told."""
    names = options.get(key, ",".join(known)).split(",")
    check_names(key, names, known)
    return {name: known[name] for name in names}


def check_names(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises BadConfig for a name that is none of those known."""
    from tagline.tagging.ml.config import BadConfig

    known = list(known)
    for name in names:
        if name not in known:
            raise BadConfig(f"{key}: there is no {name!r}; choose from {', '.join(known)}")


def base(
    options: Mapping[str, str], preset: str, changes: Mapping[str, Any] | None = None
) -> TaggerRunConfig:
    """preset=NAME with `changes`, then epochs=N and set.KEY=VALUE, which change the configuration for all."""
    from tagline.tagging.generator import config as configs
    from tagline.tagging.ml.config import with_settings

    found: TaggerRunConfig = configs.load_preset(options.get("preset", preset))
    if "preset" not in options:
        found = with_settings(found, [f"{key}={value}" for key, value in (changes or {}).items()])
    found = with_settings(
        found, [f"{key[4:]}={value}" for key, value in options.items() if key.startswith("set.")]
    )
    epochs = int(options.get("epochs", found.train.epochs))
    return replace(found, train=replace(found.train, epochs=epochs))


def varied(config: TaggerRunConfig, changes: Mapping[str, Any], seed: int) -> TaggerRunConfig:
    """The configuration with the model's `changes` and this seed; only who says so copies from the title.

    A change of `method` makes it that of a baseline.
    """
    from tagline.benchmarks.baselines.config import as_baseline_run

    train = replace(config.train, seed=seed)
    if "method" in changes:
        return replace(as_baseline_run(config, **changes), train=train)
    return replace(config, model=replace(config.model, **{"copy_title": False, **changes}), train=train)


def cached_run(
    config: TaggerRunConfig, rows: TaggerData, more: More | None = None, about: Any = None
) -> Figures:
    """`run`, unless the same run was done before. about: what `more` depends on."""
    from tagline.tagging.ml.config import as_dict

    rooms = ["tagline.tagging.generator", "tagline.benchmarks.baselines", "tagline.tagging.ml"]
    code = cache.code_fingerprint(*rooms, *(["tagline.tagging.neighbours"] if config.model.retrieved else []))
    whole = {"config": as_dict(config), "data": rows.digest(), "code": code, "more": about}
    return cache.cached_figures("taggers", whole, lambda: run(config, rows, more))


def run(config: TaggerRunConfig, rows: TaggerData, more: More | None = None) -> Figures:
    """Train one tagger and test it: the papers' columns, and whether it had finished learning."""
    from tagline.benchmarks.baselines import make_model, retriever_of
    from tagline.tagging.generator.predict import predict_all
    from tagline.tagging.generator.train import train
    from tagline.tagging.ml.data import Examples
    from tagline.tagging.ml.trainer import to_stderr

    begun, spent = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        examples = Examples(list(rows.train), list(rows.validation), [], rows.frames_by)
        retriever = retriever_of(config.model, rows.train)
        outcome = train(
            config,
            examples,
            Path(folder) / "run",
            make_model=make_model,
            retriever=retriever,
            report=(),
            say=to_stderr,
        )
    trained = outcome.trained
    predicted = predict_all(trained.model, trained.collator(retriever), rows.test)
    found = columns(rows.train, rows.test, predicted)
    if more is not None:
        train_tags = {tag for one in rows.train for tag in one.tags}
        found |= more([[tag for tag, _ in tags] for tags in predicted], train_tags)
    found |= _training_course(outcome.history)
    return found | {
        "seconds": round(time.perf_counter() - begun, 1),
        "core_seconds": round(time.process_time() - spent, 1),
    }


def columns(train: Sequence[Example], test: Sequence[Example], predicted: Sequence[Said]) -> Figures:
    """Label-based on full, rare and common, example-based, and how much was said."""
    from tagline.tagging.generator.train import score_predictions

    found = {
        f"{part}_{key}": getattr(s, key)
        for part, s in score_predictions(train, test, predicted).items()
        for key in ("precision", "recall", "f1")
    }
    train_tags = {tag for one in train for tag in one.tags}
    new = [sum(tag not in train_tags for tag, _ in tags) for tags in predicted]
    return {**found, "tags_said": mean(map(len, predicted)), "novel_said": mean(new)}


def _training_course(history: Sequence[Mapping[str, Any]]) -> Figures:
    """What chose the checkpoint: its best, when that was reached, what the last third of the run gained."""
    tested = [(entry["epoch"], entry["eval_choice"]) for entry in history if "eval_choice" in entry]
    last = tested[-1][0]
    best = max(value for _, value in tested)
    before = max((value for epoch, value in tested if epoch <= 2 * last / 3), default=0.0)
    when = next(epoch for epoch, value in tested if value == best)
    return {"validation": best, "best_epoch": when, "late_gain": best - before}


def table(
    names: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    config: TaggerRunConfig,
    rows: TaggerData,
    more: More | None = None,
    about: Any = None,
) -> tuple[dict[str, float], dict[str, list[Figures]]]:
    """Each method or variant with each seed: (means and deviations by "NAME_COLUMN", all runs by name)."""
    runs: dict[str, list[Figures]] = {name: [] for name in names}
    for seed in seeds:  # seed by seed, so that an interrupted table has every row
        for name, changes in names.items():
            runs[name].append(cached_run(varied(config, changes, seed), rows, more, about))
    values: dict[str, float] = {}
    for name, own in runs.items():
        for key in own[0]:
            if key in DETAILS_ONLY:
                continue
            values[f"{name}_{key}"] = round(mean(one[key] for one in own), 4)
            if len(own) > 1 and key.endswith("_f1"):
                values[f"{name}_{key}_sd"] = round(stdev(one[key] for one in own), 4)
    return values, runs


def copied(train: Sequence[Example], test: Sequence[Example]) -> Figures:
    """The columns of a rule that learns nothing: each tag of training whose words stand in the title."""
    train_tags: dict[str, str] = {}
    for tag in sorted({tag for one in train for tag in one.tags}):
        train_tags.setdefault(_spoken(tag), tag)
    longest = max((key.count(" ") for key in train_tags), default=0) + 1
    predicted: list[Said] = []
    for one in test:
        words = _spoken(one.title).split()
        phrases = [
            " ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)
        ]
        predicted.append(
            [(train_tags[phrase], 1.0) for phrase in dict.fromkeys(phrases) if phrase in train_tags]
        )
    return {f"copied_{key}": round(value, 4) for key, value in columns(train, test, predicted).items()}


def _spoken(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def add_rare_figures(values: dict[str, Any], names: Sequence[str]) -> None:
    """The number that matters: rare tags, ours and the best rival's."""
    beyond = {OURS, *RETRIEVAL_AUGMENTED, *COPYING}
    baselines = {name: values[f"{name}_rare_f1"] for name in names if name not in beyond}
    for name, key in ((OURS, "rare_f1_optsg"), ("op-tsg-copy", "rare_f1_optsg_copy")):
        if name in names:
            values[key] = values[f"{name}_rare_f1"]
    if baselines:
        values["rare_f1_best_rival"] = max(baselines.values())
        values["best_rival"] = max(baselines, key=lambda name: baselines[name])


def statistics(train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """The tag set in numbers, as the supplement of OP-TSG prints them."""
    from tagline.tagging.ml.metrics import tag_sets

    sets = tag_sets([one.tags for one in train], [one.tags for one in test])
    every = {tag for one in (*train, *test) for tag in one.tags}
    return {
        "train_videos": len(train),
        "test_videos": len(test),
        "tags": len(every),
        "tags_both": len(sets.full),
        "tags_common": len(sets.common),
        "tags_rare": len(sets.rare),
        "tags_a_video": round(mean(len(one.tags) for one in (*train, *test)), 2),
    }

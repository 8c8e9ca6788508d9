"""Which of the papers' tables are made on which data set, with what settings, and what `--set` changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tagline.benchmarks.papers.published import PaperTable, paper_table
from tagline.benchmarks.quality.taggers import METHODS
from tagline.tagging.ml.config import BadConfig

if TYPE_CHECKING:
    from tagline.table.config import TableConfig as TableConfig
    from tagline.tagging.generator.config import TaggerRunConfig as TaggerConfig

OURS = ("table", "op-tsg")
NO_EXTRA_LOSSES = ("vtm=false", "mlm=false")
CLIP4CLIP = ("modalities=[]", "residual=frame", "video_projection=false", *NO_EXTRA_LOSSES)  # CLIP4Clip

# What a line of a table changes in the preset.
VARIANTS: dict[str, tuple[str, ...]] = {
    "table": (),
    "meanp": ("layers=0", *CLIP4CLIP),
    "seqtransf": CLIP4CLIP,
    "no-tags": ("modalities=[]", *NO_EXTRA_LOSSES),
    "object": ("modalities=object", *NO_EXTRA_LOSSES),
    "person": ("modalities=object,person", *NO_EXTRA_LOSSES),
    "motion": ("modalities=object,person,motion", *NO_EXTRA_LOSSES),
    "scene": ("modalities=object,person,motion,scene", *NO_EXTRA_LOSSES),
    "speech": NO_EXTRA_LOSSES,
    "vtm": ("mlm=false",),
    "op-tsg": (),
    **{
        name: tuple(f"{key}={value}" for key, value in METHODS[name].items())
        for name in ("bin", "asl", "open-book")
    },
    "order-free": tuple(f"{key}={value}" for key, value in METHODS["order-free"].items()),
    **{f"prompts-{count}": (f"prompts={count}",) for count in (5, 10, 15, 20, 30, 50)},
    **{f"pad-{weight}": (f"pad_weight={weight}",) for weight in (0.1, 0.3, 0.5, 0.8, 1.0)},
    **{f"layers-{count}": (f"prompt_layers={count}",) for count in (1, 2, 4, 6, 8)},
    "no-prompts": ("order=frequent first",),
    "no-shuffle": ("shuffle=false",),
    "learnable": ("learnable_tags=true",),
    "no-contrast": ("contrastive=false",),
    "prompt-labels": ("prompt_labels=true",),
    "prompt-classes": ("classify_prompts=true",),
    "video-only": ("use_title=false",),
    "title-only": ("use_frames=false",),
}


@dataclass(frozen=True, slots=True)
class Study:
    """A data set with the tables that are made of it. The first table of each model is its main one."""

    name: str
    tables: tuple[PaperTable, ...]
    presets: Mapping[str, str]  # of each model
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: str | None = None  # collection of the experts' weights
    note: str = ""


def _tables(paper: str, *numbers: int, elsewhere: bool = False) -> tuple[PaperTable, ...]:
    found = (paper_table(f"{paper}-{number}") for number in numbers)
    return tuple(table.for_other_data() if elsewhere else table for table in found)


STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        Study("msrvtt", _tables("table", 1, 5), {"table": "msrvtt"}),
        Study("msvd", _tables("table", 2), {"table": "msvd"}),
        Study("lsmdc", _tables("table", 3), {"table": "lsmdc"}),
        Study("didemo", _tables("table", 4), {"table": "didemo"}),
        Study("create", _tables("op-tsg", 1, 3, 4, 5, 6, 7, 8), {"tagger": "paper"}),
        Study(
            "pexel",
            _tables("op-tsg", 2),
            {"tagger": "paper"},
            {"tagger": ("use_frames=false",)},
            note="Still pictures cannot be watched yet, so the tagger reads titles alone.",
        ),
        Study(
            "playhouse",
            (
                *_tables("table", 1, 5, elsewhere=True),
                *_tables("op-tsg", 1, 4, 5, 6, 7, 8, elsewhere=True),
            ),
            {"table": "playhouse", "tagger": "playhouse"},
            weights="playhouse",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Experiment:
    """One line of a table to be trained and tested: which model, what it is called, its configuration."""

    model: str
    variant: str
    config: Any  # TableConfig or TaggerConfig; the seed is set by the run


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A study as somebody wants it run."""

    study: Study
    tables: tuple[PaperTable, ...]
    experiments: tuple[Experiment, ...]
    seeds: tuple[int, ...]
    train: int | None  # videos to learn from, at most; None: all
    test: int | None
    weights: str | None
    tag: bool  # whether the experts are to look first
    given: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """Whether nothing was made smaller or changed."""
        harmless = {"weights", "tag", "tables", "baselines"}
        return not set(self.given) - harmless and len(self.seeds) >= 3


KEYS = ("seeds", "tables", "baselines", "train", "test", "weights", "tag")


def plan_study(name: str, given: Mapping[str, str]) -> StudyPlan:
    """What `--set` says about a study. Raises BadConfig with a sentence.

    seeds=0,1,2 tables=table-1,table-5 baselines=true train=N test=N weights=playhouse tag=no;
    table.preset=NAME and table.KEY=VALUE, tagger.preset=NAME and tagger.KEY=VALUE for the models.
    """
    study = STUDIES[name]
    for key in given:
        model, dot, _ = key.partition(".")
        if key not in KEYS and not (dot and model in study.presets):
            models = " and ".join(f"{model}.KEY" for model in study.presets)
            raise BadConfig(f"{name} has no option {key!r}; it has {', '.join(KEYS)} and {models}")
    mains = {table.model: table for table in reversed(study.tables)}
    tables = _chosen_tables(study, given.get("tables"), tuple(reversed(mains.values())))
    baselines = _yes(given, "baselines", False)
    experiments: dict[tuple[str, str], Experiment] = {}
    for table in tables:
        wanted = table.variants()
        if table.key == mains[table.model].key and not baselines:
            wanted = [variant for variant in wanted if variant in OURS]
        for variant in wanted:
            experiments.setdefault((table.model, variant), _experiment(study, table.model, variant, given))
    return StudyPlan(
        study,
        tables,
        tuple(experiments.values()),
        _numbers(given.get("seeds", "0,1,2")),
        _limit(given, "train"),
        _limit(given, "test"),
        given.get("weights", study.weights),
        _yes(given, "tag", True),
        dict(given),
    )


def _chosen_tables(study: Study, wanted: str | None, mains: tuple[PaperTable, ...]) -> tuple[PaperTable, ...]:
    if wanted is None:
        return mains
    by_key = {table.key: table for table in study.tables}
    if wanted == "all":
        return study.tables
    for key in (keys := wanted.split(",")):
        if key not in by_key:
            raise BadConfig(f"{study.name} has no table {key!r}; it has {', '.join(by_key)}, or all")
    return tuple(by_key[key] for key in keys)


def _experiment(study: Study, model: str, variant: str, given: Mapping[str, str]) -> Experiment:
    from tagline.benchmarks.baselines.config import as_baseline_run
    from tagline.table.config import load_preset as table_preset
    from tagline.tagging.generator.config import load_preset as tagger_preset
    from tagline.tagging.ml.config import with_settings

    name = given.get(f"{model}.preset", study.presets[model])
    config: TableConfig | TaggerConfig
    if model == "table":
        config, own = table_preset(name), []
    else:
        tagger = tagger_preset(name)
        config = as_baseline_run(tagger) if "method" in METHODS.get(variant, {}) else tagger
        own = ["copy_title=false"]  # the papers' taggers copy nothing
    own += [
        f"{key.partition('.')[2]}={value}"
        for key, value in given.items()
        if key.startswith(f"{model}.") and not key.endswith(".preset")
    ]
    try:
        return Experiment(
            model, variant, with_settings(config, [*study.settings.get(model, ()), *own, *VARIANTS[variant]])
        )
    except BadConfig as error:
        raise BadConfig(f"{variant} cannot be trained so: {error}") from error


def _numbers(text: str) -> tuple[int, ...]:
    try:
        found = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise BadConfig(f"seeds are whole numbers with commas, not {text!r}") from None
    return found


def _limit(given: Mapping[str, str], key: str) -> int | None:
    text = given.get(key)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BadConfig(f"{key} is a number of videos, not {text!r}")
    return int(text)


def _yes(given: Mapping[str, str], key: str, usual: bool) -> bool:
    words = {"yes": True, "true": True, "no": False, "false": False}
    text = given.get(key)
    if text is None:
        return usual
    if text not in words:
        raise BadConfig(f"{key} is yes or no, not {text!r}")
    return words[text]

"""`neighbours-table`: Open-Tag's rows and the two-stage system's tables on the user tags of the playhouse.

Baseline is the generator without order prompts, "+ OPG" has them, "+ RAG" is told what four retrieval
systems over the training videos agree on. "neighbours" is that consensus alone, without the generator. The
rows of yesterday and grown say what a memory gains that hears of new tags without training, see grown_memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tagline.benchmarks.fixtures import playhouse_set, rendered_frames
from tagline.benchmarks.fixtures.playhouse_set import PlayhouseVideo
from tagline.benchmarks.quality import memory_growth, recall_ranking, tagger_table, taggers
from tagline.benchmarks.quality.taggers import METHODS, RETRIEVAL_AUGMENTED, Figures, TaggerData

if TYPE_CHECKING:
    from tagline.tagging.neighbours.views import ViewEncoder

ROWS: dict[str, dict[str, Any]] = {
    "baseline": METHODS["frequent-first"],
    "opg": METHODS["op-tsg"],
    "rag": RETRIEVAL_AUGMENTED["op-tsg-rag"],
}


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """set=NAME videos=N seeds=0,1,2 epochs=N set.KEY=VALUE ranker.KEY=VALUE sound=no generator=no."""
    from tagline.experts.weights import registry
    from tagline.tagging.ml.config import as_dict
    from tagline.tagging.neighbours.views import ViewEncoder

    world = rendered_frames.read_drawn_set(options)
    eyes = playhouse_set.clip_towers(options)
    config = taggers.base(options, "playhouse", tagger_table.SIZES)
    if "towers" in options:
        config = replace(config, train=replace(config.train, towers=options["towers"]))
    rows = replace(tagger_table.data_of(world, eyes), frames_by=eyes.fingerprint)
    if options.get("sound") != "no":
        rows = with_sound_vectors(rows, world)
    seeds = taggers.seeds_of(options)
    gain = tagger_table.TrueTagGain(world["test"], rows, eyes)
    towers = options.get("towers") or registry.for_expert("appearance", "playhouse")
    viewer = ViewEncoder.open("auto", towers, collection="playhouse")
    values: dict[str, Any] = dict(taggers.statistics(rows.train, rows.test))
    two_stage, runs = recall_ranking.table(rows, viewer, options, seeds)
    values |= two_stage
    values |= {
        f"neighbours_{key}": round(value, 4) for key, value in consensus_figures(rows, viewer, gain).items()
    }
    details: dict[str, Any] = {"two_stage": runs}
    if options.get("generator") != "no":
        generated, more = taggers.table(ROWS, seeds, config, rows, gain, eyes.fingerprint)
        values |= generated
        grown, details["grown"] = memory_growth.growth_table(rows, viewer, config, seeds, gain)
        values |= grown
        details |= more
        values["rare_f1_without_retrieval"] = values["opg_rare_f1"]
        values["rare_f1_with_retrieval"] = values["rag_rare_f1"]
    return {
        "values": values,
        "configuration": {"config": as_dict(config), "towers": eyes.fingerprint, "models": viewer.identity},
        "seeds": seeds,
        "details": details,
    }


def consensus_figures(rows: TaggerData, viewer: ViewEncoder, gain: tagger_table.TrueTagGain) -> Figures:
    """The consensus of the four retrieval systems without any training but a threshold."""
    predicted = memory_growth.consensus(rows, memory_growth.library_of(rows.train, viewer))
    figures = taggers.columns(rows.train, rows.test, predicted)
    train_tags = {tag for one in rows.train for tag in one.tags}
    return {**figures, **gain([[tag for tag, _ in own] for own in predicted], train_tags)}


def with_sound_vectors(rows: TaggerData, world: Mapping[str, Sequence[PlayhouseVideo]]) -> TaggerData:
    """The same rows with vectors of their sound."""
    sounds = rendered_frames.drawn_sound_vectors([one for own in world.values() for one in own])

    def with_sound(examples: Sequence[Any]) -> list[Any]:
        return [replace(one, sound=sounds[one.name]) for one in examples]

    return replace(
        rows,
        train=with_sound(rows.train),
        validation=with_sound(rows.validation),
        test=with_sound(rows.test),
    )

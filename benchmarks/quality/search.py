"""How well search finds the video and the moment, signal by signal, and whether it knows when to say nothing.

Two libraries of playhouse videos are rendered and tagged by the real experts: one of validation seeds, by
whose captions weights, probabilities and the line of "nothing found" are fitted, and one of test seeds,
whose captions are only asked. No file carries a title or a name that tells what is in it, and no
uploader's tags are imported. Queries without an answer name things that the playhouse does not have, in
sentences about people and places that it has.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagline.retrieval.query.candidates import Searcher
    from tagline.retrieval.query.hits import Hit
    from tagline.retrieval.query.params import SearchParams
    from tagline.tagging.catalog.write import Catalog

FIRST = 550_000  # seeds that no named set has
MIN_OVERLAP = 0.5  # temporal intersection over union
MAX_DEPTH = 50  # hits that are looked at; what comes later counts as not found

# What no video of the playhouse has, and no list of labels that thresholds are learnt by.
UNKNOWN_THINGS = (
    "submarine", "microscope", "kangaroo", "helicopter", "tornado", "periscope", "telescope", "octopus",
    "penguin", "jellyfish", "typewriter", "chainsaw", "parachute", "anvil", "compass", "crocodile",
    "dolphin", "flamingo", "hedgehog", "lobster", "peacock", "squirrel", "walrus", "cathedral", "pyramid",
    "comet", "wizard", "scarecrow", "mermaid", "knight", "pirate", "astronomer", "blacksmith", "magnet",
    "locomotive", "hammock", "crane", "trophy", "crown", "stethoscope", "violinist", "beehive", "owl",
    "tadpole", "gorilla", "vampire", "turbine", "catapult", "abacus", "sundial",
)  # fmt: skip
UNANSWERABLE_FORMS = (
    "a {person} with a {strange} {where}",
    "there is a {strange} {where}",
    "someone talks about the {strange}",
    "a {strange} is next to a {thing}",
)

SYSTEMS: dict[str, tuple[tuple[str, ...], bool]] = {  # signals, and whether the bank takes from hubs
    "words": (("words",), False),
    "vector": (("video", "span"), False),
    "hybrid": (("words", "video", "span", "tags"), False),
    "bank": (("words", "video", "span", "tags"), True),
}


@dataclass(frozen=True, slots=True)
class CaptionQuery:
    """A caption as a query: its video, and the stretch that its writer speaks of."""

    text: str
    video: int
    start: float
    end: float


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """Options: val, test (videos), captions (of each test video), nothing (queries without an answer), train
    (videos whose captions alone are read), seed (other test videos), folder (kept, so that an interrupted
    run goes on), model (the folder of a TABLE model that is tried beside CLIP with the playhouse's weights),
    defaults=FILE (write what was fitted there).
    """
    from tagline.experts.storage import cache_home

    val, test = int(options.get("val", "60")), int(options.get("test", "100"))
    seed, count = int(options.get("seed", "0")), int(options.get("captions", "5"))
    home = Path(options.get("folder") or cache_home() / "playhouse" / "search-quality").expanduser()
    folders = home / f"val-{val}", home / f"test-{test}-{seed}"
    words = trained_words(int(options.get("train", "300")))

    def prepared(model: str | None) -> tuple[Path, Path]:
        return prepare(folders[0], "val", val, 0, model), prepare(folders[1], "test", test, seed, model)

    with opened(*prepared(None), words) as (catalog, params, ready):
        queries = captions_of(catalog, count)
        unanswerable = unanswerable_queries(int(options.get("nothing", "200")))
        values, details = rate(catalog, ready, queries)
        if not params.row_hubness:
            ready.params.row_hubness = {}  # measured above, but not what this library would be searched with
        values |= {
            **refusals(catalog, ready, queries, unanswerable),
            "bank_by_default": bool(params.row_hubness),
        }
    if "model" in options:  # the same once more, with its vectors, and its second look
        with opened(*prepared(options["model"]), words) as (catalog, _, ready):
            found, more = rate(catalog, ready, captions_of(catalog, count))
        values |= {f"table_{key}": figure for key, figure in found.items() if not key.startswith("words")}
        details["table"] = more
    if "defaults" in options:
        Path(options["defaults"]).write_text(as_defaults(params), encoding="utf-8")
    return {
        "values": values,
        "configuration": {
            "val": val,
            "test": test,
            "captions": count,
            "nothing": len(unanswerable),
            "model": "clip, playhouse",
            "table": "model" in options,
        },
        "seeds": [seed],
        "details": {
            **details,
            "fitted": {
                **json.loads(as_defaults(params)),
                "calibration": asdict(params.calibration) if params.calibration else None,
            },
        },
    }


@contextmanager
def opened(
    fitting_folder: Path, test_folder: Path, words: frozenset[str]
) -> Iterator[tuple[Catalog, SearchParams, Searcher]]:
    """The test library, what was learnt on the validation library, and the searcher that has it."""
    from tagline.retrieval.tune.tune import tune
    from tagline.tagging.catalog.write import Catalog

    with Catalog.open(fitting_folder) as known, Catalog.open(test_folder) as catalog:
        params = tune(known, vocabulary_of_others=words)
        yield catalog, params, transferred(catalog, known, params)


# -- the two libraries ---------------------------------------------------------------------------------


def prepare(folder: Path, split: str, count: int, seed: int, model: str | None) -> Path:
    """Render, tag, describe and embed so many videos; what is there already is kept."""
    from tagline.benchmarks.playhouse.render.video import render_video, video_spec
    from tagline.benchmarks.playhouse.world.scenario import SPLIT_BASES
    from tagline.tagging.catalog.write import Catalog

    first = SPLIT_BASES[split] + FIRST + 1000 * seed
    for number in range(first, first + count):
        render_video(video_spec(number), folder)  # without a title
    _tagline("tag", str(folder), "--weights", "playhouse")
    with Catalog.open(folder) as catalog:
        _describe(catalog, split)
    _tagline("index", str(folder), *(("--model", model) if model else ("--weights", "playhouse")))
    return folder


def _describe(catalog: Catalog, split: str) -> None:
    """What people would write about each video, as captions of its split."""
    from tagline.benchmarks.playhouse.truth.captions import captions
    from tagline.tagging.catalog.records import Caption

    for video in list(catalog.videos()):
        if video.paths and not catalog.captions(video.id):
            seed = int(Path(video.paths[0]).stem.rpartition("-")[2])
            written = [Caption(one.text, one.start, one.end, split) for one in captions(seed)]
            catalog.put_captions(video.id, written)


def _tagline(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tagline", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode not in (0, 3):
        raise RuntimeError(f"tagline {' '.join(words)}: {done.stderr.strip()[-500:]}")


# -- what is learnt where ------------------------------------------------------------------------------


def trained_words(count: int) -> frozenset[str]:
    """The words of the captions of so many training videos, which are not rendered for it."""
    from tagline.benchmarks.playhouse.truth.captions import captions
    from tagline.retrieval.query.lexical import query_words

    return frozenset(
        word for seed in range(count) for caption in captions(seed) for word in query_words(caption.text)
    )


def transferred(catalog: Catalog, vocabulary: Catalog, params: SearchParams) -> Searcher:
    """The test library's searcher: fitted on validation, with a bank of validation captions.

    Nothing that was written about a test video is read.
    """
    from tagline.retrieval.query.candidates import Searcher
    from tagline.retrieval.query.params import SearchParams
    from tagline.retrieval.query.qb_norm import QBNorm
    from tagline.retrieval.tune import probe_queries
    from tagline.retrieval.tune.tune import candidates_of, embed_tags, fit_hubness, out_of_domain

    wrote = probe_queries.caption_queries(vocabulary)
    ready = Searcher.open(catalog)
    ready.params = SearchParams(
        weights=params.weights, calibration=params.calibration, vocabulary=params.vocabulary
    )
    if ready.indexes:
        embed_tags(catalog, ready)
        setting = params.qb_norm if params.row_hubness else QBNorm()  # the usual one, to see what it would do
        fit_hubness(catalog, ready, [replace(query, video=None) for query in wrote], setting)
        unanswerable = candidates_of(
            catalog, ready, probe_queries.unanswerable_queries(catalog, params.vocabulary)
        )
        ready.params.out_of_domain = out_of_domain(unanswerable)
    return ready


def as_defaults(params: SearchParams) -> str:
    """The weights that were fitted, in the form of retrieval/query/search_params.json.

    The judgement is not among them: it rests on the words that people use, and where nobody wrote anything,
    it cannot tell a question without an answer from one in other words (see docs/search.md).
    """
    data = {"weights": asdict(params.weights) if params.weights else None, "calibration": None}
    return json.dumps(data, indent=1) + "\n"


# -- queries -------------------------------------------------------------------------------------------


def captions_of(catalog: Catalog, count: int) -> list[CaptionQuery]:
    """So many different captions of each video, evenly chosen."""
    found = []
    for video in catalog.videos():
        written = {caption.text: caption for caption in catalog.captions(video.id)}
        step = max(len(written) // count, 1)
        for caption in list(written.values())[::step][:count]:
            end = caption.end if caption.end is not None else video.duration or 0.0
            found.append(CaptionQuery(caption.text, video.id, caption.start or 0.0, end))
    return found


def unanswerable_queries(count: int) -> list[str]:
    """Sentences about what no video of the playhouse has, with people and places that it has."""
    from tagline.benchmarks.playhouse.world import synonyms

    persons = [name for names in synonyms.PERSONS.values() for name in names]
    places = [where for some in synonyms.WHERE.values() for where in some]
    things = list(synonyms.OBJECTS)
    found = []
    for number, (form, thing) in enumerate(itertools.product(UNANSWERABLE_FORMS, UNKNOWN_THINGS)):
        found.append(
            form.format(
                person=persons[number % len(persons)],
                where=places[number % len(places)],
                thing=things[number % len(things)],
                strange=thing,
            )
        )
    return found[:count]


# -- figures -------------------------------------------------------------------------------------------


def rate(
    catalog: Catalog, ready: Searcher, queries: Sequence[CaptionQuery]
) -> tuple[dict[str, float], dict[str, Any]]:
    """R@1, 5 and 10 of the video and of the moment, for each way of searching that this library can."""
    from tagline.retrieval.query.rerank import CannotRerank, Reranker
    from tagline.retrieval.query.search import answer

    values: dict[str, float] = {}
    details: dict[str, Any] = {"intervals": {}, "milliseconds": {}}
    hits: list[list[Hit]] = []
    for way, (signals, qb_norm) in SYSTEMS.items():
        if not ready.indexes and way != "words":
            continue
        begun = time.perf_counter()
        hits = [
            answer(catalog, one.text, MAX_DEPTH, searcher=ready, signals=signals, qb_norm=qb_norm).hits
            for one in queries
        ]
        _figures(way, hits, queries, begun, values, details)
    try:
        reranker = Reranker(catalog)
    except CannotRerank as why:
        details["rerank"] = str(why)
    else:
        begun = time.perf_counter()
        again = [reranker.rerank(one.text, some) for one, some in zip(queries, hits, strict=True)]
        _figures("rerank", again, queries, begun, values, details)
    return values, details


def _figures(
    way: str,
    hits: Sequence[Sequence[Hit]],
    queries: Sequence[CaptionQuery],
    begun: float,
    values: dict[str, float],
    details: dict[str, Any],
) -> None:
    import numpy as np

    from tagline.table.ranking import intervals, metrics

    details["milliseconds"][way] = round(1000 * (time.perf_counter() - begun) / max(len(queries), 1), 1)
    groups = np.array([one.video for one in queries])
    for what, inside in (("", False), ("moment_", True)):
        ranks = np.array([rank_of(some, one, inside) for some, one in zip(hits, queries, strict=True)], float)
        found, spread = metrics(ranks), intervals(ranks, groups)
        for figure in ("r1", "r5", "r10"):
            key = f"{way}_{what}{figure}"
            values[key] = round(getattr(found, figure), 1)
            if figure in spread:
                details["intervals"][key] = [round(spread[figure].low, 1), round(spread[figure].high, 1)]


def rank_of(hits: Sequence[Hit], query: CaptionQuery, moment: bool) -> int:
    """The place of the right video, with `moment` only if the hit's span is the caption's; else past all."""
    for number, hit in enumerate(hits, 1):
        if hit.video.id == query.video:
            right = not moment or overlap((hit.start, hit.end), (query.start, query.end)) >= MIN_OVERLAP
            return number if right else 10 * MAX_DEPTH
    return 10 * MAX_DEPTH


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Temporal intersection over union; two moments without length are the same or not."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    whole = max(one[1], other[1]) - min(one[0], other[0])
    return max(0.0, shared / whole) if whole > 0 else float(one == other)


def refusals(
    catalog: Catalog, ready: Searcher, queries: Sequence[CaptionQuery], unanswerable: Sequence[str]
) -> dict[str, float]:
    """How often search answers what has no answer, and refuses what has one."""
    from tagline.retrieval.query.search import answer

    answered = [answer(catalog, text, searcher=ready).answered for text in unanswerable]
    refused = [not answer(catalog, one.text, searcher=ready).answered for one in queries]
    return {
        "false_answers": round(sum(answered) / max(len(answered), 1), 3),
        "false_refusals": round(sum(refused) / max(len(refused), 1), 3),
    }

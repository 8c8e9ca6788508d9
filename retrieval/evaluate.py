"""How well search finds a library's own videos: questions with known answers, put to each way of searching.

Questions come from a CSV, or from what people wrote of the videos: captions that no model learnt from, else
the tags that people gave. Ranks, intervals and comparisons are those of table/ranking.py.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.experts.tags import Modality
from tagline.table.config import TableConfig, TagChoice
from tagline.table.ranking import Difference, Metrics, intervals, metrics, paired, ranks
from tagline.table.rows import Row, rows, split_validation
from tagline.tagging.catalog.lookup import find_video
from tagline.tagging.ml.config import BadConfig, from_dict
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog

Floats = npt.NDArray[np.float32]
Say = Callable[[str], None]
MAX_CANDIDATES = 1000  # videos among which the right one is to be found; more take the memory of a matrix
MAX_HUMAN_TAGS = 3  # of a video, in one question


class NoEvalQueries(ValueError):
    """There is nothing to ask with. The message says what to do."""


@dataclass(frozen=True, slots=True)
class EvalQueries:
    """Sentences, the video that answers each, and where they are from."""

    texts: tuple[str, ...]
    videos: tuple[int, ...]  # ids
    origin: str  # for people
    by_words: bool = True  # whether a search by words may be asked: not with the very tags that it reads
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchSystem:
    """One way of searching, measured."""

    name: str
    figures: Metrics
    ranks: npt.NDArray[np.float64]  # [questions]

    @property
    def total(self) -> float:
        """R@1 + R@5 + R@10, by which a model is kept or replaced."""
        return self.figures.r1 + self.figures.r5 + self.figures.r10


@dataclass(frozen=True, slots=True)
class SearchEvaluation:
    """All ways on the same questions."""

    queries: EvalQueries
    systems: tuple[SearchSystem, ...]
    candidates: int
    left_out: tuple[tuple[str, str], ...] = ()

    def system(self, name: str) -> SearchSystem | None:
        return next((way for way in self.systems if way.name == name), None)

    def difference(self, first: str, second: str) -> Difference | None:
        """Second minus first, R@1, over the videos that ask."""
        one, other = self.system(first), self.system(second)
        if one is None or other is None:
            return None
        return paired(one.ranks, other.ranks, "r1", np.asarray(self.queries.videos))


WORDS, SEARCH, IN_USE, UNTRAINED, TRAINED = "words", "search", "in use", "before training", "after training"


# -- questions -----------------------------------------------------------------------------------------


def queries_from_csv(catalog: Catalog, path: Path) -> EvalQueries:
    """Columns `query` and `video`: a path, a name or an id. A video that the library lacks is refused."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            listed = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NoEvalQueries(f"{safe(path)} cannot be read as CSV ({error})") from error
    if not listed or not {"query", "video"} <= {(key or "").strip().lower() for key in listed[0]}:
        raise NoEvalQueries(f"{safe(path)} needs the columns query and video, and a row below them")
    texts, videos = [], []
    for row in listed:
        cells = {(key or "").strip().lower(): (value or "").strip() for key, value in row.items()}
        if cells["query"] and cells["video"]:
            texts.append(cells["query"])
            videos.append(find_video(catalog, cells["video"]).id)
    return EvalQueries(tuple(texts), tuple(videos), f"{len(texts)} queries of {path.name}")


def queries_of_library(catalog: Catalog, run: TableConfig | None = None) -> EvalQueries:
    """Questions from what people wrote of the videos and no model learnt from.

    run: the configuration of the training whose model is tested; it says which captions it kept back.
    """
    for split in ("test", "val"):
        found = rows(catalog, TagChoice(()), split, run.train.protocol if run else "single")
        if found:
            return _queries_of_rows(catalog, found, f"captions of the split {split}")
    whole = rows(catalog, TagChoice(()), "train", run.train.protocol if run else "single")
    if whole and run is not None:
        held_out = split_validation(whole, run.train.validation, run.train.validation_most, run.train.seed)[1]
        note = "the same captions chose the model's checkpoint, which flatters it a little"
        return replace(_queries_of_rows(catalog, held_out, "captions that training kept back"), notes=(note,))
    if whole:
        return _queries_of_rows(catalog, whole, "captions")
    return _from_tags(catalog)


def _queries_of_rows(catalog: Catalog, found: Sequence[Row], what: str) -> EvalQueries:
    by_path = {path: video_id for video_id, path, _ in catalog.places()}
    pairs = [(text, by_path[row.name]) for row in found for text in row.texts]
    texts, videos = zip(*pairs, strict=True)
    return EvalQueries(texts, videos, f"{len(texts)} {what}")


def _from_tags(catalog: Catalog) -> EvalQueries:
    """A few of the tags that people gave each video: neither CLIP nor TABLE reads them."""
    texts, videos = [], []
    for video in catalog.videos():
        tags = sorted({tag.text for tag in catalog.tags(video.id) if tag.modality == Modality.HUMAN})
        if tags and video.paths:
            texts.append(", ".join(tags[:MAX_HUMAN_TAGS]))
            videos.append(video.id)
    if not texts:
        raise NoEvalQueries(
            f"{catalog.name} has neither captions nor tags of people to ask with; "
            "write a captions.csv and run `tagline bench prepare plain`, or name a file with --queries"
        )
    note = "search by words reads these tags itself, so it is not asked"
    return EvalQueries(tuple(texts), tuple(videos), f"{len(texts)} videos by people's tags", False, (note,))


def evaluate_library(
    catalog: Catalog,
    queries: str | os.PathLike[str] | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    say: Say = print,
) -> SearchEvaluation:
    """Put the queries of a CSV, or of the library itself, to every way of searching, and to a model.

    model: the folder of a TABLE model, or that of its run. Raises NoEvalQueries, BadConfig, WeightsMissing.
    """
    folder = model_folder(Path(model)) if model is not None else None
    run = training_config(folder) if folder is not None else None
    asked = (
        queries_from_csv(catalog, Path(queries)) if queries is not None else queries_of_library(catalog, run)
    )
    return evaluate(catalog, asked, folder, say)


# -- the ways of searching -----------------------------------------------------------------------------


def evaluate(
    catalog: Catalog, queries: EvalQueries, model: Path | None = None, say: Say = print
) -> SearchEvaluation:
    """Put the questions to every way that the library has, and to a TABLE model before and after training."""
    ids = _candidates(catalog, queries)
    found: list[tuple[str, Any]] = []
    if queries.by_words:
        found += _searches(catalog, queries, ids)
    in_use = _in_use(catalog, queries, ids)
    if in_use is not None:
        found.append((IN_USE, in_use))
    left_out: tuple[tuple[str, str], ...] = ()
    if model is not None:
        before, after, left_out = _table(catalog, queries, ids, model, say)
        found += [(UNTRAINED, before)] if before is not None else []
        found.append((TRAINED, after))
    column = {video_id: number for number, video_id in enumerate(ids)}
    right = np.array([column[video_id] for video_id in queries.videos], dtype=np.int64)
    systems = tuple(_system(name, scores, right) for name, scores in found)
    return SearchEvaluation(queries, systems, len(ids), left_out)


def _candidates(catalog: Catalog, questions: EvalQueries) -> list[int]:
    """The videos that answer a question, and others of the library up to a limit, in the order of ids."""
    asked = set(questions.videos)
    others = [video.id for video in catalog.videos() if video.paths and video.id not in asked]
    return sorted([*asked, *others[: max(0, MAX_CANDIDATES - len(asked))]])


def _system(name: str, scores: Any, right: npt.NDArray[np.int64]) -> SearchSystem:
    places = ranks(scores, right)
    return SearchSystem(name, replace(metrics(places), intervals=intervals(places, right)), places)


def _searches(catalog: Catalog, questions: EvalQueries, ids: Sequence[int]) -> list[tuple[str, Any]]:
    """Search as it is now, and by words alone. What was not found stands behind everything that was."""
    from tagline.retrieval.query.candidates import searcher_of
    from tagline.retrieval.query.search import answer

    searcher = searcher_of(catalog)
    place = {video_id: number for number, video_id in enumerate(ids)}
    ways: dict[str, tuple[str, ...] | None] = {WORDS: ("words",)}
    if searcher.indexes:
        ways[SEARCH] = None
    found = []
    for name, signals in ways.items():
        scores = np.zeros((len(questions.texts), len(ids)), np.float32)
        for row, text in enumerate(questions.texts):
            hits = answer(catalog, text, len(ids), searcher=searcher, signals=signals).hits
            for behind, hit in enumerate(hits):
                if hit.video.id in place:
                    scores[row, place[hit.video.id]] = len(hits) - behind
        found.append((name, scores))
    return found


def _in_use(catalog: Catalog, questions: EvalQueries, ids: Sequence[int]) -> Floats | None:
    """Scores of the model that the library was embedded with; None where there is none."""
    from tagline.retrieval.embed.query_encoder import EncoderMissing, open_encoder
    from tagline.retrieval.index.base import Level

    try:
        encoder = open_encoder(catalog)
    except EncoderMissing:
        return None
    if encoder is None:
        return None
    vectors: dict[int, Floats] = {}
    for page in catalog.vectors.pages(Level.VIDEO, encoder.fingerprint, ids):
        vectors |= dict(zip(page.ids.tolist(), page.values, strict=True))
    if not vectors:
        return None
    width = len(next(iter(vectors.values())))
    # A video without a vector has no score: it ranks last.
    whole = np.stack([vectors.get(video_id, np.full(width, np.nan, np.float32)) for video_id in ids])
    scores: Floats = encoder.texts(list(questions.texts)) @ whole.T
    return scores


def training_config(model: Path) -> TableConfig | None:
    """The configuration of the run that made a model, where its folder still says so."""
    path = model.parent / "run.json"
    if not path.is_file():
        return None
    found: TableConfig = from_dict(TableConfig, json.loads(path.read_text(encoding="utf-8"))["config"])
    return found


def model_folder(given: Path) -> Path:
    """The folder of a model, also where its run's folder was named."""
    inside = given / "model"
    return inside if inside.is_dir() else given


def _table(
    catalog: Catalog, questions: EvalQueries, ids: Sequence[int], folder: Path, say: Say
) -> tuple[Floats | None, Floats, tuple[tuple[str, str], ...]]:
    """Scores of a TABLE model with its first weights and with its trained ones; the unreadable videos."""
    import torch

    from tagline.table.evaluate import embed_texts, embed_videos
    from tagline.table.frame_cache import FrameCache
    from tagline.table.model import Table
    from tagline.table.saving import from_pretrained
    from tagline.table.train import initial_weights

    saved = from_pretrained(folder)
    settings = saved.model.settings
    frames = FrameCache(settings.frames, saved.model.image_size)
    read = _rows(catalog, ids, settings.tags)
    work = [(row.key, row.path) for row in read if row.path is not None]
    bad = {key: (str(path), why) for key, path, why in frames.fill(work) if why is not None}
    good = [number for number, row in enumerate(read) if row.key not in bad]

    def scores(model: Any, what: str) -> Floats:
        say(f"{len(good)} videos and {len(questions.texts)} queries, {what}")
        videos = embed_videos(model.eval(), [read[n] for n in good], frames, saved.tokenizer)
        found = np.full((len(questions.texts), len(read)), np.nan, np.float32)
        found[:, good] = embed_texts(model, questions.texts, saved.tokenizer) @ videos.T
        return found

    run, before = training_config(folder), None
    if run is not None:
        torch.manual_seed(run.train.seed)
        before = scores(Table.build(run.model, initial_weights(run.train.weights)), UNTRAINED)
    return before, scores(saved.model, TRAINED), tuple(bad.values())


def _rows(catalog: Catalog, ids: Sequence[int], choice: TagChoice) -> list[Row]:
    from tagline.table.rows import frame_key, tag_text

    found = []
    for video_id in ids:
        video = catalog.video(video_id)
        if video is None or not video.paths:
            raise BadConfig(f"video {video_id} is not in {catalog.name} any more; run `tagline tag` again")
        path = Path(video.paths[0])
        tags = tag_text(catalog.tags(video_id), choice)
        found.append(Row(str(path), frame_key(video, path), (), tags, path))
    return found


# -- putting a model to use ----------------------------------------------------------------------------


def may_replace(result: SearchEvaluation) -> tuple[bool, str]:
    """Whether the trained model may take the place of what is in use, and the sentence that says why."""
    after = result.system(TRAINED)
    before = result.system(IN_USE) or result.system(UNTRAINED)
    if after is None or before is None:
        return True, "there is nothing to compare it with"
    sums = f"{after.total:.1f}, those of the model {before.name} to {before.total:.1f}"
    reason = f"R@1, R@5 and R@10 add up to {sums}"
    return after.total >= before.total, reason


def put_to_use(catalog: Catalog, model: Path, say: Say = print) -> None:
    """Embed the library with the model; search changes over when all is embedded."""
    from tagline.retrieval.embed.embedders import load
    from tagline.retrieval.embed.encode import embed
    from tagline.retrieval.embed.search_model import TABLE
    from tagline.retrieval.index.base import Level
    from tagline.retrieval.index.update import update

    embedder = load(TABLE, str(model.absolute()))
    outcome = embed(catalog, embedder)
    say(f"{outcome.progress.tagged} videos embedded, {outcome.unchanged} were already")
    for level in Level:
        update(catalog, level, embedder.choice.fingerprint)

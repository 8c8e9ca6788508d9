"""The public door: a library of videos, and everything that can be done with it from Python.

The commands call the same methods, or, where they stand to the left of this room, the very functions that
the methods call.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tagline.tagging.catalog.location import Home
from tagline.tagging.catalog.lookup import find_video
from tagline.tagging.catalog.write import Catalog

if TYPE_CHECKING:
    import threading

    from tagline.retrieval.build import IndexResult
    from tagline.retrieval.evaluate import SearchEvaluation
    from tagline.retrieval.query.explain import Explanation
    from tagline.retrieval.query.params import SearchParams
    from tagline.retrieval.query.search import Answer
    from tagline.retrieval.similar import Description, SimilarVideo
    from tagline.tagging.catalog.named_verdicts import NamedVerdicts
    from tagline.tagging.catalog.records import Video
    from tagline.tagging.formats.export import ExportResult
    from tagline.tagging.formats.importer import ImportResult
    from tagline.tagging.fusion.fuse import FusedTag
    from tagline.tagging.library import TagResult
    from tagline.tagging.ml.result import TrainResult
    from tagline.tagging.pipeline.plan import Plan
    from tagline.tagging.pipeline.progress import Progress
    from tagline.tagging.report import TagUse, VideoReport

PathLike = str | os.PathLike[str]
Say = Callable[[str], None]


def silent(line: str) -> None:
    """Where nobody asked to be told."""


class Library:
    """The videos of a folder and what is known of them. Made by `tagline.open`.

    A context manager; for one thread at a time. Whatever reads raises NoCatalog, whose sentence names the
    command, where nothing was tagged yet. Times are seconds, scores and probabilities 0 to 1.

        with tagline.open("~/Videos") as library:
            print([video.title for video in library.videos()])
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._catalog: Catalog | None = None

    @classmethod
    def of(cls, catalog: Catalog) -> Self:
        """The library of a catalog that is open already, and that whoever opened it closes."""
        assert catalog.file is not None
        library = cls(Home(catalog.file, catalog.root))
        library._catalog = catalog
        return library

    def __repr__(self) -> str:
        return f"tagline.open({str(self.root)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def root(self) -> Path:
        """The folder that the library is."""
        return self.home.root

    @property
    def catalog(self) -> Catalog:
        """The catalog, opened when it is first used. Raises NoCatalog."""
        if self._catalog is None:
            self._catalog = Catalog.open(self.home, create=False)
        return self._catalog

    def close(self) -> None:
        """Close the catalog; it is opened again when it is needed.

        library.close()
        """
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    # ---- tagging

    def tag(
        self,
        folders: Sequence[PathLike] = (),
        *,
        only: Sequence[str] = (),
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        config: PathLike | None = None,
        weights: str | None = None,
        allow_pickle: bool = False,
        retry: bool = False,
        device: str | None = None,
        jobs: int | None = None,
        precision: float | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
    ) -> TagResult:
        """Watch, listen to and read what is new or stale; then fuse the tags of all experts.

        folders: by default the library's own. only: names of experts. progress: called after each file.
        stop: once it is set, what is in hand is finished; the next call goes on where this one ended.

            result = library.tag(only=["object", "speech"])
            print(result.run.progress.tagged, "tagged;", result.failures)
        """
        from tagline.tagging.library import TagOptions, tag_folders

        options = TagOptions(
            tuple(folders) or (self.root,),
            tuple(only),
            tuple(include),
            tuple(exclude),
            config,
            weights,
            allow_pickle,
            retry,
            device,
            jobs,
            precision,
        )
        return tag_folders(self.home, options, progress=progress, stop=stop)

    def plan(
        self,
        folders: Sequence[PathLike] = (),
        *,
        only: Sequence[str] = (),
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        config: PathLike | None = None,
        weights: str | None = None,
        retry: bool = False,
    ) -> Plan:
        """What `tag` would do, and why. Nothing is changed.

        plan = library.plan()
        print(plan.found, "videos,", len(plan.jobs), "to open")
        """
        from tagline.tagging.library import TagOptions, check_folders, plan_folders

        options = TagOptions(
            tuple(folders) or (self.root,),
            tuple(only),
            tuple(include),
            tuple(exclude),
            config,
            weights,
            retry=retry,
        )
        check_folders(self.home, options.folders)
        known = self.home.file.exists()
        return plan_folders(self.catalog if known else Catalog.in_memory(self.root), options)

    # ---- looking

    def videos(self) -> Iterator[Video]:
        """Every video whose file was there when last looked for.

        for video in library.videos():
            print(video.id, video.paths[0], video.duration)
        """
        return self.catalog.videos()

    def find(self, named: Video | int | str | os.PathLike[str]) -> Video:
        """The video with this path, id, hash, name or part of a name.

        Raises VideoNotFound or AmbiguousVideo.

            library.find("holiday").paths
        """
        return find_video(self.catalog, named)

    def show(
        self, video: Video | int | str | os.PathLike[str], *, modalities: Collection[str] = ()
    ) -> VideoReport:
        """What is known of a video: tags, transcript, verdicts, and what was not looked at.

        for tag in library.show("holiday.mp4").tags:
            print(tag.text, tag.modality, tag.start, tag.end, tag.score)
        """
        from tagline.tagging.report import video_report

        return video_report(self.catalog, self.find(video), modalities)

    def tags(self, modality: str | None = None, *, rare: bool = False) -> list[TagUse]:
        """How often each tag is used, the most used first.

        [(use.tag, use.videos) for use in library.tags("object")]
        """
        from tagline.tagging.report import tag_uses

        return tag_uses(self.catalog, modality, rare=rare)

    def fused_tags(
        self, video: Video | int | str | os.PathLike[str], *, precision: float | None = None
    ) -> list[FusedTag]:
        """Each tag of a video once, with who gave it and how sure all are together.

        precision: only tags that are right so often, where people judged enough to know.

            [(tag.text, tag.score) for tag in library.fused_tags("holiday.mp4")]
        """
        from tagline.tagging.fusion.post_process import fused_tags

        return fused_tags(self.catalog, self.find(video), precision)[0]

    @property
    def verdicts(self) -> NamedVerdicts:
        """Accept, reject, add, rename, merge and alias tags; undo. What a person says wins.

        library.verdicts.reject("holiday.mp4", "cat")
        library.verdicts.undo()
        """
        from tagline.tagging.catalog.named_verdicts import NamedVerdicts

        return NamedVerdicts(self.catalog)

    # ---- finding

    def index(
        self,
        *,
        model: PathLike | None = None,
        weights: str | None = None,
        retry: bool = False,
        rebuild: bool = False,
        milvus: str | None = None,
        device: str | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> IndexResult:
        """Make the library searchable by meaning: embed what is new, bring the indexes up to date, tune.

        model: a TABLE model's folder; weights: CLIP of this collection. By default the model in use.

            print(library.index().embedded.progress.tagged, "videos embedded")
        """
        from tagline.retrieval.build import index_library

        return index_library(
            self.catalog,
            model=None if model is None else os.fspath(model),
            weights=weights,
            retry=retry,
            rebuild=rebuild,
            milvus=milvus,
            device=device,
            progress=progress,
        )

    def tune(self, *, progress: Say = silent) -> SearchParams:
        """Fit search to this library: hubness, the weight of each signal, and when nothing answers.

        library.tune(progress=print)
        """
        from tagline.retrieval.tune.tune import tune

        return tune(self.catalog, say=progress)

    def search(
        self,
        query: str,
        count: int = 10,
        *,
        tags: Sequence[str] = (),
        without: Sequence[str] = (),
        after: str | None = None,
        before: str | None = None,
        longer: float | str | None = None,
        rerank: bool = False,
    ) -> Answer:
        """The moments that answer a query, best first, at most one a video; none where nothing answers.

        tags, without: "dog", or "person:girl" for a modality. after, before: "2024", "2024-05" or
        "2024-05-17". longer: seconds, or "1:30". rerank: let a TABLE model look again. Searching needs no
        torch, but for rerank. Raises BadFilter.

            hits = library.search("a dog on the beach", tags=["object:ball"])
            if hits:
                print(hits[0].video.paths[0], hits[0].start, hits[0].why)
            else:
                print("nothing answers; the nearest:", hits.nearest[:1])
        """
        from tagline.retrieval.query.hits import Filters
        from tagline.retrieval.query.parse import parse_day, parse_duration, parse_tag
        from tagline.retrieval.query.rerank import reranked_answer
        from tagline.retrieval.query.search import answer

        filters = Filters(
            tuple(map(parse_tag, tags)),
            tuple(map(parse_tag, without)),
            None if after is None else parse_day(after),
            None if before is None else parse_day(before),
            None if longer is None else parse_duration(str(longer)),
        )
        look = reranked_answer if rerank else answer
        return look(self.catalog, query, count, filters)

    def similar(self, what: Video | int | str | os.PathLike[str], count: int = 10) -> list[SimilarVideo]:
        """Videos like a video of the library, or like any video or picture file; the most alike first.

        [(one.video.paths[0], one.score) for one in library.similar("holiday.mp4", 3)]
        """
        from tagline.retrieval.similar import similar_to

        return similar_to(self.catalog, what, count)

    def explain(self, query: str, video: Video | int | str | os.PathLike[str]) -> Explanation:
        """Why a video answers a query, or why not: what would be lost without each word and each tag.

        [(part.text, part.words) for part in library.explain("a dog", "holiday.mp4").words]
        """
        from tagline.retrieval.query.explain import explain

        return explain(self.catalog, query, self.find(video))

    def describe(self, video: Video | int | str | os.PathLike[str], count: int = 5) -> Description:
        """A sentence made of a video's tags, and the sentences of the library that fit it best.

        library.describe("holiday.mp4").sentence
        """
        from tagline.retrieval.similar import describe

        return describe(self.catalog, self.find(video), count)

    # ---- other programs

    def export(
        self,
        *formats: str,
        videos: Iterable[Video | int | str | os.PathLike[str]] | None = None,
        out: PathLike | None = None,
        modalities: Collection[str] = (),
        adobe_names: bool = False,
        dry_run: bool = False,
    ) -> list[ExportResult]:
        """Write tags for other programs: "xmp", "nfo", "vtt", "vtt-tags" beside the videos, "json", "csv",
        "parquet", "coco" as one file. A file that is there is merged: what is not ours stays.

        videos: paths, folders, names or ids; None: all. out: a folder to write into.

            for file in library.export("csv", out="exports"):
                print(file.path, file.state)
        """
        return list(
            self.exported(
                formats, videos, out=out, modalities=modalities, adobe_names=adobe_names, dry_run=dry_run
            )
        )

    def exported(
        self,
        formats: Sequence[str],
        videos: Iterable[Video | int | str | os.PathLike[str]] | None = None,
        *,
        out: PathLike | None = None,
        modalities: Collection[str] = (),
        adobe_names: bool = False,
        dry_run: bool = False,
    ) -> Iterator[ExportResult]:
        """As `export`, one file after another.

        for written in library.exported(["json"]):
            print(written)
        """
        from tagline.tagging.formats.export import export_named

        return export_named(
            self.catalog,
            formats,
            videos,
            out=out,
            modalities=modalities,
            adobe_names=adobe_names,
            dry_run=dry_run,
        )

    def import_files(self, *files: PathLike) -> list[ImportResult]:
        """Read tags that other programs wrote: files, or folders of sidecars. Twice is as once.

        [(taken.path, taken.added) for taken in library.import_files("tags.csv")]
        """
        from tagline.tagging.formats.importer import import_files

        return list(import_files(self.catalog, [Path(file) for file in files]))

    # ---- measuring

    def evaluate(
        self,
        queries: PathLike | None = None,
        *,
        model: PathLike | None = None,
        progress: Say = silent,
    ) -> SearchEvaluation:
        """How well the library's own videos are found, by every way of searching that it has.

        queries: a CSV with the columns query and video; by default the library's captions, or people's tags.
        model: a TABLE model to measure beside them, before and after its training.

            for system in library.evaluate().systems:
                print(system.name, system.figures.r1)
        """
        from tagline.retrieval.evaluate import evaluate_library

        return evaluate_library(self.catalog, queries, model=model, say=progress)

    def use(self, model: PathLike, *, progress: Say = silent) -> Path:
        """Search by this TABLE model from now on: the library is embedded with it.

        Returns its folder.

        `evaluate(model=...)` says whether it finds more than the model in use.

            library.use("models/mine")
        """
        from tagline.retrieval.evaluate import model_folder, put_to_use

        folder = model_folder(Path(model))
        put_to_use(self.catalog, folder, progress)
        return folder


def train(
    data: Library | PathLike,
    model: Literal["table", "tagger", "ranker"] = "table",
    *,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    out: PathLike | None = None,
    device: str | None = None,
    progress: Say = silent,
) -> TrainResult:
    """Train a model on a library: "table" finds videos, "tagger" writes tags, "ranker" says which fit.

    preset: where settings start (`tagline train settings` lists them); settings: those to change.
    out: the model's folder, by default beside the catalog. The same call goes on with a run that was
    interrupted. Raises BadConfig, and WeightsMissing with the command to run.

        result = tagline.train("~/Videos", "table", settings={"epochs": 3})
        print(result.folder, result.figures)
    """
    from tagline.tagging.ml.config import BadConfig, with_settings

    if model not in ("table", "tagger", "ranker"):
        raise BadConfig(f"there is no model {model!r} to train; there are table, tagger or ranker")
    if model == "ranker" and preset is not None:
        raise BadConfig("a ranker has no presets; name its settings")
    listed = [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in (settings or {}).items()
    ]
    with (
        nullcontext(data.catalog)
        if isinstance(data, Library)
        else Catalog.open(data, create=False) as catalog
    ):
        if model == "table":
            from tagline.table.config import load_preset as table_preset
            from tagline.table.train import train_library as train_table

            name = preset or "msrvtt"
            config = with_settings(table_preset(name), listed)
            return train_table(catalog, config, name, out, device=device, say=progress)
        if model == "tagger":
            from tagline.tagging.generator.config import load_preset
            from tagline.tagging.generator.train import train_library as train_tagger

            name = preset or "small"
            config = with_settings(load_preset(name), listed)
            return train_tagger(catalog, config, name, out, device=device, say=progress)
        from tagline.tagging.ranker.config import RankerConfig
        from tagline.tagging.ranker.train import train_library as train_ranker

        config = with_settings(RankerConfig(), listed)
        return train_ranker(catalog, config, out, device=device, say=progress)

"""Tagging a library from Python: what `Library.tag`, `Library.plan` and the commands `tag` and `plan` do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tagline.experts.panel import Expert, Panel
from tagline.tagging.catalog.location import Home
from tagline.tagging.catalog.lock import only_writer
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.uploads import has_labels
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline import plan as planning
from tagline.tagging.pipeline import settings
from tagline.tagging.pipeline.plan import Plan
from tagline.tagging.pipeline.progress import Progress, RunResult
from tagline.tagging.pipeline.run import run
from tagline.tagging.pipeline.settings import Settings
from tagline.tagging.pipeline.walk import covers
from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.tagging.fusion.post_process import PostProcessResult

OnProgress = Callable[[Progress], None]
NO_LABELS = (
    "no precision can be promised before somebody has tagged or judged some videos; see `tagline tags`"
)


class FolderNotFound(CatalogError):
    """A folder that is not there, and in which the catalog knows no video."""


class NoExpert(CatalogError):
    """No expert can run here. `reasons`: each with what it lacks."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("no expert can run here, so nothing was looked at")
        self.reasons = dict(reasons)


@dataclass(frozen=True, slots=True)
class TagOptions:
    """What a run shall do, and how."""

    folders: Sequence[str | os.PathLike[str]]
    only: Sequence[str] = ()  # experts that shall look; none: those of the settings
    include: Sequence[str] = ()  # patterns of file names
    exclude: Sequence[str] = ()
    config: str | os.PathLike[str] | None = None  # a file of settings
    weights: str | None = None  # a collection: "public" or "playhouse"
    allow_pickle: bool = False
    retry: bool = False  # what failed before
    device: str | None = None
    jobs: int | None = None  # files decoded at the same time
    precision: float | None = None  # that the fused tags shall have

    @property
    def reads_catalog(self) -> bool:
        """Whether experts are asked for that need no file: there is work even if no other can run."""
        return bool(set(self.only) & set(settings.CATALOG_EXPERTS))

    def fuses(self, catalog: Catalog) -> bool:
        """Whether tags of similar videos and the fused tags follow."""
        return self.wants_fusion and has_labels(catalog)

    @property
    def wants_fusion(self) -> bool:
        return self.reads_catalog or self.precision is not None or not self.only


@dataclass(frozen=True, slots=True)
class TagResult:
    """How a run ended."""

    run: RunResult
    fused: PostProcessResult | None = None  # None: nobody has judged or tagged anything to learn from

    @property
    def plan(self) -> Plan:
        return self.run.plan

    @property
    def stopped(self) -> bool:
        return self.run.stopped

    @property
    def failures(self) -> list[tuple[str, str, str]]:
        """(path, expert or "", reason) of what could not be looked at."""
        return self.run.failures


class TagRun:
    """A catalog that is held for one run, and the plan of it."""

    def __init__(self, catalog: Catalog, options: TagOptions, plan: Plan | None = None) -> None:
        self.catalog, self.options = catalog, options
        self.settings, experts, not_run = _panel(catalog, options)
        self.plan = plan or _plan(catalog, options, self.settings, experts, not_run)

    def look(
        self,
        progress: OnProgress | None = None,
        stage: Callable[[str, int], None] | None = None,
        stop: threading.Event | None = None,
    ) -> RunResult:
        """Let the experts look at what is new or stale. Raises NoExpert."""
        made, options = self.plan, self.options
        progress = progress or (lambda state: None)
        if made.nothing_found:
            return RunResult(made, Progress(0))
        if not made.experts and len(made.jobs) > made.moved and not options.reads_catalog:
            raise NoExpert(made.not_run)
        device = _device(made, options.device or self.settings.device)
        panel = Panel(made.experts, device=device, jobs=options.jobs or self.settings.jobs)
        panel.batch = self.settings.batch
        if stage is not None:
            panel.on_stage = stage
        progress(Progress(total=len(made.jobs)))
        return run(made, panel, progress, stop)

    def post_process(self, outcome: RunResult) -> TagResult:
        """Tags of similar videos and the fused tags, where people have said something to learn from."""
        options = self.options
        if outcome.stopped or self.plan.nothing_found or not options.wants_fusion:
            return TagResult(outcome)
        if not has_labels(self.catalog):
            if options.precision is not None:
                outcome.messages.append(NO_LABELS)
            return TagResult(outcome)
        from tagline.tagging.fusion.post_process import post_process

        found = post_process(
            self.catalog, self.settings, collection=options.weights, precision=options.precision
        )
        outcome.experts |= found.shares
        return TagResult(outcome, found)


def tag_folders(
    home: Home,
    options: TagOptions,
    *,
    progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> TagResult:
    """Let the experts look at what is new or stale in the folders, then fuse what they say."""
    with tag_run(home, options) as work:
        return work.post_process(work.look(progress, stop=stop))


@contextmanager
def tag_run(home: Home, options: TagOptions) -> Iterator[TagRun]:
    """The catalog, held against other writers while the run goes on.

    Where there is none yet, it is made only if there is something to tag.
    """
    check_folders(home, options.folders)
    first: Plan | None = None
    if not home.file.exists():
        with Catalog.in_memory(home.root) as empty:
            work = TagRun(empty, options)
            if work.plan.nothing_found:
                yield work
                return
            first = work.plan
    with Catalog.open(home) as catalog, only_writer(catalog):
        yield TagRun(catalog, options, first.for_catalog(catalog) if first is not None else None)


def plan_folders(catalog: Catalog, options: TagOptions) -> Plan:
    """What a run would do and why. Nothing is changed."""
    return TagRun(catalog, options).plan


@contextmanager
def open_or_empty(home: Home) -> Iterator[Catalog]:
    """The catalog, or where there is none yet an empty one that leaves no trace."""
    with Catalog.open(home) if home.file.exists() else Catalog.in_memory(home.root) as catalog:
        yield catalog


def check_folders(home: Home, folders: Sequence[str | os.PathLike[str]]) -> None:
    """A folder that is not there is a slip of the keyboard, unless the catalog knows videos in it.

    Raises FolderNotFound.
    """
    absent = [os.fspath(folder) for folder in folders if not os.path.lexists(folder)]
    if not absent:
        return
    known: set[str] = set()
    with ExitStack() as stack:
        places = stack.enter_context(Catalog.open(home)).places() if home.file.exists() else ()
        for _, path, _ in places:
            known.update(folder for folder in absent if covers([os.path.realpath(folder)], path))
    for folder in absent:
        if folder not in known:
            raise FolderNotFound(f"there is no folder {safe(folder)!r}")


def _panel(catalog: Catalog, options: TagOptions) -> tuple[Settings, list[Expert], dict[str, str]]:
    """The settings, the experts that they make, and why the others cannot be made."""
    config = None if options.config is None else os.fspath(options.config)
    chosen = settings.load_settings(config, catalog.root)
    experts, not_run = chosen.panel(
        options.only, collection=options.weights, allow_pickle=options.allow_pickle
    )
    return chosen, experts, not_run


def _plan(
    catalog: Catalog,
    options: TagOptions,
    chosen: Settings,
    experts: Sequence[Expert],
    not_run: Mapping[str, str],
) -> Plan:
    made = planning.plan(
        catalog,
        options.folders,
        experts,
        include=options.include,
        exclude=options.exclude,
        retry=options.retry,
    )
    absent = {**not_run, **made.not_run}
    made.not_run = {name: absent[name] for name in chosen.chosen(options.only) if name in absent} or absent
    return made


def _device(made: Plan, wish: str) -> str:
    """Which device computes; torch is only asked where an expert may compute with it."""
    wanted = {module for expert in made.experts for module in getattr(expert, "modules", ("torch",))}
    if wish != "auto" or not made.looks or wanted.isdisjoint(("torch", "ultralytics")):
        return "cpu" if wish == "auto" else wish
    from tagline.experts.devices import choose_device

    return choose_device(wish)

"""The panel: the experts at work together. Each footage is decoded once and read by all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tagline.experts import extras
from tagline.experts.footage import Footage, Sampling, Unreadable, distinct_samplings
from tagline.experts.tags import Modality, Report

ENTRY_POINTS = "tagline.experts"

# Named here, imported when asked for: `tagline --help` must not load a model library.
BUILT_IN = {
    "object": "tagline.experts.objects:ObjectExpert",
    "person": "tagline.experts.objects:PersonExpert",
    "scene": "tagline.experts.scene:SceneExpert",
    "motion": "tagline.experts.motion:MotionExpert",
    "speech": "tagline.experts.speech:SpeechExpert",
    "screen": "tagline.experts.screen:ScreenExpert",
}


@runtime_checkable
class Expert(Protocol):
    """Anything that turns footage into tags. Its constructor takes its settings as keywords."""

    name: str
    modality: Modality
    version: str  # changes whenever the same footage may give another report
    needs: tuple[Sampling, ...]

    def missing(self) -> str | None:
        """Why it cannot run here, as one sentence that names the command to run; None if it can."""

    def fingerprint(self) -> str:
        """sha256 over everything that its reports depend on: name, version, settings, weights."""

    def load(self, device: str) -> None:
        """Load the models. Called once, before the first batch; `device` is torch's name of it."""

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        """One report a footage, in order. The reports do not depend on how footage is batched."""


class UnknownExpert(ValueError):
    pass


def available_experts() -> dict[str, str]:
    """Every expert that can be had here: name to where it comes from. Built-in names come first."""
    found = dict(BUILT_IN)
    for entry in entry_points(group=ENTRY_POINTS):
        found.setdefault(entry.name, entry.value)
    return found


def build_expert(name: str, settings: Mapping[str, Any] | None = None) -> Expert:
    """Make one expert by its name; `settings["use"]` puts another implementation in its place."""
    options = dict(settings or {})
    found = available_experts()
    target = options.pop("use", name)
    if target not in found:
        raise UnknownExpert(f"there is no expert called {target!r}; there are {', '.join(found)}")
    module, _, attribute = found[target].partition(":")
    return getattr(import_module(module), attribute)(**options)


@dataclass(frozen=True, slots=True)
class Failed:
    """An expert that gave no report on a video, and why, in words for people."""

    reason: str


@dataclass(slots=True)
class PanelResult:
    """What the panel makes of one file."""

    path: Path
    footage: Footage | None  # None: the file could not be read; closed once the caller goes on
    unreadable: str | None = None
    reports: dict[str, Report | Failed] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # this video's share of each expert's time

    def close(self) -> None:
        if self.footage is not None:
            self.footage.close()


@dataclass(slots=True)
class PanelTiming:
    """Where the panel's wall time went."""

    waiting: float = 0.0  # for the decoder
    experts: dict[str, float] = field(default_factory=dict)


class Panel:
    """Several experts over many files.

    `wanted` narrows the work: for a path, the names of the experts that still have to look at it.
    """

    def __init__(
        self,
        experts: Sequence[Expert],
        *,
        device: str = "cpu",
        jobs: int | None = None,
        batch: int = 8,
    ) -> None:
        self.experts = list(experts)
        self.device = device
        self.jobs = jobs
        self.batch = batch
        self.timing = PanelTiming()
        self.messages: list[str] = []  # said once each: fallbacks that people should know of
        self.on_stage: Callable[[str, int], None] = lambda stage, videos: None  # "reading" or an expert
        self.stopping: Callable[[], bool] = lambda: False  # true: what is in hand is the last
        # What a video is called by those who know it better than its file; None: as in the file.
        self.title_of: Callable[[Path], str | None] = lambda path: None
        self.broken: dict[str, str] = {}  # experts that could not be loaded, and why; they give no reports
        self._loaded: set[str] = set()

    def run(self, work: Iterable[tuple[Path, Sequence[str]]]) -> Iterator[PanelResult]:
        """Read every file once and let the experts named with it look. Yields in the order of `work`.

        One bad file, one expert that raises, one decoder that dies costs that file or that report.
        """
        from tagline.experts.decode.decoder import Decoder

        by_name = {expert.name: expert for expert in self.experts}
        self.timing = PanelTiming()
        names_of: list[tuple[Path, tuple[str, ...]]] = []

        def orders() -> Iterator[tuple[Path, tuple[Sampling, ...]]]:
            for path, names in work:
                names_of.append((path, tuple(names)))
                yield path, distinct_samplings(need for name in names for need in by_name[name].needs)

        with ExitStack() as stack:
            decoder = stack.enter_context(Decoder(jobs=self.jobs))
            decoded = iter(decoder.read_all(orders()))
            size = 1  # grows, so that the models do not wait for a whole batch to be decoded at the start
            while not self.stopping() and (group := self._take(decoded, names_of, size)):
                try:
                    self.run_batch(group)
                    for seen, _ in group:
                        yield seen
                        seen.close()
                finally:
                    for seen, _ in group:
                        seen.close()
                size = min(2 * size, self.batch)

    def _take(
        self,
        decoded: Iterator[tuple[Path, Footage | Unreadable]],
        names_of: list[tuple[Path, tuple[str, ...]]],
        size: int,
    ) -> list[tuple[PanelResult, tuple[str, ...]]]:
        """The next videos, at most `size`."""
        group: list[tuple[PanelResult, tuple[str, ...]]] = []
        asked = time.perf_counter()
        self.on_stage("reading", size)
        for path, result in decoded:
            _, names = names_of.pop(0)
            if isinstance(result, Unreadable):
                group.append((PanelResult(path, None, unreadable=str(result)), ()))
            else:
                title = self.title_of(path)
                if title is not None:
                    result.facts = replace(result.facts, title=title)
                group.append((PanelResult(path, result), names))
            if len(group) == size or self.stopping():
                break
        self.timing.waiting += time.perf_counter() - asked
        return group

    def run_batch(self, group: Sequence[tuple[PanelResult, Sequence[str]]]) -> None:
        """Let the experts look at footage that is there: at each video those that are named with it."""
        for expert in self.experts:
            name = expert.name
            wanted = [seen for seen, names in group if name in names]
            if not wanted:
                continue
            self.on_stage(name, len(wanted))
            begun = time.perf_counter()
            if not self._ready(expert):
                continue
            for seen, report in zip(wanted, self._ask(expert, wanted), strict=True):
                seen.reports[name] = report
            spent = time.perf_counter() - begun
            self.timing.experts[name] = self.timing.experts.get(name, 0.0) + spent
            for seen in wanted:
                seen.seconds[name] = spent / len(wanted)

    def _ask(self, expert: Expert, asked: Sequence[PanelResult]) -> list[Report | Failed]:
        """One report a video. A batch that fails is asked again one by one, so one video fails alone."""
        footage = [seen.footage for seen in asked if seen.footage is not None]
        try:
            return self._reports(expert, footage)
        except Exception as error:
            if _out_of_memory(error) and len(asked) == 1 and self.device != "cpu":
                self._say(
                    f"{expert.name}: one video is too much for the memory of {self.device}, "
                    "so it goes on with the CPU"
                )
                return self._ask_on_cpu(expert, footage)
            if len(asked) == 1:
                return [Failed(_in_words(error))]
        half = len(asked) // 2
        return [*self._ask(expert, asked[:half]), *self._ask(expert, asked[half:])]

    def _ask_on_cpu(self, expert: Expert, footage: list[Footage]) -> list[Report | Failed]:
        try:
            expert.load("cpu")
            return self._reports(expert, footage)
        except Exception as error:
            return [Failed(_in_words(error))] * len(footage)

    def _reports(self, expert: Expert, footage: list[Footage]) -> list[Report | Failed]:
        reports = list(expert(footage))
        if len(reports) != len(footage):
            raise ValueError(f"gave {len(reports)} reports on {len(footage)} videos")
        return [*reports]

    def _ready(self, expert: Expert) -> bool:
        """Load an expert's models, once. One that cannot be loaded is not asked again in this run."""
        for device in dict.fromkeys((self.device, "cpu")):
            if expert.name in self._loaded or expert.name in self.broken:
                break
            try:
                expert.load(device)
                self._loaded.add(expert.name)
            except Exception as error:
                if device != "cpu" and _out_of_memory(error):
                    self._say(f"{expert.name}: too much for the memory of {device}; it goes on with the CPU")
                    continue
                absent = extras.from_import_error(error) if isinstance(error, ImportError) else None
                why = absent or f"it could not be loaded ({_in_words(error)})"
                self.broken[expert.name] = f"not run: {why}"
        return expert.name in self._loaded

    def _say(self, message: str) -> None:
        if message not in self.messages:
            self.messages.append(message)


def _out_of_memory(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower()


def _in_words(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__

"""The panel: the experts at work together. Each footage is decoded once and read by all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from tagline.experts import extras
from tagline.experts.base import Expert
from tagline.experts.footage import Footage, Sampling, Sound, Unreadable, Work, distinct_samplings
from tagline.experts.tags import Report

NO_PICTURES = "there are no pictures to look at"


@dataclass(frozen=True, slots=True)
class Failed:
    """An expert that gave no report on a video, and why, in words for people."""

    reason: str


@dataclass(slots=True)
class PanelResult:
    """What the panel makes of one file."""

    work: Work
    footage: Footage | None  # None: the file could not be read; closed once the caller goes on
    unreadable: str | None = None
    reports: dict[str, Report | Failed] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # this video's share of each expert's time

    @property
    def path(self) -> Path:
        return self.work.path

    def close(self) -> None:
        if self.footage is not None:
            self.footage.close()


@dataclass(slots=True)
class PanelTiming:
    """Where the panel's wall time went."""

    waiting: float = 0.0  # for the decoder
    experts: dict[str, float] = field(default_factory=dict)


class Panel:
    """Several experts over many files."""

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
        self.on_reports: Callable[[Sequence[PanelResult]], None] = lambda seen: (
            None
        )  # an expert is done with them
        self.stopping: Callable[[], bool] = lambda: False  # true: what is in hand is the last
        self.broken: dict[str, str] = {}  # experts that could not be loaded, and why; they give no reports
        self._loaded: set[str] = set()

    def run(self, work: Iterable[Work]) -> Generator[PanelResult, None, None]:
        """Read every file once and let the experts named with it look. Yields in the order of `work`.

        One bad file, one expert that raises, one decoder that dies costs that file or that report.
        """
        from tagline.experts.decode.decoder import Decoder

        self.timing = PanelTiming()
        needs = {expert.name: expert.needs for expert in self.experts}

        def orders() -> Iterator[tuple[Work, tuple[Sampling, ...]]]:
            for one in work:
                yield one, distinct_samplings(need for name in one.experts for need in needs[name])

        with ExitStack() as stack:
            decoder = stack.enter_context(Decoder(jobs=self.jobs))
            decoded = iter(decoder.read_all(orders()))
            size = 1  # grows, so that the models do not wait for a whole batch to be decoded at the start
            while not self.stopping() and (group := self._take(decoded, size)):
                try:
                    self.run_batch(group)
                    for seen in group:
                        yield seen
                        seen.close()
                finally:
                    for seen in group:
                        seen.close()
                size = min(2 * size, self.batch)

    def _take(self, decoded: Iterator[tuple[Work, Footage | Unreadable]], size: int) -> list[PanelResult]:
        """The next videos, at most `size`."""
        group: list[PanelResult] = []
        asked = time.perf_counter()
        self.on_stage("reading", size)
        for work, result in decoded:
            if isinstance(result, Unreadable):
                group.append(PanelResult(work, None, unreadable=str(result)))
            else:
                if work.title is not None:
                    result.facts = replace(result.facts, title=work.title)
                group.append(PanelResult(work, result))
            if len(group) == size or self.stopping():
                break
        self.timing.waiting += time.perf_counter() - asked
        return group

    def run_batch(self, group: Sequence[PanelResult]) -> None:
        """Let the experts look at footage that is there: at each video those that are named with it."""
        for expert in self.experts:
            name = expert.name
            wanted = [seen for seen in group if seen.footage is not None and name in seen.work.experts]
            for seen in wanted:
                if why := _excuse(expert, seen.footage):
                    seen.reports[name] = Report(notes=[why])
            wanted = [seen for seen in wanted if name not in seen.reports]
            if not wanted:
                continue
            self.on_stage(name, len(wanted))
            begun = time.perf_counter()
            if not self._ready(expert):
                continue
            for seen, report in zip(wanted, self._ask(expert, wanted), strict=True):
                if isinstance(report, Report) and seen.footage is not None:
                    report.facts |= looks_of(expert, seen.footage)
                seen.reports[name] = report
            spent = time.perf_counter() - begun
            self.timing.experts[name] = self.timing.experts.get(name, 0.0) + spent
            for seen in wanted:
                seen.seconds[name] = spent / len(wanted)
            self.on_reports(wanted)

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


def _excuse(expert: Expert, footage: Footage | None) -> str | None:
    """Why an expert need not be asked about a footage: no pictures, or weights that were made for others."""
    if footage is None:
        return None
    senses = {isinstance(need, Sound) for need in expert.needs}
    if not footage.facts.has_pictures and False in senses:
        return f"{NO_PICTURES}, and it needs them beside the sound" if True in senses else NO_PICTURES
    refuses = getattr(expert, "refuses", None)
    return None if refuses is None else refuses(footage)


def looks_of(expert: Expert, footage: Footage) -> dict[str, int]:
    """How often an expert looked at a video, as its report's facts keep it; nothing of one that listens."""
    views = [footage.view(need) for need in expert.needs if not isinstance(need, Sound)]
    return {"looks": sum(len(view.times) for view in views)} if views else {}


def _out_of_memory(error: Exception) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower()


def _in_words(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__

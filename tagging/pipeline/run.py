"""The run over folders: let the panel look at what is stale, write each video down, go on after anything."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from tagline.experts.base import Expert, modalities_of
from tagline.experts.decode.child import HALTED
from tagline.experts.footage import Coverage, Work
from tagline.experts.panel import Failed, Panel, PanelResult
from tagline.experts.tags import Report
from tagline.tagging.catalog.records import Look, Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import Plan, PlannedFile, StalenessRule, decoder_version, stale_in_catalog
from tagline.tagging.pipeline.progress import FAILURES_LISTED, ExpertTotals, Progress, RunResult
from tagline.tagging.pipeline.walk import content_hash, file_identity, readable, same_file

LONG = 60.0  # seconds of a video of which each expert's report is kept as soon as it is there
HASHED_AHEAD = 4  # files hashed before the decoder asks for them

# Reasons that say nothing about the file: it is tried again by the next run.
TRANSIENT = (
    "could not be decoded: no decoder could be started",
    HALTED,
    "may not be read",
    "is not there",
    "cannot be reached",
)


CHANGED = "changed or went away while it was being read; the next run reads it again"

Hashed = tuple[str, tuple[int, ...] | None]  # the hash of a file's content, and its state then


def run(
    made: Plan,
    panel: Panel,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop: threading.Event | None = None,
) -> RunResult:
    """Carry out a plan. Each video is written down in one transaction as soon as all have looked at it.

    `stop`: once it is set, what is in hand is finished and written, and nothing more is begun. Whatever
    else ends the run, the next one goes on where it ended.
    """
    return _Run(made, panel, on_progress, stop or threading.Event()).carry_out()


@dataclass(slots=True)
class _InFlight:
    """A file on its way through the panel: the job of a `Work`."""

    place: Place
    digest: str
    state: tuple[int, ...] | None  # as it was when it was hashed
    copies: list[Place] = field(default_factory=list)  # found meanwhile, with the same content
    kept: set[str] = field(default_factory=set)  # experts whose reports are in the catalog already


def _unchanged(file: _InFlight) -> bool:
    """Whether the file is still the one that was hashed."""
    return same_file(file.place) and file_identity(file.place.path) == file.state


class _Run:
    def __init__(
        self, made: Plan, panel: Panel, on_progress: Callable[[Progress], None], stop: threading.Event
    ) -> None:
        if not isinstance(made.catalog, Catalog):
            raise TypeError("a run needs a catalog that can be written to")
        self.made, self.panel, self.on_progress, self.stop = made, panel, on_progress, stop
        self.catalog: Catalog = made.catalog
        self.rule = StalenessRule.of_experts(made.experts, retry=made.retry)
        self.progress = Progress(total=len(made.jobs))
        self.outcome = RunResult(
            made, self.progress, {expert.name: ExpertTotals() for expert in made.experts}
        )
        self.experts = {expert.name: expert for expert in made.experts}
        self.in_flight: dict[str, _InFlight] = {}  # by digest, so that copies find it

    def carry_out(self) -> RunResult:
        begun = time.monotonic()
        self.catalog.mark_gone(self.made.gone)
        self.catalog.mark_gone(self.made.returned, gone=False)
        self.catalog.drop_path_failures(self.made.gone_failures)
        self.panel.stopping = self.stop.is_set
        self.panel.on_reports = self._keep
        if self.made.jobs:
            with closing(self._work()) as work, closing(self.panel.run(work)) as stream:
                for seen in stream:
                    self._write(seen)
        self.outcome.seconds = time.monotonic() - begun
        self.outcome.messages += self.panel.messages
        self.outcome.not_run = {**self.made.not_run, **self.panel.broken}
        self.outcome.stopped = self.stop.is_set() and self.progress.done < self.progress.total
        self._store_pace()
        return self.outcome

    def _work(self) -> Generator[Work, None, None]:
        """What the panel still has to look at; what it need not is dealt with on the way."""
        for job, hashed in _hashed(self.made.jobs):
            if self.stop.is_set():
                return
            path = job.place.path
            if isinstance(hashed, OSError):
                self._no_access(path, _os_error_text(hashed))
                continue
            digest, state = hashed
            if not readable(path):
                self._no_access(path, "may not be read (permission denied)")
                continue
            twin = self.in_flight.get(digest)
            if twin is not None:
                twin.copies.append(job.place)
                continue
            # Now that the content is known, it may turn out to be a copy of one that is done.
            video_id = self.catalog.id_of_hash(digest)
            if video_id is None:
                names = self.rule.names
            else:
                names = stale_in_catalog(self.catalog, self.rule, video_id).names
            if video_id is not None and not names:
                self.catalog.put_path(video_id, job.place)
                self._done(path, skipped=True)
                continue
            known = None if video_id is None else self.catalog.video(video_id)
            self.in_flight[digest] = file = _InFlight(job.place, digest, state)
            yield Work(Path(path), names, known.title or None if known is not None else None, file)

    def _keep(self, done: Sequence[PanelResult]) -> None:
        """Write what is found in long videos as soon as an expert is done: a run that is killed while the
        next one looks has lost what that one found, and not all."""
        for seen in done:
            file: _InFlight = seen.work.job
            if seen.footage is None or (seen.footage.facts.duration or 0.0) < LONG or not _unchanged(file):
                continue
            looks = [one for one in looks_of(seen, self.experts, self.rule) if one.expert not in file.kept]
            self.catalog.save(file.digest, file.place, facts=seen.footage.facts, looks=looks)
            file.kept |= {look.expert for look in looks}

    def _write(self, seen: PanelResult) -> None:
        """One video's result, in one transaction, but for what is there already."""
        file: _InFlight = seen.work.job
        del self.in_flight[file.digest]
        path = file.place.path
        if not _unchanged(file):
            self._no_access(path, CHANGED)
        elif seen.unreadable is not None and seen.unreadable.startswith(TRANSIENT):
            self._no_access(path, seen.unreadable)
        else:
            looks = looks_of(seen, self.experts, self.rule)
            with self.catalog.transaction():
                video_id = self.catalog.save(
                    file.digest,
                    file.place,
                    facts=seen.footage.facts if seen.footage is not None else None,
                    looks=[look for look in looks if look.expert not in file.kept],
                    unreadable=seen.unreadable,
                    decoder=decoder_version(),
                )
                for copy in file.copies:
                    self.catalog.put_path(video_id, copy)
            self._count(path, looks, seen.unreadable)
        for copy in file.copies:
            self._done(copy.path, skipped=True)

    def _count(self, path: str, looks: list[Look], unreadable: str | None) -> None:
        reasons = [] if unreadable is None else [("", unreadable)]
        for look in looks:
            share = self.outcome.experts[look.expert]
            share.videos += 1
            share.seconds += look.seconds or 0.0
            if isinstance(look.report, Report):
                share.tags += len(look.report.tags)
            else:
                share.failed += 1
                reasons.append((look.expert, look.reason or ""))
        for expert, reason in reasons:
            self._add_failure(path, expert, reason)
        self._done(path, reason="; ".join(f"{e}: {r}" if e else r for e, r in reasons) or None)

    def _no_access(self, path: str, reason: str) -> None:
        """A failure of the path, not of what is in it: the next run tries again."""
        self.catalog.put_failure(reason, "", path=path)
        self._add_failure(path, "", reason)
        self._done(path, reason=reason)

    def _add_failure(self, path: str, expert: str, reason: str) -> None:
        if len(self.outcome.failures) < FAILURES_LISTED:
            self.outcome.failures.append((path, expert, reason))

    def _done(self, path: str, *, reason: str | None = None, skipped: bool = False) -> None:
        progress = self.progress
        progress.done += 1
        progress.failed += reason is not None
        progress.skipped += skipped
        progress.tagged += reason is None and not skipped
        progress.path, progress.reason = path, reason
        self.on_progress(progress)

    def _store_pace(self) -> None:
        """Wall time over the experts' own time, for the next estimate."""
        spent = sum(share.seconds for share in self.outcome.experts.values())
        if self.progress.tagged >= 3 and spent > 0:
            self.catalog.set_meta("pace", f"{self.outcome.seconds / spent:.3f}")


def looks_of(seen: PanelResult, experts: Mapping[str, Expert], rule: StalenessRule) -> list[Look]:
    """What the experts said of a video, each with what it was made by: for the catalog or for shards."""
    coverage = seen.footage.coverage if seen.footage is not None else Coverage()
    looks = []
    for name, said in seen.reports.items():
        modality, *also = modalities_of(experts[name])
        look = Look(name, modality, *rule.current[name], coverage=coverage, also=tuple(also))
        look.seconds = seen.seconds.get(name)
        if isinstance(said, Failed):
            look.reason = said.reason
        else:
            modalities = [modality, *also] if also else []
            provenance = {"weights": list(rule.weights.get(name, ())), "modalities": modalities}
            known = {key: values for key, values in provenance.items() if values}
            look.report = replace(said, facts={**said.facts, **known})
        looks.append(look)
    return looks


def _hashed(jobs: list[PlannedFile]) -> Iterator[tuple[PlannedFile, Hashed | OSError]]:
    """Each job with its content's hash; a thread hashes ahead, so that nobody waits for the disk twice."""
    ahead: deque[tuple[PlannedFile, Future[Hashed] | str]] = deque()
    ended = threading.Event()
    pool = ThreadPoolExecutor(1, "hash")
    try:
        for job in jobs:
            ahead.append((job, job.digest or pool.submit(_hash, job.place.path, ended.is_set)))
            if len(ahead) > HASHED_AHEAD:
                yield _hash_result(*ahead.popleft())
        while ahead:
            yield _hash_result(*ahead.popleft())
    finally:
        ended.set()  # a file of many gigabytes must not keep an interrupted run alive
        pool.shutdown(cancel_futures=True)


def _hash(path: str, given_up: Callable[[], bool]) -> Hashed:
    before = file_identity(path)
    digest = content_hash(path, given_up)
    if file_identity(path) != before:
        raise OSError(errno.EBUSY, CHANGED)
    return digest, before


def _hash_result(job: PlannedFile, answer: Future[Hashed] | str) -> tuple[PlannedFile, Hashed | OSError]:
    if isinstance(answer, str):
        return job, (answer, file_identity(job.place.path))
    try:
        return job, answer.result()
    except OSError as error:
        return job, error


def _os_error_text(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "may not be read (permission denied)"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "is not there any more"
    if error.errno == errno.EBUSY and error.strerror == CHANGED:
        return CHANGED
    return f"cannot be read ({(error.strerror or str(error)).lower()})"

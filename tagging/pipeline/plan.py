"""What a run over folders would do, and why: which expert still has to look at which video."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from os import PathLike

from tagline.experts.base import Expert, weights_of
from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.catalog.records import Place
from tagline.tagging.pipeline.walk import Walk, content_hash, covers, file_states
from tagline.tagging.printable import safe

NEW = "new"
CHANGED = "the file changed"
NOT_YET_RUN = "this expert has not looked yet"
VERSION = "the expert is another version"
SETTINGS = "other weights or settings"
RETRY = "failed before, tried again"
OTHER_DECODER = "could not be read before, the decoder is another version"


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file that has to be opened.

    names: the experts that shall look, as far as known before the file is hashed; none where only its
    place is to be written down. why: a reason for each of them.
    """

    place: Place
    names: tuple[str, ...]
    why: tuple[str, ...]
    digest: str | None = None  # None: not hashed yet


@dataclass(slots=True)
class Plan:
    """What a run would do. Made by `plan`, carried out by `pipeline.run.run`."""

    catalog: CatalogReader
    folders: list[str]
    experts: list[Expert]  # those that can run here
    retry: bool = False
    jobs: list[PlannedFile] = field(default_factory=list)
    found: int = 0  # video files
    unchanged: int = 0
    moved: int = 0  # files whose content is known from another place: they cost nothing
    failed_before: int = 0  # files that failed in an earlier run and would fail again
    not_run: dict[str, str] = field(default_factory=dict)  # expert: why it cannot run
    skipped: Counter[str] = field(default_factory=Counter)  # what was passed over
    troubles: list[str] = field(default_factory=list)  # what could not be opened
    gone: list[str] = field(default_factory=list)  # known files that are not there any more
    gone_for_good: int = 0  # of these, files whose content was not found at another place either
    gone_failures: list[str] = field(default_factory=list)  # files that could not be opened and are gone
    returned: list[str] = field(default_factory=list)  # known files that are there again
    unreachable: int = 0  # known files of which one cannot tell

    @property
    def looks(self) -> Counter[tuple[str, str]]:
        """(expert, why): how many videos."""
        return Counter((name, why) for job in self.jobs for name, why in zip(job.names, job.why, strict=True))

    def seconds(self) -> tuple[float | None, list[str]]:
        """About how long it would take, from what earlier runs took for a second of video; and the experts
        of which that is unknown. None if it is unknown of all.

        Of a file that was never opened, the length is guessed from its size.
        """
        usual, in_a_byte = self.catalog.usual_cost(), self.catalog.usual_length()
        lengths: defaultdict[str, float] = defaultdict(float)  # seconds of video, by expert
        for job in self.jobs:
            known = self.catalog.length_of_hash(job.digest) if job.digest is not None else None
            for name in job.names:
                lengths[name] += job.place.size * in_a_byte if known is None else known
        unknown = sorted(name for name in lengths if name not in usual)
        if lengths and len(unknown) == len(lengths):
            return None, unknown
        try:
            pace = float(self.catalog.meta("pace") or 1.0)
        except ValueError:  # not what we wrote
            pace = 1.0
        return pace * sum(usual.get(name, 0.0) * length for name, length in lengths.items()), unknown

    def for_catalog(self, catalog: CatalogReader) -> Plan | None:
        """A plan that was made before there was a catalog, for the new one.

        None where that one knows something by now (another program was as fast): then plan anew.
        """
        known = (catalog.videos(gone=True), catalog.places(), iter(catalog.failures()))
        if self.catalog.file is not None or any(next(rows, None) is not None for rows in known):
            return None
        return replace(self, catalog=catalog)

    @property
    def nothing_found(self) -> bool:
        return not self.found and not self.troubles and not self.unreachable


@dataclass(frozen=True, slots=True)
class Stale:
    """Which experts have to look at a video that the catalog knows."""

    names: tuple[str, ...]
    why: tuple[str, ...]
    failed: bool = False  # something failed before and is not tried again


def plan(
    catalog: CatalogReader,
    folders: Iterable[str | PathLike[str]],
    experts: Sequence[Expert],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    retry: bool = False,
) -> Plan:
    """Look at every file's name, size and time, and say what has to be done. Writes nothing.

    A file whose path, size and time are known is not opened. One that may be a known content at another
    place (the size is known) is hashed; any other is new for certain, and hashed when it is read.
    """
    walk = Walk(folders, include=include, exclude=exclude)
    made = Plan(catalog, walk.folders, [], retry)
    for expert in experts:
        reason = expert.missing()
        if reason is None:
            made.experts.append(expert)
        else:
            made.not_run[expert.name] = reason
    rule = StalenessRule.of_experts(made.experts, retry=retry)
    planned: set[int] = set()
    for place in walk:
        _consider(made, rule, place, planned)
    made.found, made.skipped, made.troubles = walk.found, walk.skipped, walk.troubles
    _find_missing(made, planned)
    return made


def _consider(made: Plan, rule: StalenessRule, place: Place, planned: set[int]) -> None:
    catalog = made.catalog
    known = catalog.place(place.path)
    if known is not None and known[1] == place:
        if known[2]:
            made.returned.append(place.path)
        stale = stale_in_catalog(catalog, rule, known[0])
        made.failed_before += stale.failed
        if stale.names and known[0] not in planned:
            planned.add(known[0])
            made.jobs.append(PlannedFile(place, stale.names, stale.why, catalog.hash_of(known[0])))
        elif not stale.failed:
            made.unchanged += 1
        return
    digest = None
    if catalog.knows_size(place.size):
        try:
            digest = content_hash(place.path)
        except OSError:
            digest = None  # the run will say so
    video_id = catalog.id_of_hash(digest) if digest is not None else None
    if video_id is not None:
        stale = stale_in_catalog(catalog, rule, video_id)
        names, why = (stale.names, stale.why) if video_id not in planned else ((), ())
        planned.add(video_id)
        made.failed_before += stale.failed
        made.moved += not names
        made.jobs.append(PlannedFile(place, names, why, digest))
    else:
        reason = NEW if known is None else CHANGED
        made.jobs.append(PlannedFile(place, rule.names, (reason,) * len(rule.names), digest))


def _find_missing(made: Plan, planned: set[int]) -> None:
    """Known files in these folders that the walk cannot have found. `planned`: videos that it did find."""
    known = {
        path: video_id
        for video_id, path, gone in made.catalog.places()
        if not gone and covers(made.folders, path) and not os.path.lexists(path)
    }
    for path, where in file_states(known, made.folders):
        if where == "gone":
            made.gone.append(path)
            made.gone_for_good += known[path] not in planned
        elif where == "unreachable":
            made.unreachable += 1
    failed = {failure.path for failure in made.catalog.failures() if failure.path is not None}
    excused = (path for path in failed if covers(made.folders, path) and not os.path.lexists(path))
    made.gone_failures = [path for path, where in file_states(excused, made.folders) if where == "gone"]


@dataclass(frozen=True, slots=True)
class StalenessRule:
    """Decides which experts are stale for a video: by version and fingerprint, and by what failed.

    One machine and a cluster ask the same rule: about a catalog, about shards.
    """

    current: Mapping[str, tuple[str, str]]  # expert: (version, fingerprint)
    decoder: str
    retry: bool = False
    weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # expert: what it speaks by

    @classmethod
    def of_experts(cls, experts: Sequence[Expert], *, retry: bool = False) -> StalenessRule:
        names = [expert.name for expert in experts]
        if len(set(names)) < len(names):
            raise ValueError(f"two experts have the same name: {', '.join(sorted(names))}")
        current = {expert.name: (expert.version, expert.fingerprint()) for expert in experts}
        return cls(current, decoder_version(), retry, {expert.name: weights_of(expert) for expert in experts})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.current)

    def stale(self, done: Mapping[str, tuple[str, str]], failed: Mapping[str, str]) -> Stale:
        """What a run has to do with a video: most often nothing.

        done: of each expert the version and fingerprint of its last look; failed: of each that failed the
        fingerprint, "" standing for the decoder.
        """
        if "" in failed:
            if self.retry or failed[""] != self.decoder:
                reason = RETRY if failed[""] == self.decoder else OTHER_DECODER
                return Stale(self.names, (reason,) * len(self.names))
            return Stale((), (), failed=True)
        names, why, failed_before = [], [], False
        for name, (release, fingerprint) in self.current.items():
            if name in done and done[name][1] == fingerprint:
                continue
            if failed.get(name) == fingerprint and not self.retry:
                failed_before = True
                continue
            names.append(name)
            if name in failed:
                why.append(RETRY)
            elif name not in done:
                why.append(NOT_YET_RUN)
            else:
                why.append(VERSION if done[name][0] != release else SETTINGS)
        return Stale(tuple(names), tuple(why), failed_before)


def stale_in_catalog(catalog: CatalogReader, rule: StalenessRule, video_id: int) -> Stale:
    """Which experts are stale for a video of a catalog."""
    failed = {failure.expert: failure.fingerprint for failure in catalog.failures(video_id)}
    return rule.stale(catalog.done(video_id), failed)


@cache
def decoder_version() -> str:
    """What a failure to read a file depends on, beside the file: another decoder tries again."""
    from tagline.experts.decode import decoder

    try:
        release = version("av")
    except PackageNotFoundError:
        release = "unknown"
    return f"{getattr(decoder, 'VERSION', '1')} on av {release}"


def describe(made: Plan) -> Iterator[str]:
    """The plan in sentences."""
    yield f"{_count(made.found, 'video file')} in {', '.join(safe(folder) for folder in made.folders)}"
    if made.unchanged:
        yield f"{made.unchanged} unchanged"
    if made.moved:
        yield f"{made.moved} known from another place, only written down"
    for (name, why), count in sorted(made.looks.items()):
        yield f"{name}: {_count(count, 'video')}, {why}"
    if made.failed_before:
        yield f"{made.failed_before} failed before and would again; --retry tries them"
    for name, reason in made.not_run.items():
        yield f"{name}: {reason}"
    yield from notices(made)
    seconds, unknown = made.seconds()
    if made.looks:
        about = (
            "how long is unknown before the first run" if seconds is None else f"about {duration(seconds)}"
        )
        without = f", without {', '.join(unknown)}" if unknown and seconds is not None else ""
        yield about + without


def notices(made: Plan) -> Iterator[str]:
    """What people should know of the folders themselves."""
    for kind, count in sorted(made.skipped.items()):
        yield f"passed over: {kind} ({count})"
    yield from made.troubles
    if made.gone_for_good:
        yield f"{_count(made.gone_for_good, 'known file')} not there any more; what is known of them is kept"
    if made.unreachable:
        where = ", ".join(safe(folder) for folder in made.folders)
        yield (
            f"{_count(made.unreachable, 'known file')} in {where} cannot be reached: is a disk not mounted? "
            "Nothing was removed from the catalog"
        )


def duration(seconds: float) -> str:
    """Seconds in words: 45 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"

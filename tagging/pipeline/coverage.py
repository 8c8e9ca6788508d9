"""What was not looked at, and why: so that "no dog" and "not looked at" are different answers."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tagline.experts.base import modalities_of
from tagline.experts.footage import Coverage
from tagline.experts.tags import Modality
from tagline.tagging.catalog.looks import LookCounts, look_counts
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog

UNREADABLE = "the file could not be read"
NOT_YET_RUN = "has not looked at it yet; run `tagline tag`"
NOT_RUN = "not run: "


class CoverageGap(NamedTuple):
    """Something that was not looked at. `expert` is "" where it is the file itself."""

    expert: str
    reason: str
    modalities: tuple[Modality, ...] = ()  # what the expert would have looked for, where it is known

    @property
    def who(self) -> str:
        """The expert with what it looks for: "things (object, scene)"; the name alone where both are one."""
        listed = ", ".join(self.modalities)
        return self.expert if listed in ("", self.expert) else f"{self.expert} ({listed})"


def coverage_gaps(catalog: Catalog, video: Video) -> list[CoverageGap]:
    """The file's own failure; what it withheld, once; experts that failed, saw part of it, or none of it."""
    runs = {run.expert: run for run in catalog.runs(video.id)}
    failures = {failure.expert: failure.reason for failure in catalog.failures(video.id)}
    unreadable = failures.pop("", None)
    found = [] if unreadable is None else [CoverageGap("", f"{UNREADABLE}: {unreadable}")]
    withheld = [
        note for run in runs.values() for note in (*coverage_notes(run.coverage), *run.coverage.notes)
    ]
    found += [CoverageGap("", note) for note in dict.fromkeys(withheld)]
    for expert in [*runs, *(name for name in failures if name not in runs)]:
        if expert in failures:
            before = "; what it says is of an earlier look" if expert in runs else ""
            modalities = runs[expert].modalities if expert in runs else ()
            found.append(CoverageGap(expert, f"failed: {failures[expert]}{before}", modalities))
        if expert in runs:
            notes = runs[expert].notes
            found += [CoverageGap(expert, note, runs[expert].modalities) for note in dict.fromkeys(notes)]
    if unreadable is None:
        found += _experts_never_run(catalog, {*runs, *failures})
    return found


def coverage_notes(coverage: Coverage) -> list[str]:
    """Such as: 12 of 60 frames unreadable; it has no sound."""
    said = []
    if coverage.read < coverage.wanted:
        said.append(f"{coverage.wanted - coverage.read} of {coverage.wanted} frames unreadable")
    sound = {
        "absent": "it has no sound",
        "partly": "part of the sound unreadable",
        "unreadable": "sound unreadable",
    }
    if coverage.sound in sound:
        said.append(sound[coverage.sound])
    return said


def _experts_never_run(catalog: Catalog, looked: Collection[str]) -> list[CoverageGap]:
    """Experts that never looked, and what keeps them from it."""
    found = []
    for name, (missing, modalities) in _obstacles(catalog, looked).items():
        if missing and not missing.startswith(NOT_RUN):
            missing = f"{NOT_RUN}{missing}"
        found.append(CoverageGap(name, missing or NOT_YET_RUN, modalities))
    return found


def _obstacles(
    catalog: Catalog, looked: Collection[str]
) -> dict[str, tuple[str | None, tuple[Modality, ...]]]:
    """For each chosen expert that is not among `looked`: what keeps it from looking, and its modalities."""
    from tagline.tagging.pipeline.settings import CATALOG_EXPERTS, SettingsError, load_settings

    try:
        settings = load_settings(None, catalog.root)
        names = settings.chosen()
    except (SettingsError, ValueError):  # `tagline tag` says what is wrong with the configuration
        return {}
    found: dict[str, tuple[str | None, tuple[Modality, ...]]] = {}
    for name in names:
        if name in looked or name in CATALOG_EXPERTS:
            continue
        modalities: tuple[Modality, ...] = ()
        try:
            expert = settings.build(name)
            modalities = modalities_of(expert)
            missing = expert.missing()
        except Exception as error:  # another package's expert may fail in any way
            missing = f"cannot be set up ({type(error).__name__}); run `tagline doctor`"
        found[name] = (missing, modalities)
    return found


# -- of a whole library -----------------------------------------------------------------------------

PICTURE = "index"  # who looks at pictures as a whole, so that they can be searched by their meaning
TAG, INDEX, RETRY = "tagline tag", "tagline index", "tagline tag --retry"
PULL, UNTRAINED = "tagline models pull ", "not trained"
PATIENCE = 30.0  # seconds for which what keeps an expert from looking is taken to be the same


class LibraryGap(NamedTuple):
    """One expert that did not look at some of a library's videos, and what would change that."""

    expert: str  # or "index"
    modalities: tuple[str, ...]  # what it would have looked for
    videos: int  # that it did not look at
    of: int
    reason: str  # "never run", "weights missing", "not installed", "not trained", "failed", "no index", ...
    command: str  # that changes it
    covered: bool = False  # other experts looked for the same everywhere

    def as_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "modalities": list(self.modalities)}


@dataclass(frozen=True, slots=True)
class LibraryCoverage:
    """What could be asked of a library, and what could not."""

    videos: int = 0
    looked: bool = False  # somebody looked at one video at least
    gaps: tuple[LibraryGap, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """For people: what nobody looked for, one sentence for each reason."""
        groups: dict[tuple[int, str], list[LibraryGap]] = defaultdict(list)
        for gap in self.gaps:
            if not gap.covered:
                groups[gap.videos, gap.reason].append(gap)
        return tuple(_sentence(group) for group in groups.values())


def library_coverage(catalog: Catalog) -> LibraryCoverage:
    """Who did not look at how many videos, and why. Counted once for each state of the catalog."""
    key: Hashable = (catalog.change_token(), catalog.root)
    with _lock:
        known = _cached.get(key) if catalog.file is not None else None
        if known is not None and time.monotonic() < known[0]:
            return known[1]
    counts = look_counts(catalog)
    gaps = _marked_covered(catalog, counts, [*_expert_gaps(catalog, counts), *_other_gaps(counts)])
    found = LibraryCoverage(counts.videos, any(counts.looked.values()), tuple(gaps))
    with _lock:
        _cached.clear()  # one library is asked at a time; another one is counted anew
        _cached[key] = (time.monotonic() + PATIENCE, found)
    return found


_cached: dict[Hashable, tuple[float, LibraryCoverage]] = {}
_lock = threading.Lock()


def _expert_gaps(catalog: Catalog, counts: LookCounts) -> Iterator[LibraryGap]:
    """Experts of this library that did not see every video that can be read."""
    readable = counts.videos - counts.unreadable
    done = {name for name, seen in counts.looked.items() if seen >= readable}
    for name, (missing, modalities) in _obstacles(catalog, done).items():
        failed = counts.failed.get(name, 0)
        unseen = readable - counts.looked.get(name, 0) - failed
        if failed:
            yield LibraryGap(name, modalities, failed, counts.videos, "failed", RETRY)
        if unseen > 0:
            yield LibraryGap(name, modalities, unseen, counts.videos, *_reason(missing))


def _other_gaps(counts: LookCounts) -> Iterator[LibraryGap]:
    """Files that could not be read, and pictures that cannot be searched by their meaning yet."""
    if counts.unreadable:
        yield LibraryGap("", (), counts.unreadable, counts.videos, "unreadable", RETRY)
    unseen = counts.videos - counts.unreadable - counts.embedded
    if unseen > 0:
        reason = "not indexed yet" if counts.embedded else "no index"
        yield LibraryGap(PICTURE, ("picture",), unseen, counts.videos, reason, INDEX)


def _reason(missing: str | None) -> tuple[str, str]:
    """What keeps an expert from looking, in two words, and the command that its sentence names."""
    if missing is None:
        return "never run", TAG
    named = re.findall(r"`([^`]+)`", missing)
    command = named[-1] if named else "tagline doctor"
    for sign, reason in (
        (PULL, "weights missing"),
        ("pip install", "not installed"),
        ("tagline train", UNTRAINED),
    ):
        if sign in command:
            return reason, command
    return "cannot run", command


def _marked_covered(catalog: Catalog, counts: LookCounts, gaps: list[LibraryGap]) -> list[LibraryGap]:
    """A gap is covered where others looked for the same everywhere; an untrained tagger is no gap to fill."""
    readable = counts.videos - counts.unreadable
    full = [name for name, seen in counts.looked.items() if seen >= readable]
    looked_for: set[str] = set()
    for name in full:
        runs = catalog.runs(counts.sample[name])
        looked_for.update(*(run.modalities for run in runs if run.expert == name))
    return [
        gap._replace(
            covered=gap.reason == UNTRAINED or (bool(gap.modalities) and looked_for >= {*gap.modalities})
        )
        for gap in gaps
    ]


def _sentence(group: list[LibraryGap]) -> str:
    """Such as: object and scene have not looked at 48 of 51 videos (never run); run `tagline tag`."""
    first = group[0]
    videos = f"{first.videos} of {first.of} video{'' if first.of == 1 else 's'}"
    if first.expert == PICTURE:
        yet = "no index yet" if first.reason == "no index" else "not in the index yet"
        return f"{yet}: {videos} cannot be found by their pictures; run `{first.command}`"
    if not first.expert:
        return f"{videos} could not be read; `tagline show VIDEO` says why, `{first.command}` tries again"
    names = [gap.expert for gap in group]
    who = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    verb = "has" if len(names) == 1 else "have"
    if first.reason == "failed":
        return f"{who} failed at {videos}; `{first.command}` tries again"
    commands = " and ".join(f"`{command}`" for command in _merged([gap.command for gap in group]))
    return f"{who} {verb} not looked at {videos} ({first.reason}); run {commands}"


def _merged(commands: list[str]) -> list[str]:
    """Each command once; weights are pulled by one command."""
    pulls = dict.fromkeys(command.removeprefix(PULL) for command in commands if command.startswith(PULL))
    others = dict.fromkeys(command for command in commands if not command.startswith(PULL))
    return [*others, *([PULL + " ".join(pulls)] if pulls else [])]

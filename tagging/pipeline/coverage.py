"""What was not looked at in a video, and why: so that "no dog" and "not looked at" are different answers."""

from __future__ import annotations

from typing import NamedTuple

from tagline.experts.base import modalities_of
from tagline.experts.footage import Coverage
from tagline.experts.tags import Modality
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog

UNREADABLE = "the file could not be read"
NOT_YET_RUN = "has not looked at it yet; run `tagline tag`"


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
    """ "12 of 60 frames unreadable", "sound missing\""""
    said = []
    if coverage.read < coverage.wanted:
        said.append(f"{coverage.wanted - coverage.read} of {coverage.wanted} frames unreadable")
    sound = {
        "absent": "sound missing",
        "partly": "part of the sound unreadable",
        "unreadable": "sound unreadable",
    }
    if coverage.sound in sound:
        said.append(sound[coverage.sound])
    return said


def _experts_never_run(catalog: Catalog, looked: set[str]) -> list[CoverageGap]:
    """Experts that never looked, and what keeps them from it."""
    from tagline.tagging.pipeline.settings import SettingsError, load_settings

    try:
        settings = load_settings(None, catalog.root)
        names = settings.chosen()
    except (SettingsError, ValueError):  # `tagline tag` says what is wrong with the configuration
        return []
    found = []
    for name in names:
        if name in looked:
            continue
        modalities: tuple[Modality, ...] = ()
        try:
            expert = settings.build(name)
            modalities = modalities_of(expert)
            missing = expert.missing()
        except Exception as error:  # another package's expert may fail in any way
            missing = f"cannot be set up ({type(error).__name__})"
        if missing and not missing.startswith("not run"):
            missing = f"not run: {missing}"
        found.append(CoverageGap(name, missing or NOT_YET_RUN, modalities))
    return found

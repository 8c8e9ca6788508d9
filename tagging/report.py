"""What is known of one video, and how often each tag of a library is used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tagline.experts.tags import Modality, Tag, Word
from tagline.tagging.catalog.records import Run, Verdict, Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.formats.sheet import tag_to_dict
from tagline.tagging.pipeline.coverage import CoverageGap, coverage_gaps
from tagline.tagging.vocabulary import Band, Vocabulary


@dataclass(frozen=True, slots=True)
class VideoReport:
    """Everything that is known of one video."""

    video: Video
    tags: tuple[Tag, ...]  # as they hold, people's verdicts applied, in the order of time
    words: tuple[Word, ...]  # the transcript
    runs: tuple[Run, ...]  # each expert's last full look
    verdicts: tuple[Verdict, ...]  # what people decided about it
    not_looked_at: tuple[CoverageGap, ...]  # what its tags cannot know, and why

    def looks(self) -> list[tuple[str, str]]:
        """Of each expert that looks: its name and how often that was, "214 looks, every 2.8 s"."""
        length = self.video.duration
        found = []
        for run in self.runs:
            if run.looks is None:
                continue
            said = f"{run.looks} look{'s' if run.looks != 1 else ''}"
            if length and run.looks > 1:
                said += f", every {length / run.looks:.1f} s"
            found.append((run.expert, said))
        return found

    def as_dict(self, *, transcript: bool = True) -> dict[str, Any]:
        """For JSON."""
        video, facts = self.video, self.video.facts
        weights = {run.expert: list(run.weights) for run in self.runs}
        data: dict[str, Any] = {
            "id": video.id,
            "hash": video.hash,
            "paths": video.paths,
            "gone": video.gone,
            "title": video.title,
            "created": video.created,
            "facts": None,
            "tags": [{**tag_to_dict(tag), "weights": weights.get(tag.source, [])} for tag in self.tags],
            "experts": [
                {
                    "expert": run.expert,
                    "modality": run.modality,
                    "modalities": list(run.modalities),
                    "version": run.version,
                    "weights": list(run.weights),
                    "fingerprint": run.fingerprint,
                    "at": run.at,
                    "looks": run.looks,
                }
                for run in self.runs
            ],
            "not_looked_at": [gap._asdict() for gap in self.not_looked_at],
        }
        if facts is not None:
            data["facts"] = {
                "duration": facts.duration,
                "width": facts.width,
                "height": facts.height,
                "fps": str(facts.fps) if facts.fps is not None else None,
                "codec": facts.codec,
                "rotation": facts.rotation,
                "colour": facts.colour,
                "has_sound": facts.has_sound,
            }
        if transcript:
            data["words"] = [[word.text, word.start, word.end, word.probability] for word in self.words]
        return data


def video_report(catalog: Catalog, video: Video, modalities: Collection[str] = ()) -> VideoReport:
    """What is known of a video; with modalities, only tags of these."""
    wanted = frozenset(map(Modality, modalities or Modality))
    return VideoReport(
        video,
        tuple(tag for tag in catalog.tags(video.id) if tag.modality in wanted),
        tuple(catalog.words(video.id)),
        tuple(catalog.runs(video.id)),
        tuple(catalog.verdicts.of(video.id)),
        tuple(coverage_gaps(catalog, video)),
    )


@dataclass(frozen=True, slots=True)
class TagUse:
    """How often a library uses a tag."""

    tag: str
    modality: Modality
    videos: int
    spans: int
    band: Band  # frequent or rare, by the uses of all tags


def tag_uses(catalog: Catalog, modality: str | None = None, *, rare: bool = False) -> list[TagUse]:
    """The tags of a library, the most used first; rare: only those outside nine tenths of all uses."""
    counts = catalog.tag_counts(Modality(modality) if modality else None)
    uses: dict[str, int] = {}
    for count in counts:
        uses[count.text] = uses.get(count.text, 0) + count.videos
    words = Vocabulary(uses)
    found = [
        TagUse(count.text, count.modality, count.videos, count.spans, words.band(count.text))
        for count in counts
    ]
    return [one for one in found if one.band == Band.RARE] if rare else found

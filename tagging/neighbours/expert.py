"""The expert "neighbours": tags of similar videos of the library, with the videos that they come from.

It looks into the catalog instead of the file: nothing is decoded, and nothing is trained. So a tag that
somebody adds today is proposed for similar videos by the next run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from tagline.experts.tags import Modality, Report, Tag
from tagline.tagging.catalog.records import Look
from tagline.tagging.ml.config import digest
from tagline.tagging.neighbours.memory import Memory, RetrievalSystem
from tagline.tagging.neighbours.snapshot import LibrarySnapshot
from tagline.tagging.neighbours.views import ViewEncoder
from tagline.tagging.neighbours.voting import Proposal

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog

NAME = "neighbours"
NEIGHBOURS_NAMED = 5  # videos that are named for each tag


@dataclass(frozen=True, slots=True)
class NeighboursSettings:
    """What can be set of the expert, in [experts.neighbours] of tagline.toml."""

    count: int = 8  # similar videos in each source
    most: int = 20  # tags a video
    least: float = 0.02  # of a proposal's score


class NeighboursExpert:
    """Proposes for each video of a library the tags that people gave to videos like it."""

    name: ClassVar[str] = NAME
    modality: ClassVar[Modality] = Modality.GENERATED
    version: ClassVar[str] = "1"

    def __init__(self, settings: NeighboursSettings | None = None) -> None:
        self.settings = settings or NeighboursSettings()

    def looks(
        self, library: LibrarySnapshot, viewer: ViewEncoder, durations: Sequence[float]
    ) -> Iterator[tuple[int, Look]]:
        """(video id, its look) of every video for which anything is proposed or was to be.

        durations: seconds of each video. No video is its own neighbour, nor one kept for validation or test.
        """
        rows = library.memory_rows()
        views = viewer(library.examples)
        memory = Memory(
            [library.tagged_videos[i] for i in rows], {name: own[rows] for name, own in views.items()}
        )
        fitted = memory.fit(views)
        among = memory.retrieval_systems()
        proposed = memory.propose(
            fitted, [one.key for one in library.examples], count=self.settings.count, systems=among
        )
        for video_id, proposals, end in zip(library.ids, proposed, durations, strict=True):
            yield video_id, self._look(proposals, memory, among, end)

    def _look(
        self, proposals: Sequence[Proposal], memory: Memory, among: Sequence[RetrievalSystem], end: float
    ) -> Look:
        kept = [p for p in proposals if p.score >= self.settings.least][: self.settings.most]
        tags = [Tag(p.text, self.modality, p.score, 0.0, end, self.name) for p in kept]
        why = {
            p.text: {
                "videos": [memory.videos[n].key for n in p.neighbours[:NEIGHBOURS_NAMED]],
                "sources": list(p.sources),
            }
            for p in kept
        }
        facts = {"neighbours": why, "sources": [source.name for source in among]}
        payload = [[tag.text, tag.score, tag.end] for tag in tags]
        return Look(
            self.name,
            self.modality,
            self.version,
            digest(self.name, self.version, payload, facts),
            Report(tags=tags, facts=facts),
        )


class CatalogExpert(Protocol):
    """An expert that looks into the catalog, not into files."""

    @property
    def name(self) -> str: ...

    def looks(
        self, library: LibrarySnapshot, viewer: ViewEncoder, durations: Sequence[float]
    ) -> Iterator[tuple[int, Look]]: ...


def update_catalog(
    catalog: Catalog, library: LibrarySnapshot, viewer: ViewEncoder, expert: CatalogExpert
) -> tuple[int, int]:
    """Let the expert look at a whole library. Returns for how many videos it has tags, and how many tags.

    What has not changed is not written again.
    """
    durations = [
        (video.duration or 0.0) if (video := catalog.video(video_id)) is not None else 0.0
        for video_id in library.ids
    ]
    videos = tags = 0
    for video_id, look in expert.looks(library, viewer, durations):
        assert look.report is not None
        videos += bool(look.report.tags)
        tags += len(look.report.tags)
        before = catalog.done(video_id).get(expert.name)
        if before == (look.version, look.fingerprint) or (before is None and not look.report.tags):
            continue
        weights = [*getattr(expert, "weights_used", list)(), *viewer.weights_used()]
        look.report.facts = {**look.report.facts, "weights": weights}
        catalog.put_look(video_id, look)
    return videos, tags

"""The expert "ranked": candidates from similar videos and from the tag index, ordered by a trained ranker.

Like "neighbours" it looks into the catalog, not into files. A tag that somebody adds is a candidate from
then on: the ranker knows it by its name, with no training.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tagline.experts import extras
from tagline.experts.storage import hash_path
from tagline.experts.tags import Modality, Report, Tag
from tagline.experts.weights.registry import weights_home
from tagline.tagging.catalog.records import Look
from tagline.tagging.ml.config import digest
from tagline.tagging.neighbours.memory import RECALL, Memory
from tagline.tagging.neighbours.snapshot import LibrarySnapshot
from tagline.tagging.neighbours.views import ViewEncoder
from tagline.tagging.ranker.config import CONFIG, FILES

if TYPE_CHECKING:
    from tagline.tagging.ranker.ranking import TrainedRanker

NAME = "ranked"
INSTALLED = "ranker"  # the folder of weights_home() that holds the ranker in use
NEIGHBOURS, DIRECT, MOST = 15, 50, 30  # videos of a channel, tags of the index, tags that are said


class RankedExpert:
    """Says which tags fit each video of a library, of all that its people use and the ranker learned."""

    name: ClassVar[str] = NAME
    modality: ClassVar[Modality] = Modality.GENERATED
    version: ClassVar[str] = "1"

    def __init__(self, ranking: TrainedRanker, label: str = "ranker") -> None:
        """label: what the ranker is called beside its tags."""
        self.ranking, self.label = ranking, label

    def weights_used(self) -> list[str]:
        return [self.label]

    @classmethod
    def installed(cls) -> RankedExpert | None:
        """With the ranker that was trained last; None if there is none. Raises ExtraMissing."""
        folder = weights_home() / INSTALLED
        if not (folder / CONFIG).is_file():
            return None
        extras.require(NAME, "torch")
        from tagline.tagging.ranker.ranking import TrainedRanker

        return cls(TrainedRanker.load(folder), f"ranker {hash_path(folder)[:12]}")

    def looks(
        self, library: LibrarySnapshot, viewer: ViewEncoder, durations: Sequence[float]
    ) -> Iterator[tuple[int, Look]]:
        """(video id, its look) of every video. See `NeighboursExpert.looks`."""
        rows = library.memory_rows()
        views = viewer(library.examples)
        memory = Memory(
            [library.tagged_videos[i] for i in rows], {name: own[rows] for name, own in views.items()}
        )
        self.ranking.add_tags([tag for i in rows for tag in library.tagged_videos[i].tags])
        keys = [one.key for one in library.examples]
        near = memory.propose(
            memory.fit(views), keys, count=NEIGHBOURS, systems=memory.retrieval_systems(RECALL)
        )
        direct = self.ranking.rank(library.examples, most=DIRECT)
        candidates = [
            [*(p.text for p in own), *(tag for tag, _ in more)]
            for own, more in zip(near, direct, strict=True)
        ]
        predicted = self.ranking.select(self.ranking.rank(library.examples, candidates, most=MOST))
        for video_id, tags, end in zip(library.ids, predicted, durations, strict=True):
            found = [Tag(text, self.modality, score, 0.0, end, self.name) for text, score in tags]
            payload = [[tag.text, round(tag.score, 6), tag.end] for tag in found]
            fingerprint = digest(self.name, self.version, payload)
            yield video_id, Look(self.name, self.modality, self.version, fingerprint, Report(tags=found))


def install_ranker(folder: Path) -> Path:
    """Make a saved ranker the one that `tagline tag` uses. Returns where it lies now."""
    target = weights_home() / INSTALLED
    target.mkdir(parents=True, exist_ok=True)
    (target / CONFIG).unlink(missing_ok=True)  # without it the folder is none, until all of it is there
    for name in FILES:
        beside = target / f".{name}.part"
        shutil.copyfile(folder / name, beside)
        beside.replace(target / name)
    return target

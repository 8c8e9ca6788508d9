"""Retrieved tags for the generator: the consensus of the retrieval systems over its training videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tagline.experts.storage import write_atomic
from tagline.experts.weights import check
from tagline.tagging.ml.ann import Vectors
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.neighbours.memory import Memory, TaggedVideo
from tagline.tagging.neighbours.views import ViewEncoder

if TYPE_CHECKING:
    from tagline.tagging.ml.data import Example

TENSORS, NAMES = "memory.safetensors", "memory.json"
FILES = (TENSORS, NAMES)
NAME_KEYS = ("identity", "made_of", "keys", "tags")
AT_ONCE = 256


class MemoryRetriever:
    """Knows tagged videos and says which tags speak for another one. See `generator.data.Retriever`."""

    def __init__(
        self,
        videos: Sequence[TaggedVideo],
        views: dict[str, Vectors],
        viewer: ViewEncoder,
        *,
        neighbours: int = 5,
        most: int = 10,
    ) -> None:
        self.raw_views = views
        self.memory, self.viewer = Memory(videos, views), viewer
        self.neighbours, self.most = neighbours, most
        if not self.memory.retrieval_systems():
            raise BadConfig(
                "none of these videos has a title or frames that others could be like; set retrieved=0"
            )

    @classmethod
    def from_examples(
        cls, examples: Sequence[Example], viewer: ViewEncoder, *, neighbours: int = 5, most: int = 10
    ) -> MemoryRetriever:
        """One that knows these examples with their tags: those of the training split, no other."""
        known = [TaggedVideo(one.key, one.tags) for one in examples]
        return cls(known, viewer(examples), viewer, neighbours=neighbours, most=most)

    def retrieve(self, examples: Sequence[Example]) -> list[list[tuple[str, float]]]:
        """At most `most` tags of similar videos for each example, by consensus; never from itself."""
        found = []
        for start in range(0, len(examples), AT_ONCE):
            some = examples[start : start + AT_ONCE]
            views = self.memory.fit(self.viewer(some))
            among = [s for s in self.memory.retrieval_systems() if s.query_view in views]
            proposals = self.memory.propose(
                views, [one.key for one in some], count=self.neighbours, systems=among
            )
            found += [[(p.text, p.score) for p in own[: self.most]] for own in proposals]
        return found

    def save(self, folder: Path) -> None:
        """Write what it knows beside a tagger, as tensors and JSON."""
        import torch
        from safetensors.torch import save_file

        save_file({k: torch.tensor(v) for k, v in self.raw_views.items()}, folder / TENSORS)
        contents = {
            "identity": self.viewer.identity,
            "made_of": self.viewer.model_names,
            "keys": [video.key for video in self.memory.videos],
            "tags": [list(video.tags) for video in self.memory.videos],
        }
        write_atomic(folder / NAMES, json.dumps(contents, ensure_ascii=False) + "\n")

    @classmethod
    def load(
        cls, folder: Path, *, neighbours: int = 5, most: int = 10, device: str = "cpu"
    ) -> MemoryRetriever:
        """Read what `save` wrote; refused if the models that made it are not those here."""
        from safetensors.torch import load_file

        contents = check.read_config(folder / NAMES, allowed=NAME_KEYS)
        made = contents["made_of"]
        viewer = ViewEncoder.open(
            made.get("language"),
            made.get("towers"),
            collection=made.get("collection", "public"),
            device=device,
        )
        if contents["identity"] != viewer.identity:
            raise BadConfig(
                f"the memory in {folder} was made by other text or CLIP models than those here; "
                "train the tagger again"
            )
        check.check_file(folder / TENSORS)
        views = {name: tensor.numpy() for name, tensor in load_file(folder / TENSORS).items()}
        videos = [
            TaggedVideo(k, tuple(map(str, t)))
            for k, t in zip(contents["keys"], contents["tags"], strict=True)
        ]
        return cls(videos, views, viewer, neighbours=neighbours, most=most)

"""A trained ranker in use: an index of tags that grows without training, and candidates ordered by fit."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tagline.experts.storage import write_atomic
from tagline.experts.weights import check
from tagline.tagging.ml.ann import NO_ROW, VectorIndex, Vectors, unit
from tagline.tagging.ml.calibration import Calibration, calibration_from_json
from tagline.tagging.ml.config import BadConfig, as_dict, from_dict
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.hub import folder_of
from tagline.tagging.ml.text_embedding import text_model
from tagline.tagging.ml.tokenizer import TagTokenizer
from tagline.tagging.ranker.config import CONFIG, WEIGHTS, WORDS, RankerConfig
from tagline.tagging.ranker.data import RankerCollator
from tagline.tagging.ranker.model import Ranker


class TagIndex:
    """Tags and their vectors in the space of the ranker."""

    def __init__(self, tags: Sequence[str], vectors: Vectors, *, queries: Vectors | None = None) -> None:
        """vectors: [K, D], each of length 1; queries: videos like those that will ask."""
        if len(tags) != len(vectors):
            raise ValueError(f"{len(tags)} tags but {len(vectors)} vectors")
        self.tags = list(tags)
        self.number = {tag: i for i, tag in enumerate(self.tags)}
        self.nearest = VectorIndex(vectors, queries=queries)

    def __len__(self) -> int:
        return len(self.tags)

    def add(self, tags: Sequence[str], vectors: Vectors) -> None:
        """New tags are ranked from now on. One that is known already keeps its place."""
        new = [i for i, tag in enumerate(tags) if tag not in self.number]
        for i in new:
            self.number[tags[i]] = len(self.tags)
            self.tags.append(tags[i])
        if new:
            self.nearest.add(vectors[new])

    def nearest_tags(self, videos: Vectors, count: int) -> list[list[tuple[str, float]]]:
        """The `count` tags that fit each video best, with their cosines."""
        scores, numbers = self.nearest.search(videos, count)
        return [
            [(self.tags[n], float(s)) for s, n in zip(own, places, strict=True) if n != NO_ROW]
            for own, places in zip(scores.tolist(), numbers.tolist(), strict=True)
        ]

    def rank_candidates(self, video: Vectors, candidates: Sequence[str]) -> list[tuple[str, float]]:
        """Candidates by how well they fit one video [D], best first; unknown ones are left out."""
        known = [tag for tag in dict.fromkeys(candidates) if tag in self.number]
        if not known:
            return []
        scores = self.nearest.vectors[[self.number[tag] for tag in known]] @ np.asarray(video, np.float32)
        order = np.argsort(-scores, kind="stable")
        return [(known[i], float(scores[i])) for i in order.tolist()]


ScoredTags = list[tuple[str, float]]

KIND = "tagline-ranker"
KEYS = ("kind", "config", "tags", "frequency", "calibration", "threshold", "widths", "identity", "results")
AT_ONCE = 128


@dataclass(slots=True)
class TrainedRanker:
    """A model with its words and tags. `least`: from which calibrated score on a tag is said."""

    model: Ranker
    tokenizer: TagTokenizer
    tags: list[str]
    tag_vectors: Vectors  # frozen, [K, tag_width]
    frequency: list[int]
    widths: tuple[int, int]  # of frame and of sound vectors
    identity: str  # of the language model that made the tag vectors
    calibration: Calibration = field(default_factory=Calibration)
    threshold: float = 0.5
    results: dict[str, float] = field(default_factory=dict)
    index: TagIndex | None = None

    @property
    def config(self) -> RankerConfig:
        return self.model.config

    @property
    def collator(self) -> RankerCollator:
        return RankerCollator(self.config, self.tokenizer, *self.widths)

    @torch.no_grad()
    def encode_videos(self, examples: Sequence[Example]) -> Vectors:
        """Videos in the common space: [N, width], each of length 1."""
        self.model.eval()
        device = next(self.model.parameters()).device
        parts = [
            self.model.videos(self.collator(examples[i : i + AT_ONCE]).to(device)).cpu().numpy()
            for i in range(0, len(examples), AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.config.width), np.float32)

    @torch.no_grad()
    def encode_tags(self, vectors: Vectors) -> Vectors:
        """Frozen tag embeddings in the common space: [K, width]."""
        self.model.eval()
        device = next(self.model.parameters()).device
        found: Vectors = self.model.tags(torch.from_numpy(vectors).to(device)).cpu().numpy()
        return found

    @torch.no_grad()
    def probabilities(self, examples: Sequence[Example]) -> Vectors:
        """The classifier's opinion of every tag it learned: [N, K] in 0..1."""
        self.model.eval()
        device = next(self.model.parameters()).device
        vectors = torch.from_numpy(self.tag_vectors).to(device)
        parts = [
            self.model.logits(self.collator(examples[i : i + AT_ONCE]).to(device), vectors)
            .sigmoid()
            .cpu()
            .numpy()
            for i in range(0, len(examples), AT_ONCE)
        ]
        return np.concatenate(parts)

    def tag_index(self) -> TagIndex:
        """The index of the tags, made when first asked for."""
        if self.index is None:
            self.index = TagIndex(self.tags, self.encode_tags(self.tag_vectors))
        return self.index

    def add_tags(self, tags: Sequence[str]) -> None:
        """New tags can be ranked from now on, with no training."""
        index = self.tag_index()
        new = [tag for tag in dict.fromkeys(tags) if tag not in index.number]
        if new:
            model = text_model(self.config.language, self.config.collection)
            model.load("cpu")
            index.add(new, self.encode_tags(unit(np.asarray(model.encode(new), np.float32))))

    def rank(
        self,
        examples: Sequence[Example],
        candidates: Sequence[Sequence[str]] | None = None,
        *,
        most: int = 100,
    ) -> list[ScoredTags]:
        """Tags of each video by fit, the best first, scores in 0..1 but not calibrated.

        candidates: only these, what the recall channels found for each video; None: among all tags.
        """
        index, vectors = self.tag_index(), self.encode_videos(examples)
        if candidates is None:
            found = index.nearest_tags(vectors, most)
        else:
            found = [index.rank_candidates(v, own)[:most] for v, own in zip(vectors, candidates, strict=True)]
        return [[(tag, (1 + cosine) / 2) for tag, cosine in own] for own in found]

    def classify(self, examples: Sequence[Example], *, most: int = 100) -> list[ScoredTags]:
        """The classifier's likeliest tags of each video with their probabilities, the likeliest first."""
        found = []
        for row in self.probabilities(examples):
            best = np.argsort(-row, kind="stable")[:most]
            found.append([(self.tags[n], float(row[n])) for n in best.tolist()])
        return found

    def select(self, ranked: Sequence[ScoredTags]) -> list[ScoredTags]:
        """What is said of what was ranked: calibrated, and from `least` on."""
        scored = [[(tag, self.calibration(score)) for tag, score in own] for own in ranked]
        return [[(tag, score) for tag, score in own if score >= self.threshold] for own in scored]

    def save(self, folder: Path) -> None:
        """Write everything that is needed to rank, the configuration last."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {f"model.{k}": v.detach().cpu().contiguous() for k, v in self.model.state_dict().items()}
        state["tag_vectors"] = torch.tensor(self.tag_vectors)
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
        self.tokenizer.save(folder / WORDS)
        contents: dict[str, Any] = {
            "kind": KIND,
            "config": as_dict(self.config),
            "tags": self.tags,
            "frequency": self.frequency,
            "calibration": {key: list(value) for key, value in asdict(self.calibration).items()},
            "threshold": self.threshold,
            "widths": list(self.widths),
            "identity": self.identity,
            "results": self.results,
        }
        write_atomic(folder / CONFIG, json.dumps(contents, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, device: str = "cpu"
    ) -> TrainedRanker:
        """A folder that `tagline train ranker` wrote, or a repository of the hub that was approved.

        ranker = tagline.Ranker.from_pretrained("models/mine")
        ranker.rank([Example("holiday", "holiday", "a dog on the beach")], most=5)
        """
        folder = folder_of(
            os.fspath(name),
            revision,
            (WEIGHTS, WORDS, CONFIG),
            "tagline train ranker",
            BadConfig,
            needed=(WEIGHTS, CONFIG),
        )
        return cls.load(folder, device)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> TrainedRanker:
        """Read what `save` wrote. Raises safe.Unsafe for anything else."""
        contents = check.read_config(folder / CONFIG, allowed=KEYS)
        if contents.get("kind") != KIND:
            raise check.UnsafeWeights(f"{folder} is no ranker; train one with `tagline train ranker`")
        check.check_file(folder / WEIGHTS)
        state = load_file(folder / WEIGHTS)
        config: RankerConfig = from_dict(RankerConfig, contents["config"])
        tags, words = [str(tag) for tag in contents["tags"]], TagTokenizer.load(folder / WORDS)
        vectors = state.pop("tag_vectors").numpy()
        frames, sounds = map(int, contents["widths"])
        model = Ranker(config, frames, sounds, len(words), vectors.shape[1], len(tags))
        model.load_state_dict({key.removeprefix("model."): value for key, value in state.items()})
        return cls(
            model.to(device).eval(),
            words,
            tags,
            vectors,
            [int(n) for n in contents["frequency"]],
            (frames, sounds),
            str(contents["identity"]),
            calibration_from_json(contents["calibration"]),
            float(contents["threshold"]),
            dict(contents["results"]),
        )

"""The models that embed: CLIP alone, or a trained TABLE model that reads a video's tags as well.

Both make of each video one vector for the whole and one for every span, and put texts and pictures into the
same space. They need torch; what a plain text query needs of them is in reader.py.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.experts import extras
from tagline.experts.footage import Footage, Pictures, Sampling, evenly
from tagline.experts.tags import Embedding, Tag
from tagline.retrieval.embed import spans
from tagline.retrieval.embed.search_model import (
    APPEARANCE,
    CLASSES,
    TABLE,
    SearchModel,
    VideoEmbedder,
    VideoVectors,
)
from tagline.retrieval.embed.text_tower import Floats, NotPortable, TextTowerWeights, bpe_tokenizer
from tagline.tagging.ml.ann import unit
from tagline.tagging.ml.config import digest

if TYPE_CHECKING:
    pass


def load(kind: str, name: str, device: str = "cpu") -> VideoEmbedder:
    """The model of that kind. Raises ExtraMissing, WeightsMissing or BadConfig with a sentence."""
    if kind == CLASSES:
        from tagline.retrieval.embed.classes import ClassEmbedder

        return ClassEmbedder(name)
    extras.require("embedding", "torch", "open_clip")
    return TableEmbedder(name, device) if kind == TABLE else ClipEmbedder(name, device)


class ClipEmbedder(VideoEmbedder):
    """CLIP's towers: a video, and each of its spans, is the mean of its frames."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        from tagline.experts.clip import clip_encoder, load_clip
        from tagline.experts.weights.registry import find

        self.towers = clip_encoder(name, device)
        self._load = lambda: load_clip(find(name).path)
        self._folder = find(name).path
        side = self.towers.preparation.side
        self.samplings: tuple[Sampling, ...] = (spans.sampling(side),)
        made_by = digest(APPEARANCE, spans.VERSION, self.towers.fingerprint)
        self.choice = SearchModel(APPEARANCE, name, made_by)

    def tags_read(self, tags: Sequence[Tag]) -> list[Tag]:
        return []

    def embed(self, footage: Footage, tags: Sequence[Tag]) -> VideoVectors:
        view = footage.view(self.samplings[0])
        if not len(view.times):
            raise ValueError("no frame could be read")
        seen = self.towers.encode_frames(view.frames)
        cuts = spans.spans(view.frames, view.times, footage.facts.duration)
        whole = Embedding(0.0, cuts[-1].end, unit(seen.mean(axis=0)))
        return VideoVectors(
            whole, [Embedding(s.start, s.end, unit(seen[s.first : s.last].mean(axis=0))) for s in cuts]
        )

    def texts(self, texts: Sequence[str]) -> Floats:
        return self.towers.encode_texts(texts)

    def picture(self, pixels: Pictures) -> Floats:
        seen: Floats = self.towers.encode_frames(pixels[None])[0]
        return seen

    def text_tower(self) -> TextTowerWeights:
        model = self.towers.model
        own = self._folder if self._folder.is_dir() else self._folder.parent
        if (own / "tokenizer.json").is_file():
            tokenizer, clean = (own / "tokenizer.json").read_bytes(), False
        else:
            from open_clip.tokenizer import default_bpe

            tokenizer, clean = _clip_bpe(Path(default_bpe())), True
        if hasattr(model, "text"):
            return extract_text_tower(model.text, model.text.pool_type, tokenizer, clean)
        return extract_text_tower(model, model.text_pool_type, tokenizer, clean)


class TableEmbedder(VideoEmbedder):
    """A TABLE model: frames, and the tags that the catalog has of the video or of the span."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        from tagline.table.frame_cache import FrameCache
        from tagline.table.saving import from_pretrained

        self.saved = from_pretrained(name, device=device)
        self.model, self.settings = self.saved.model, self.saved.model.settings
        whole = FrameCache(self.settings.frames, self.model.image_size)
        self.preparation = whole.preparation
        self.samplings: tuple[Sampling, ...] = (whole.sampling, spans.sampling(self.model.image_size))
        self.choice = SearchModel(TABLE, name, digest(TABLE, spans.VERSION, self.saved.fingerprint))

    def tags_read(self, tags: Sequence[Tag]) -> list[Tag]:
        choice = self.settings.tags
        return [tag for tag in tags if tag.modality in choice.modalities and tag.score >= choice.min_score]

    def embed(self, footage: Footage, tags: Sequence[Tag]) -> VideoVectors:
        whole, dense = (footage.view(sampling) for sampling in self.samplings)
        if not len(whole.times) or not len(dense.times):
            raise ValueError("no frame could be read")
        cuts = spans.spans(dense.frames, dense.times, footage.facts.duration)
        seen = self._encode_frames(np.concatenate([whole.frames, dense.frames]))
        first, rest = seen[: len(whole.times)], seen[len(whole.times) :]
        sizes = [s.last - s.first for s in cuts]
        most = self.settings.frames
        groups = [first, *(rest[evenly(min(most, n), n, s.first)] for s, n in zip(cuts, sizes, strict=True))]
        inside = [tags, *([t for t in tags if t.start < s.end and t.end >= s.start] for s in cuts)]
        vectors = self._fuse(groups, inside)
        return VideoVectors(
            Embedding(0.0, cuts[-1].end, vectors[0]),
            [Embedding(s.start, s.end, vector) for s, vector in zip(cuts, vectors[1:], strict=True)],
        )

    def texts(self, texts: Sequence[str]) -> Floats:
        from tagline.table.evaluate import embed_texts

        return embed_texts(self.model, texts, self.saved.tokenizer)

    def picture(self, pixels: Pictures) -> Floats:
        found: Floats = self._fuse([self._encode_frames(pixels[None])], [[]])[0]
        return found

    def text_tower(self) -> TextTowerWeights:
        tokenizer = _clip_bpe(self.saved.tokenizer.vocabulary)
        text = self.model.text
        return extract_text_tower(text, text.pool_type, tokenizer, True, self.settings.text_length)

    def _encode_frames(self, frames: Pictures) -> Any:
        """Frames uint8 [T, H, W, 3], some at a time, to [T, D] on the device."""
        import torch

        fitted = self.preparation.fit(frames)
        with torch.inference_mode():
            parts = [
                self.model.encode_frames(some[None].to(self.model.mean.device))[0]
                for some in fitted.split(64)
            ]
        return torch.cat(parts)

    def _fuse(self, groups: Sequence[Any], tags: Sequence[Sequence[Tag]]) -> Floats:
        """Groups of seen frames, each [n, D], with their tags, to unit vectors [groups, D]."""
        import torch

        from tagline.table.data import used_length
        from tagline.table.rows import tag_text

        device, settings = self.model.mean.device, self.settings
        tag_texts = [tag_text(some, settings.tags) for some in tags]
        ids = self.saved.tokenizer(tag_texts, settings.tag_length)
        if settings.tag_tokens == "eos":
            ids = ids[:, : used_length(ids)]
        found = []
        for at in range(0, len(groups), 64):
            some = groups[at : at + 64]
            counts = torch.tensor([len(group) for group in some], device=device)
            seen = torch.nn.utils.rnn.pad_sequence(list(some), batch_first=True)
            valid = torch.arange(seen.shape[1], device=device) < counts[:, None]
            tagged = torch.tensor([bool(text) for text in tag_texts[at : at + 64]], device=device)
            with torch.inference_mode():
                fused = self.model.encode_seen_videos(seen, valid, ids[at : at + 64].to(device), tagged)
            found.append(fused.vectors.float().cpu().numpy())
        return np.concatenate(found)


def extract_text_tower(
    text: Any, pool: str, tokenizer: bytes, clean: bool, length: int | None = None
) -> TextTowerWeights:
    """A causal text tower of open_clip whose overall vector is that of the end token."""
    from torch import nn

    block = text.transformer.resblocks[0]
    activations = {"GELU": "gelu", "QuickGELU": "quick_gelu"}
    activation = activations.get(type(block.mlp.gelu).__name__)
    plain = isinstance(block.ls_1, nn.Identity) and isinstance(block.attn, nn.MultiheadAttention)
    if pool != "argmax" or getattr(text, "attn_mask", None) is None or activation is None or not plain:
        raise NotPortable("its text tower is not CLIP's")
    parts = ("positional_embedding", "text_projection", "token_embedding.", "transformer.", "ln_final.")
    tensors: dict[str, npt.NDArray[Any]] = {
        key: value.detach().cpu().float().numpy()
        for key, value in text.state_dict().items()
        if key.startswith(parts)
    }
    if isinstance(text.text_projection, nn.Linear):
        tensors["text_projection"] = tensors.pop("text_projection.weight").T
    if "text_projection" not in tensors or "text_projection.bias" in tensors:
        raise NotPortable("its text tower projects in another way than CLIP's")
    return TextTowerWeights(
        tensors,
        tokenizer,
        layers=len(text.transformer.resblocks),
        heads=int(block.attn.num_heads),
        length=length or len(tensors["positional_embedding"]),
        activation=activation,
        epsilon=float(text.ln_final.eps),
        clean=clean,
    )


def _clip_bpe(vocabulary: Path) -> bytes:
    with gzip.open(vocabulary, "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")
    return bpe_tokenizer(lines[1 : 49152 - 256 - 2 + 1])

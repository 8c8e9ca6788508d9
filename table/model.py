"""TABLE: tagging before alignment. The whole network, in the order of the paper's method section."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagline.table import objective
from tagline.table.config import ModelConfig
from tagline.table.encoders import TextEncoder, build_towers, load_towers, normalise_frames
from tagline.table.fusion import MatchHead, TagGuidingEncoder, WordHead, mean_over
from tagline.table.objective import draw_negatives
from tagline.tagging.ml.distributed import gather, mean_of_all, world


@dataclass(frozen=True, slots=True)
class EncodedVideos:
    """What the model makes of a batch of videos. B videos, L frames and tags, D shared space, W width."""

    vectors: Tensor  # [B, D], unit length: what texts are compared with
    fused: Tensor | None  # [B, L, W], the TG encoder's output; None if there is no TG encoder
    valid: Tensor  # bool [B, L]
    position_ids: Tensor  # int [L]


class Table(nn.Module):
    """Video and text towers, the tag-guiding encoder between them, and the two heads of training."""

    visual: Any  # open_clip's, of whichever kind
    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.settings = config  # not `config`: trainers write into a model's `config`
        self.visual, self.text, self.logit_scale = build_towers(config.architecture)
        width, shared = self.text.width, self.text.output_dim
        self.captions = TextEncoder(self.text, tags=bool(config.tag_positions), masks=config.mlm)

        self.guide = TagGuidingEncoder(self.text, config) if config.layers else None
        # CLIP's shared space is mostly as wide as its text tower; where it is not, a map leads in and out.
        self.enter, self.leave = _projections(shared, width if config.layers else shared)
        # λ. CLIP4Clip's sequence transformer has none.
        mean = config.layers > 0 and config.residual == "mean"
        self.residual = nn.Parameter(torch.tensor(config.residual_init)) if mean else None
        # φ. Frames are in the shared space already, so it starts as the identity: before training the
        # model is CLIP. ψ is the projection of CLIP's text tower.
        self.project = nn.Linear(shared, shared, bias=False) if config.video_projection else None
        if self.project is not None:
            nn.init.eye_(self.project.weight)

        self.match = MatchHead(width) if config.vtm else None
        self.words = WordHead(width, self.text.vocab_size) if config.mlm else None

        size = self.visual.image_size
        self.image_size = int(size if isinstance(size, int) else size[0])
        self.register_buffer("mean", torch.tensor(config.mean), persistent=False)
        self.register_buffer("std", torch.tensor(config.std), persistent=False)

    @classmethod
    def build(cls, config: ModelConfig, weights: Path | None = None) -> Table:
        """A model to be trained. weights: safetensors of the CLIP that it starts from; None: random."""
        model = cls(config)
        if weights is not None:
            load_towers(model, weights)
            model._copy_from_towers()
        return model

    def _copy_from_towers(self) -> None:
        """Bring what starts as a copy of the text tower up to date with it."""
        fresh = TextEncoder(self.text, tags=self.captions.tag_projection is not None, masks=self.settings.mlm)
        self.captions.load_state_dict(fresh.state_dict())
        if self.guide is not None:
            self.guide.load_state_dict(TagGuidingEncoder(self.text, self.settings).state_dict())

    # -- encoders ------------------------------------------------------------------------------------

    def encode_frames(self, frames: Tensor) -> Tensor:
        """uint8 [B, N, 3, S, S] to the projected [CLS] of every frame: [B, N, D], not normalised.

        Frames that a frozen visual tower saw before, float [B, N, D], stay what they are.
        """
        if frames.is_floating_point():
            return frames
        batch, count = frames.shape[:2]
        pictures = normalise_frames(frames.flatten(0, 1), self.mean, self.std)
        seen: Tensor = self.visual(pictures)
        return seen.view(batch, count, -1)

    def encode_tokens(self, ids: Tensor, masked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Captions, int [B, M], to tokens [B, M, D] and [EOS] [B, D]; masked: bool [B, M], the [MASK]s."""
        found: tuple[Tensor, Tensor] = self.captions(self.text, ids, masked=masked)
        return found

    def encode_texts(self, ids: Tensor) -> Tensor:
        """Captions, int [B, M], to unit vectors [B, D]."""
        return _unit(self.encode_tokens(ids)[1])

    def encode_videos(
        self,
        frames: Tensor,
        frame_valid: Tensor | None = None,
        tags: Tensor | None = None,
        tagged: Tensor | None = None,
    ) -> EncodedVideos:
        """Videos to unit vectors and to what the joint encoder reads.

        frames: uint8 [B, N, 3, S, S], N at most `settings.frames`, or what `encode_frames` makes of them;
        frame_valid: bool [B, N], by default all;
        tags: int [B, K]; tagged: bool [B], False where a video has no tags, which are then not looked at.
        """
        return self.encode_seen_videos(self.encode_frames(frames), frame_valid, tags, tagged)

    def encode_seen_videos(
        self,
        seen: Tensor,
        frame_valid: Tensor | None = None,
        tags: Tensor | None = None,
        tagged: Tensor | None = None,
    ) -> EncodedVideos:
        """The same from the frames of `encode_frames`, [B, N, D]: spans of a video share its frames."""
        if frame_valid is None:
            frame_valid = seen.new_ones(seen.shape[:2], dtype=torch.bool)
        if self.guide is None or self.settings.residual == "frame":
            return self._clip4clip(seen, frame_valid)

        # {v¹ … vᴺ; tᵉ}: unit vectors all, so that a frame and the tags enter at the same size.
        v = F.normalize(seen, dim=-1)
        fused, valid, position_ids = self._fuse(v, frame_valid, tags, tagged)
        # ĝᵒ = λ · ρ(g) + ρ(v)
        assert self.residual is not None
        overall = self.residual * self.leave(mean_over(fused, valid)) + mean_over(v, frame_valid)
        return EncodedVideos(self._shared(overall), fused, valid, position_ids)

    def _fuse(
        self, v: Tensor, frame_valid: Tensor, tags: Tensor | None, tagged: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The TG encoder over frames and tags."""
        assert self.guide is not None
        x, valid = v, frame_valid
        position_ids = torch.arange(v.shape[1], device=v.device)
        if tags is not None and self.settings.tag_positions:
            tokens, eos = self.captions(self.text, tags, tags=True)
            t, there = (eos[:, None], tags.new_ones(len(tags), 1, dtype=torch.bool))
            if self.settings.tag_tokens == "all":
                t, there = tokens, token_mask(tags)
            if tagged is not None:
                there = there & tagged[:, None]
            x = torch.cat([x, F.normalize(t, dim=-1).to(x.dtype)], 1)
            valid = torch.cat([valid, there], 1)
            position_ids = torch.cat(
                [position_ids, self.guide.tag_offset + torch.arange(t.shape[1], device=v.device)]
            )
        return self.guide(self.enter(x), valid, position_ids), valid, position_ids

    def _clip4clip(self, seen: Tensor, valid: Tensor) -> EncodedVideos:
        """CLIP4Clip's two baselines: the mean of unit frames, before that perhaps a transformer over them."""
        position_ids = torch.arange(seen.shape[1], device=seen.device)
        if self.guide is not None:
            seen = seen + self.leave(self.guide(self.enter(seen), valid, position_ids))
        return EncodedVideos(
            self._shared(mean_over(F.normalize(seen, dim=-1), valid)), None, valid, position_ids
        )

    def _shared(self, overall: Tensor) -> Tensor:
        """φ, and unit length: similarities are cosines, as in CLIP."""
        return _unit(self.project(overall) if self.project is not None else overall)

    def joint(self, videos: EncodedVideos, rows: Tensor, text: Tensor, valid: Tensor) -> Tensor:
        """The joint encoder over [vision, tag, text]: the TG encoder's blocks, fed with its own output.

        rows: int [O], which video each text meets; text: [O, X, D]; valid: bool [O, X].
        Returns [O, L + X, W].
        """
        assert self.guide is not None
        assert videos.fused is not None
        # Unit length here too: frames and tags entered the encoder so.
        text = self.enter(F.normalize(text, dim=-1).to(videos.fused.dtype))
        position_ids = self.guide.text_offset + torch.arange(text.shape[1], device=text.device)
        found: Tensor = self.guide(
            torch.cat([videos.fused[rows], text], 1),
            torch.cat([videos.valid[rows], valid], 1),
            torch.cat([videos.position_ids, position_ids]),
        )
        return found

    # -- training ------------------------------------------------------------------------------------

    def forward(
        self,
        frames: Tensor,
        frame_valid: Tensor,
        tags: Tensor,
        tagged: Tensor,
        text: Tensor,
        video_of_text: Tensor,
        shown: Tensor | None = None,
        masked: Tensor | None = None,
        words: Tensor | None = None,
        longest: tuple[int, int] | None = None,
        seed: int = 0,
        vtm_weight: float = 1.0,
        mlm_weight: float = 1.0,
    ) -> dict[str, Tensor]:
        """The losses of one batch, this rank's part of it; negatives come from all ranks.

        text: int [T, M]; video_of_text: int [T], rows of `frames`. For MLM: shown int [T, M], the text with
        random words put in; masked bool [T, M], where it shows [MASK]; words int [T, M], the right word
        where there is one to find, else -100. longest: how many places of texts and of tags are used.
        Returns the loss, its parts, and the vectors of all ranks that they rest on.
        """
        rank, _ = world()
        # Padding comes last and nothing looks at it: cutting it off changes only the time.
        in_text, in_tags = longest or (text.shape[1], tags.shape[1])
        if self.settings.tag_tokens == "eos":
            tags = tags[:, :in_tags]
        videos = self.encode_videos(frames, frame_valid, tags, tagged)
        tokens, eos = self.encode_tokens(text[:, :in_text])
        vectors = _unit(eos)

        whole = GlobalBatch(
            videos=gather(videos.vectors),
            texts=gather(vectors),
            ids=gather(text),
            video_of_text=gather(video_of_text + rank * len(frames)),
            own_rows=torch.arange(len(text), device=text.device) + rank * len(text),
        )
        with torch.autocast(text.device.type, enabled=False):
            logits = self.logit_scale.exp() * whole.texts @ whole.videos.T  # [T, V]
            found = {"contrastive": objective.contrastive(logits, whole.video_of_text)}
        found["loss"] = found["contrastive"]
        if self.match is not None:
            found["vtm"] = self._vtm(videos, tokens, eos, logits.detach(), whole, int(seed))
            found["loss"] = found["loss"] + vtm_weight * found["vtm"]
        if self.words is not None and shown is not None:
            assert masked is not None
            assert words is not None
            cut = (part[:, :in_text] for part in (shown, masked, words))
            found["mlm"] = self._mlm(videos, video_of_text, *cut)
            found["loss"] = found["loss"] + mlm_weight * found["mlm"]
        return {**found, "video_vectors": whole.videos.detach(), "text_vectors": whole.texts.detach()}

    def _vtm(
        self,
        videos: EncodedVideos,
        tokens: Tensor,
        eos: Tensor,
        logits: Tensor,
        whole: GlobalBatch,
        seed: int,
    ) -> Tensor:
        """Does the text belong to the video? Each pair of this rank, once right and twice wrong."""
        assert self.match is not None
        assert videos.fused is not None
        negatives = draw_negatives(logits, whole.video_of_text, whole.ids, seed)
        mine = whole.own_rows
        right = whole.video_of_text[mine]
        # (video, text) right; (video, hard text) and (hard video, text) wrong: O = 3 T pairs.
        video_rows = torch.cat([right, right, negatives.video[mine]])
        text_rows = torch.cat([mine, negatives.text[mine], mine])
        counts = torch.cat(
            [torch.ones_like(mine, dtype=torch.bool), negatives.has_text[mine], negatives.has_video[mine]]
        )

        # [text] is "the overall representation of text", one [EOS]; or, as an option, all its tokens.
        if self.settings.vtm_text == "eos":
            text, valid = gather(eos)[:, None], whole.ids.new_ones(len(whole.ids), 1, dtype=torch.bool)
        else:
            # Ranks may have cut their padding at other places.
            text = gather(F.pad(tokens, (0, 0, 0, whole.ids.shape[1] - tokens.shape[1])))
            valid = token_mask(whole.ids)
        fused = EncodedVideos(whole.videos, gather(videos.fused), gather(videos.valid), videos.position_ids)
        joint = self.joint(fused, video_rows, text[text_rows], valid[text_rows])
        matches = torch.arange(len(video_rows), device=mine.device) < len(mine)
        terms = objective.matching(self.match(joint[:, 0]).float(), matches)
        return mean_of_all(terms[counts].sum(), counts.sum())

    def _mlm(
        self, videos: EncodedVideos, rows: Tensor, shown: Tensor, masked: Tensor, words: Tensor
    ) -> Tensor:
        """Which words are masked? From the video, its tags and the words that are left."""
        assert self.words is not None
        tokens, _ = self.encode_tokens(shown, masked)
        # Masks leave [EOS] alone, so `shown` ends where the text does.
        joint = self.joint(videos, rows, tokens, token_mask(shown))
        text = joint[:, -tokens.shape[1] :]
        wanted = words != -100
        logits = self.words(text[wanted], self.text.token_embedding.weight)
        terms = objective.masked_words(logits.float(), words[wanted])
        return mean_of_all(terms.sum(), wanted.sum())

    def checkpoint(self) -> None:
        """Keep no activations inside the blocks; compute them again on the way back. Slower, smaller."""
        self.visual.set_grad_checkpointing(True)
        self.text.set_grad_checkpointing(True)
        if self.guide is not None:
            self.guide.checkpointing = True

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """ "towers": what CLIP has, with the projections beside CLIP's own; "fusion": what is new."""
        groups: dict[str, list[nn.Parameter]] = {"towers": [], "fusion": []}
        towers = ("visual.", "text.", "logit_scale", "captions.tag_projection", "project.")
        for name, parameter in self.named_parameters():
            groups["towers" if name.startswith(towers) else "fusion"].append(parameter)
        return groups


@dataclass(frozen=True, slots=True)
class GlobalBatch:
    """The batch of all ranks together."""

    videos: Tensor  # [V, D]
    texts: Tensor  # [T, D]
    ids: Tensor  # int [T, M]
    video_of_text: Tensor  # int [T]
    own_rows: Tensor  # int, the rows of this rank's texts


def token_mask(ids: Tensor) -> Tensor:
    """Which tokens belong to the text: all up to [EOS], the largest id. int [B, M] to bool [B, M].

    Padding is 0, and so is the word "!", so an id alone does not tell.
    """
    return torch.arange(ids.shape[1], device=ids.device) <= ids.argmax(1, keepdim=True)


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)


def _projections(shared: int, width: int) -> tuple[nn.Module, nn.Module]:
    """The maps into the TG encoder and out of it. Together they change as little as they can at the start,
    so that what the tags say comes through before anything is learned."""
    if shared == width:
        return nn.Identity(), nn.Identity()
    enter, leave = nn.Linear(shared, width), nn.Linear(width, shared)
    nn.init.orthogonal_(enter.weight)
    with torch.no_grad():
        leave.weight.copy_(enter.weight.T)
    for way in (enter, leave):
        nn.init.zeros_(way.bias)
    return enter, leave

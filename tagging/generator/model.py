"""OP-TSG: hybrid encoder, order prompts, and a decoder that writes tags in the order of the prompts.

frames [B, T, frame_width] ─┐
                            ├─▶ hybrid features [B, L, width] ─▶ prompts [B, N, tag_width]
title words [B, L] ─────────┘              │                          │ (matched with tags)
                                           └──────────┬───────────────┘
                                                      ▼
                                         words of all tags [B, S]
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.data import RetrievalCollator, Retriever, Said, TaggerCollator
from tagline.tagging.generator.decoding import Decoding, Speculative, fit_draft_thresholds
from tagline.tagging.generator.encoder import EncodedBatch, HybridEncoder, TaggerBatch
from tagline.tagging.generator.layers import (
    INIT_SCALE,
    CopyingDecoder,
    CrossAttentionCache,
    CrossEncoder,
    Layer,
    WordDecoder,
    init_pass_through,
    init_weights,
)
from tagline.tagging.generator.objective import NO_TAG, generation, match_all, prompt_tag_contrast
from tagline.tagging.generator.targets import TargetBuilder, Targets, learned_order
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.distributed import gather, mean_of_all
from tagline.tagging.ml.tokenizer import TagTokenizer


class TaggingModel(nn.Module, ABC):
    """What training, saving and tagging ask of a model, be it this tagger or one it is measured against."""

    settings: TaggerConfig
    tokenizer: TagTokenizer
    tags: list[str]
    encoder: HybridEncoder

    @property
    def needs_retriever(self) -> bool:
        """Whether its batches hold tags of similar videos, so that somebody has to find these."""
        return False

    @abstractmethod
    def encode(self, batch: TaggerBatch) -> EncodedBatch:
        """What the encoders make of a batch."""

    @abstractmethod
    def losses(self, batch: TaggerBatch) -> dict[str, Tensor]:
        """Every loss by its name; the training loss is their sum."""

    @abstractmethod
    def predict(self, seen: EncodedBatch, decoding: Decoding | None = None) -> list[Said]:
        """The tags of each video with a score; `decoding` is for models that write."""

    def forward(self, batch: TaggerBatch) -> dict[str, Tensor]:
        """The losses by name and their sum, "loss" (equation 10)."""
        losses = self.losses(batch)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def collator(self, retriever: Retriever | None = None) -> TaggerCollator:
        """What makes this model's batches. One that is told tags of similar videos needs who tells it."""
        if not self.needs_retriever:
            return TaggerCollator(self.settings, self.tokenizer, self.tags)
        if retriever is None:
            raise ValueError("this tagger is told tags of similar videos; give it their memory")
        return RetrievalCollator(self.settings, self.tokenizer, self.tags, retriever)

    def init_words(self, first: Tensor, projection: Tensor) -> None:
        """Begin beyond the title encoder with words [words, width], projected from meanings [D, width]."""

    def fit_on_validation(self, make: TaggerCollator, examples: Sequence[Example]) -> None:
        """Set what has to suit validation videos; called before every validation."""

    def fit_after_training(self, seen: EncodedBatch) -> None:
        """Set what is fitted once, on some validation videos."""


class Tagger(TaggingModel):
    """The whole model. The tag table holds a frozen embedding for every training tag and for [PAD]."""

    draft_threshold: Tensor
    decoder: WordDecoder
    decoder_kind: type[WordDecoder] = WordDecoder

    def __init__(
        self,
        config: TaggerConfig,
        words: TagTokenizer,
        tags: Sequence[str],
        tag_vectors: Tensor,
        frequency: Sequence[int] | None = None,
    ) -> None:
        """tag_vectors: [len(tags) + 1, tag_width], the last row that of [PAD]; `frequency` in training."""
        super().__init__()
        if tuple(tag_vectors.shape) != (len(tags) + 1, config.tag_width):
            shape = list(tag_vectors.shape)
            raise ValueError(f"tag vectors {shape} do not fit {len(tags)} tags of width {config.tag_width}")
        self.settings, self.tokenizer, self.tags = config, words, list(tags)
        words.remember_spelling(tags)
        self.targets = TargetBuilder(config, words, self.tags, list(frequency or [1] * len(self.tags)))
        width, heads, dropout = config.width, config.heads, config.dropout

        self.prompt_encoder: CrossEncoder | None = None
        if config.prompted:
            self.queries = nn.Parameter(torch.randn(1, config.prompts, width) * 0.02)
            self.prompt_encoder = CrossEncoder(width, heads, config.prompt_layers, dropout)
            self.to_prompt = nn.Linear(width, config.tag_width)
        # What a variant does not use is not there: several processes wait for every gradient.
        self.label_head = nn.Linear(config.tag_width, 1) if config.prompt_labels else None
        self.tag_head = nn.Linear(config.tag_width, len(tags) + 1) if config.classify_prompts else None
        if not config.classify_prompts:
            if config.prompted:
                self.from_prompt = nn.Linear(config.tag_width, width)
            self.decoder = self.make_decoder()
        uses_retrieval = config.retrieved > 0 and not config.classify_prompts
        self.retrieved_positions = nn.Embedding(config.retrieved_words, width) if uses_retrieval else None
        self.retrieved_score = nn.Linear(1, width) if uses_retrieval else None
        self.apply(init_weights)
        if not config.classify_prompts and isinstance(self.decoder, CopyingDecoder):
            self.decoder.init_pointer()
        self.encoder = HybridEncoder(config, words)
        self.log_temperature = (
            nn.Parameter(torch.tensor(math.log(0.07))) if config.prompted and config.contrastive else None
        )
        self.tag_vectors = nn.Parameter(tag_vectors.detach().clone(), requires_grad=config.learnable_tags)
        # How near a tag must lie to each prompt for a draft to name it; fitted after training, on validation.
        self.register_buffer("draft_threshold", torch.full((max(config.prompts, 1),), 0.5))

    @property
    def needs_retriever(self) -> bool:
        return self.settings.retrieved > 0

    def make_decoder(self) -> WordDecoder:
        c = self.settings
        kind = CopyingDecoder if c.copy_title else self.decoder_kind
        return kind(
            len(self.tokenizer),
            c.width,
            heads=c.heads,
            layers=c.decoder_layers,
            dropout=c.dropout,
            room=c.target_words + 1,
            prompts=c.prompts if c.prompted else 0,
            comma=self.tokenizer.comma,
        )

    def encode(self, batch: TaggerBatch) -> EncodedBatch:
        """Encode frames and titles, and turn the learnable queries into this batch's order prompts."""
        features, mask = self.encoder(batch)
        if self.prompt_encoder is None:
            prompts = features.new_zeros(len(batch), 0, self.settings.tag_width)
        else:
            queries = self.queries.expand(len(batch), -1, -1)
            prompts = self.to_prompt(self.prompt_encoder(queries, features, None, mask))
        told = batch.retrieved, batch.retrieved_mask, batch.retrieved_scores
        return EncodedBatch(
            features, mask, prompts, *told, title=batch.title if self.settings.copy_title else None
        )

    def cross_attention_cache(
        self, seen: EncodedBatch, order: Tensor | None = None, visible: Tensor | None = None
    ) -> CrossAttentionCache:
        """What the decoder looks at: the prompts in `order` [B, N] with their place, what was retrieved,
        then the features.

        `kept` [B, N], True for prompts that the decoder may see (prompt labels).
        """
        rows, count = seen.prompts.shape[:2]
        memory, mask = [seen.features], [seen.mask]
        if self.retrieved_positions is not None:
            retrieved, there = self._retrieved_memory(seen)
            memory, mask = [retrieved, *memory], [there, *mask]
        if count == 0:
            return self._cross_cache(seen, memory, mask)
        prompts = seen.prompts
        if order is not None:
            prompts = prompts.gather(1, order[..., None].expand_as(prompts))
        there = (
            torch.ones(rows, count, dtype=torch.bool, device=prompts.device) if visible is None else visible
        )
        places = (there.cumsum(1) - 1).clamp(min=0)  # of a prompt's tag among those that are written
        assert self.decoder.prompt_embeddings is not None
        inner = self.from_prompt(prompts) + self.decoder.prompt_embeddings(places)
        return self._cross_cache(seen, [inner, *memory], [there, *mask])

    def _cross_cache(
        self, seen: EncodedBatch, memory: list[Tensor], mask: list[Tensor]
    ) -> CrossAttentionCache:
        cross_cache = self.decoder.cross_attention_cache(torch.cat(memory, dim=1), torch.cat(mask, dim=1))
        if seen.title is None:
            return cross_cache
        words = seen.mask & (seen.title != self.tokenizer.start) & (seen.title != self.tokenizer.end)
        return replace(cross_cache, source_words=seen.title, source_mask=words, source_features=seen.features)

    def _retrieved_memory(self, seen: EncodedBatch) -> tuple[Tensor, Tensor]:
        """The explicit prompt: words of retrieved tags, best first, [B, H, width], and their mask."""
        assert self.retrieved_positions is not None
        assert self.retrieved_score is not None
        assert seen.retrieved is not None, "this tagger is told what was retrieved; give it a memory"
        assert seen.retrieved_mask is not None
        assert seen.retrieved_scores is not None
        places = torch.arange(seen.retrieved.shape[1], device=seen.retrieved.device)
        words = self.decoder.embed(seen.retrieved) + self.retrieved_positions(places)
        return words + self.retrieved_score(seen.retrieved_scores[..., None].to(words)), seen.retrieved_mask

    def labelled_prompts(self, prompts: Tensor) -> Tensor | None:
        """Which prompts stand for a tag, by the prompt labels: bool [B, N]; None without such labels."""
        return None if self.label_head is None else self.label_head(prompts).squeeze(-1) > 0

    def losses(self, batch: TaggerBatch) -> dict[str, Tensor]:
        assert batch.tags is not None, "training needs tags"
        seen = self.encode(batch)
        if not self.settings.prompted:
            return {"generation": self.word_loss(seen, self._targets_by_rank(seen, batch), None)}

        aligned = self.align(seen.prompts, batch.tags)
        losses = {}
        if self.log_temperature is not None:
            losses["contrast"] = self.contrast(seen.prompts, batch.tags, aligned)
        if self.tag_head is not None:
            losses["class"] = self._class_loss(self.tag_head, seen.prompts, batch.tags, aligned)
            return losses
        shuffle = self.settings.shuffle and self.training
        targets = self.targets.prompted(batch.tags, aligned, batch.shuffle_keys, shuffle=shuffle)
        visible = None
        if self.label_head is not None:
            meant = aligned != NO_TAG
            logits = self.label_head(seen.prompts).squeeze(-1)
            losses["label"] = F.binary_cross_entropy_with_logits(logits.float(), meant.float())
            visible = meant.gather(1, targets.order)
        losses["generation"] = self.word_loss(seen, targets, visible)
        return losses

    def _targets_by_rank(self, seen: EncodedBatch, batch: TaggerBatch) -> Targets:
        assert batch.tags is not None
        if self.settings.order != "learned":
            return self.targets.ranked(batch.tags, batch.shuffle_keys)
        was = self.training
        self.eval()  # its own opinion, without dropout
        with torch.no_grad():
            ordered = learned_order(self.decoder, self.cross_attention_cache(seen), self.targets, batch.tags)
        self.train(was)
        return self.targets.in_given_order(ordered)

    def align(self, prompts: Tensor, tags: Sequence[Tensor]) -> Tensor:
        """For each prompt of each video the place of its tag among the video's tags, or NO_TAG: [B, N]."""
        counts = [len(own) for own in tags]
        padded = nn.utils.rnn.pad_sequence(list(tags), batch_first=True)  # [B, longest]
        table = self.tag_vectors.detach()
        aligned = match_all(prompts.detach(), table[padded.long()], table[-1], counts)
        return torch.from_numpy(aligned).to(prompts.device)

    def contrast(self, prompts: Tensor, tags: Sequence[Tensor], aligned: Tensor) -> Tensor:
        """Over all videos of the batch, those of other processes too."""
        assert self.log_temperature is not None
        numbers = gather(self._numbers(tags, aligned)).flatten()  # of the tag of each prompt
        prompts = gather(prompts.float()).flatten(0, 1)
        prompt_of = (numbers != NO_TAG).nonzero()[:, 0]
        tag_of = numbers[prompt_of]
        temperature = self.log_temperature.exp().clamp(min=0.01)
        return prompt_tag_contrast(prompts, self.tag_vectors[tag_of], tag_of, prompt_of, temperature)

    def _numbers(self, tags: Sequence[Tensor], aligned: Tensor) -> Tensor:
        """For each prompt the number of its tag in the tag table, or NO_TAG: int [B, N]."""
        padded = nn.utils.rnn.pad_sequence(list(tags), batch_first=True).long()
        if padded.shape[1] == 0:
            return aligned
        return torch.where(aligned == NO_TAG, NO_TAG, padded.gather(1, aligned.clamp(min=0)))

    def _class_loss(
        self, head: nn.Module, prompts: Tensor, tags: Sequence[Tensor], aligned: Tensor
    ) -> Tensor:
        numbers = self._numbers(tags, aligned).flatten()
        target = torch.where(numbers == NO_TAG, len(self.tags), numbers)
        weight = torch.where(numbers == NO_TAG, self.settings.pad_weight, 1.0)
        loss = F.cross_entropy(head(prompts).flatten(0, 1).float(), target, reduction="none")
        return mean_of_all((loss * weight).sum(), weight.sum())

    def word_loss(self, seen: EncodedBatch, targets: Targets, visible: Tensor | None) -> Tensor:
        cross_cache = self.cross_attention_cache(seen, targets.order, visible)
        places = torch.arange(targets.decoder_input.shape[1], device=cross_cache.mask.device).expand_as(
            targets.decoder_input
        )
        logps = self.decoder.likelihood(targets.decoder_input, places, cross_cache, targets.labels)
        return generation(logps, targets.labels, self.tokenizer.pad, self.settings.pad_weight)

    @torch.no_grad()
    def predict(self, seen: EncodedBatch, decoding: Decoding | None = None) -> list[Said]:
        """Tags in the order in which they were written; a score is the geometric mean over a tag's words.

        Those of a tagger that classifies its prompts have their own probability, the surest first.
        """
        if self.tag_head is not None:
            return self._classified(seen, self.tag_head)
        written = (decoding or Speculative())(self, seen)
        return [self._written(*one) for one in zip(written.words, written.logps, strict=True)]

    def _written(self, ids: Sequence[int], logps: Sequence[float]) -> Said:
        """Each tag once, with the best of its scores."""
        best: dict[str, float] = {}
        for text, place in self.tokenizer.tag_spans(ids):
            part = logps[place]
            score = float(torch.tensor(part).mean().exp())
            best[text] = max(score, best.get(text, 0.0))
        return list(best.items())

    def _classified(self, seen: EncodedBatch, head: nn.Module) -> list[Said]:
        """Table 7 G: each prompt's likeliest tag with its probability, each tag once, the surest first."""
        probabilities, numbers = head(seen.prompts).float().softmax(-1).max(-1)
        found = []
        for row, own in zip(probabilities.tolist(), numbers.tolist(), strict=True):
            best: dict[str, float] = {}
            for probability, number in zip(row, own, strict=True):
                if number < len(self.tags):
                    tag = self.tags[number]
                    best[tag] = max(probability, best.get(tag, 0.0))
            found.append(sorted(best.items(), key=lambda item: (-item[1], item[0])))
        return found

    @torch.no_grad()
    def init_words(self, first: Tensor, projection: Tensor) -> None:
        """Words of the decoder begin as the title's, and prompts near the words of the title."""
        if not self.settings.classify_prompts:
            self.decoder.word_embeddings.weight.copy_(first)
        if self.prompt_encoder is None:
            return
        if not self.settings.classify_prompts:
            # A prompt comes with about 1 in each of its values, a meaning has length 1; words are read at
            # their width's root, see WordDecoder.embed.
            scale = INIT_SCALE * (self.settings.width / len(projection)) ** 0.5
            self.from_prompt.weight.copy_(scale * projection.T)
        self.to_prompt.weight.copy_(projection)
        layers = self.prompt_encoder.layers
        for layer in layers:
            assert isinstance(layer, Layer)
            init_pass_through(layer.cross_attn, INIT_SCALE * (3 * len(layers)) ** -0.5)

    def fit_after_training(self, seen: EncodedBatch) -> None:
        """When drafts name a tag."""
        fit_draft_thresholds(self, seen)

"""Transformer layers of the encoder and the word decoder, their attention caches, and the copy gate.

Greedy decoding moves all rows one word a pass; speculative decoding moves every row as far as its draft was
right. Both use the same `Cache`, so that both compute the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SOURCE_FIELDS = ("source_words", "source_mask", "source_features")
IGNORE = -100  # in place of a word that is wanted next: none is
INIT_SCALE = 2.0  # first scale of marks and prompts beside that of words


def cheap_dropout(x: Tensor, p: float) -> Tensor:
    """Dropout. On a CPU, where chance numbers cost more than matrices, eight decisions share one of them.

    A decision is a byte there, so that p is rounded to 1/256; what is kept is scaled to match.
    """
    if x.device.type != "cpu":
        return F.dropout(x, p)
    least = min(round(256 * p), 255)
    chance = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    keep = chance.view(torch.uint8)[: x.numel()].view(x.shape) >= least
    return x * keep.to(x.dtype).mul_(256 / (256 - least))


class Dropout(nn.Dropout):
    """`drop` while training."""

    def forward(self, x: Tensor) -> Tensor:
        return cheap_dropout(x, self.p) if self.training and self.p else x


class Attention(nn.Module):
    """Multi-head attention, self or cross."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        # A bias of keys would change nothing: softmax is blind to what is the same for all.
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split_heads(self, x: Tensor) -> Tensor:
        """[B, S, width] to [B, heads, S, width / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        return self.split_heads(self.key(memory)), self.split_heads(self.value(memory))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """mask: bool, broadcastable to [B, heads, S, M], True where x may look; None: everywhere."""
        dropout = self.dropout if self.training else 0.0
        asked = self.split_heads(self.query(x))
        if dropout and x.device.type == "cpu":
            scores = asked @ keys.transpose(2, 3) / asked.shape[-1] ** 0.5
            if mask is not None:
                scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
            mixed = cheap_dropout(scores.softmax(-1), dropout) @ values
        else:
            mixed = F.scaled_dot_product_attention(asked, keys, values, attn_mask=mask, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).flatten(2))


class SelfAttentionCache:
    """Keys and values of the words so far. keys, values: [B, heads, room, width / heads] for each layer."""

    def __init__(self, room: int, layers: int) -> None:
        self.room = room
        self.keys: list[Tensor | None] = [None] * layers
        self.values: list[Tensor | None] = [None] * layers
        self.words: Tensor | None = None  # int [B, room]

    def write_words(self, words: Tensor, places: Tensor) -> Tensor:
        """Write the words themselves at `places` [B, S] and give all up to the last place written."""
        if self.words is None:
            self.words = words.new_zeros(len(words), self.room)
        self.words.scatter_(1, places, words)
        return self.words[:, : int(places.max()) + 1]

    def write(self, layer: int, keys: Tensor, values: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Write new words at `places` [B, S] and give everything up to the last place written."""
        held, meant = self.keys[layer], self.values[layer]
        if held is None or meant is None:  # only now is it known in which precision they come
            shape = (*keys.shape[:2], self.room, keys.shape[-1])
            held, meant = keys.new_zeros(shape), values.new_zeros(shape)
            self.keys[layer], self.values[layer] = held, meant
        where = places[:, None, :, None].expand_as(keys)
        held.scatter_(2, where, keys)
        meant.scatter_(2, where, values)
        end = int(places.max()) + 1
        return held[:, :, :end], meant[:, :, :end]

    def select(self, rows: Tensor) -> None:
        """Keep the given rows, in the given order (beams that are continued, rows that go on)."""
        self.words = None if self.words is None else self.words[rows]
        self.keys = [None if keys is None else keys[rows] for keys in self.keys]
        self.values = [None if values is None else values[rows] for values in self.values]


@dataclass(slots=True)
class CrossAttentionCache:
    """What the decoder looks at in every pass: each layer's cross keys and values, computed once."""

    layers: list[tuple[Tensor, Tensor]]
    mask: Tensor  # bool [B, M], True: something is there
    source_words: Tensor | None = None  # int [B, H], words that may be copied
    source_mask: Tensor | None = None  # bool [B, H]
    source_features: Tensor | None = None  # [B, H, width], what is known of them beside the words themselves

    def put(self, row: int, other: CrossAttentionCache, number: int) -> None:
        """Row `number` of the other in place of this `row`."""
        for own, its in zip(self.layers, other.layers, strict=True):
            own[0][row], own[1][row] = its[0][number], its[1][number]
        self.mask[row] = other.mask[number]
        for mine, theirs in zip(self._sources(), other._sources(), strict=True):
            if mine is not None and theirs is not None:
                mine[row] = theirs[number]

    def select(self, rows: Tensor) -> CrossAttentionCache:
        return replace(
            self,
            layers=[(keys[rows], values[rows]) for keys, values in self.layers],
            mask=self.mask[rows],
            **{
                name: None if x is None else x[rows]
                for name, x in zip(SOURCE_FIELDS, self._sources(), strict=True)
            },
        )

    def _sources(self) -> list[Tensor | None]:
        return [getattr(self, name) for name in SOURCE_FIELDS]


class Layer(nn.Module):
    """Self-attention, cross-attention, feed-forward; each after a norm, each with a residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.cross_attn = Attention(width, heads, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.ffn = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.dropout = Dropout(dropout)

    def output_projections(self) -> list[nn.Linear]:
        """The maps whose output is added to what came in."""
        last = self.ffn[-1]
        assert isinstance(last, nn.Linear)
        return [self.self_attn.out, self.cross_attn.out, last]

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor],
        memory_mask: Tensor | None,
        own_mask: Tensor | None = None,
        cache: tuple[SelfAttentionCache, int, Tensor] | None = None,
    ) -> Tensor:
        """x: [B, S, width]; `memory`: this layer's cross keys and values; `cache`: (cache, layer, places)."""
        norms = iter(self.norms)
        here = next(norms)(x)
        keys, values = self.self_attn.keys_values(here)
        if cache is not None:
            store, number, places = cache
            keys, values = store.write(number, keys, values, places)
        x = x + self.dropout(self.self_attn(here, keys, values, own_mask))
        x = x + self.dropout(self.cross_attn(next(norms)(x), *memory, memory_mask))
        return x + self.dropout(self.ffn(next(norms)(x)))


class CrossEncoder(nn.Module):
    """A stack of layers over x that look at one memory; used for the hybrid and the prompt encoder."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: Tensor, memory: Tensor, own_mask: Tensor | None, memory_mask: Tensor | None
    ) -> Tensor:
        """x: [B, S, width]; memory: [B, M, width]; masks: bool [B, S], [B, M], True: something is there."""
        own = None if own_mask is None else own_mask[:, None, None, :]
        across = None if memory_mask is None else memory_mask[:, None, None, :]
        for layer in self.layers:
            assert isinstance(layer, Layer)
            x = layer(x, layer.cross_attn.keys_values(memory), across, own)
        return self.norm(x)


class WordDecoder(nn.Module):
    """The autoregressive decoder: causal self-attention over words, cross-attention to prompts, features.

    Under order prompts, a prompt and the words of its tag carry the same mark, `slots`: which tag is being
    written follows from the commas so far, and need not be learned by counting them.
    """

    def __init__(
        self,
        words: int,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        room: int,
        prompts: int = 0,
        comma: int = -1,
    ) -> None:
        """slots: one for each order prompt; the word `comma` ends the tag of one and begins the next."""
        super().__init__()
        self.max_words, self.comma = room, comma
        self.word_embeddings = nn.Embedding(words, width)
        self.position_embeddings = nn.Embedding(room, width)
        self.prompt_embeddings = nn.Embedding(prompts, width) if prompts else None
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def cross_attention_cache(self, memory: Tensor, mask: Tensor) -> CrossAttentionCache:
        """memory: [B, M, width]; mask: bool [B, M]."""
        return CrossAttentionCache([layer.cross_attn.keys_values(memory) for layer in self._layers()], mask)

    def cache(self) -> SelfAttentionCache:
        return SelfAttentionCache(self.max_words, len(self.layers))

    def _layers(self) -> Sequence[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def hidden(
        self,
        words: Tensor,
        places: Tensor,
        cross_cache: CrossAttentionCache,
        cache: SelfAttentionCache | None = None,
    ) -> Tensor:
        """words, places: int [B, S]. Returns what is known at each word of the next one: [B, S, width].

        A word sees the words at its own place and before it: with a cache all that was ever put there,
        without one the words given.
        """
        x = self.embed(words) + self.position_embeddings(places)
        if self.prompt_embeddings is not None:
            x = x + self.prompt_embeddings(self._prompt_numbers(words, places, cache))
        x = self.dropout(x)
        if cache is None:
            visible = places[:, None, :] <= places[:, :, None]  # [B, S, S]
        else:
            columns = torch.arange(int(places.max()) + 1, device=words.device)
            visible = columns[None, None, :] <= places[:, :, None]  # [B, S, columns]
        across = cross_cache.mask[:, None, None, :]
        for number, layer in enumerate(self._layers()):
            store = None if cache is None else (cache, number, places)
            x = layer(x, cross_cache.layers[number], across, visible[:, None], store)
        out: Tensor = self.norm(x)
        return out

    def embed(self, words: Tensor) -> Tensor:
        """Words at the scale of their places."""
        out: Tensor = self.word_embeddings(words) * self.word_embeddings.embedding_dim**0.5
        return out

    def _prompt_numbers(self, words: Tensor, places: Tensor, cache: SelfAttentionCache | None) -> Tensor:
        """The number of the prompt whose tag each word's next one belongs to: int [B, S]."""
        assert self.prompt_embeddings is not None
        if cache is None:
            commas = (words == self.comma).cumsum(1)
        else:
            commas = (cache.write_words(words, places) == self.comma).cumsum(1).gather(1, places)
        return commas.clamp(max=self.prompt_embeddings.num_embeddings - 1)

    def forward(
        self,
        words: Tensor,
        places: Tensor,
        cross_cache: CrossAttentionCache,
        cache: SelfAttentionCache | None = None,
    ) -> Tensor:
        """Logits over the next word at each place: [B, S, V]."""
        return F.linear(self.hidden(words, places, cross_cache, cache), self.word_embeddings.weight)

    def likelihood(
        self, words: Tensor, places: Tensor, cross_cache: CrossAttentionCache, wanted: Tensor
    ) -> Tensor:
        """Log-probabilities of the words that are wanted next, `wanted` [B, S], where it is not IGNORE: [M].

        What `forward` says of these words, without writing down all others.
        """
        there = wanted != IGNORE
        logits = F.linear(self.hidden(words, places, cross_cache)[there], self.word_embeddings.weight)
        return -F.cross_entropy(logits.float(), wanted[there], reduction="none")


def init_weights(module: nn.Module) -> None:
    """First weights that keep the scale of what passes through, whatever the width and the depth.

    BERT's 0.02 everywhere suits a width of 768. At 96 it leaves attention so even that a decoder needs
    thousands of steps to see that its prompts differ. `apply` comes to a stack after its parts.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=1.0)
    elif isinstance(module, CrossEncoder | WordDecoder):
        for layer in module.layers:  # what all layers add is as large as what they are added to
            assert isinstance(layer, Layer)
            for last in layer.output_projections():
                nn.init.normal_(last.weight, std=(3 * len(module.layers) * last.in_features) ** -0.5)
    if isinstance(module, WordDecoder):
        # The output's vectors too; `embed` brings them to scale.
        nn.init.normal_(module.word_embeddings.weight, std=module.word_embeddings.embedding_dim**-0.5)
        _init_attend_own_prompt(module)


def _init_attend_own_prompt(decoder: WordDecoder) -> None:
    """Queries and keys that are alike find what bears their mark, before anything is learned; and what is
    found there comes out as it went in.

    With keys of their own the words look at all prompts evenly, and a small decoder learns to write the
    commonest tag under each of them long before it learns where to look.
    """
    if decoder.prompt_embeddings is None:
        return
    nn.init.normal_(decoder.prompt_embeddings.weight, std=INIT_SCALE)
    for layer in decoder.layers:
        assert isinstance(layer, Layer)
        with torch.no_grad():
            layer.cross_attn.key.weight.copy_(layer.cross_attn.query.weight)
        init_pass_through(layer.cross_attn, (3 * len(decoder.layers)) ** -0.5)


@torch.no_grad()
def init_pass_through(attention: Attention, scale: float) -> None:
    """First weights under which what is looked at comes out as it is, times `scale`."""
    nn.init.orthogonal_(attention.value.weight)
    attention.out.weight.copy_(scale * attention.value.weight.T)


class CopyingDecoder(WordDecoder):
    """A decoder that may point at hints."""

    def __init__(self, words: int, width: int, **sizes: Any) -> None:
        super().__init__(words, width, **sizes)
        self.pointer_query = nn.Linear(width, width)
        self.pointer_key = nn.Linear(width, width)
        self.gate = nn.Linear(2 * width, 1)

    @torch.no_grad()
    def init_pointer(self) -> None:
        """First weights under which the pointer finds what is like the word that is wanted."""
        self.pointer_key.weight.copy_(self.pointer_query.weight)

    def forward(
        self,
        words: Tensor,
        places: Tensor,
        cross_cache: CrossAttentionCache,
        cache: SelfAttentionCache | None = None,
    ) -> Tensor:
        """Logarithms of the mixed probabilities: [B, S, V]."""
        hidden = self.hidden(words, places, cross_cache, cache)
        own = F.linear(hidden, self.word_embeddings.weight).float().log_softmax(-1)
        weights, gate = self.pointer(hidden, cross_cache)
        assert cross_cache.source_words is not None
        where = cross_cache.source_words[:, None].expand(-1, hidden.shape[1], -1)
        copied = torch.zeros_like(own).scatter_add(-1, where, weights)  # [B, S, V]
        return _mixed(own, copied, gate)

    def likelihood(
        self, words: Tensor, places: Tensor, cross_cache: CrossAttentionCache, wanted: Tensor
    ) -> Tensor:
        hidden = self.hidden(words, places, cross_cache)
        there = wanted != IGNORE
        logits = F.linear(hidden[there], self.word_embeddings.weight)
        own = -F.cross_entropy(logits.float(), wanted[there], reduction="none")
        weights, gate = self.pointer(hidden, cross_cache)
        assert cross_cache.source_words is not None
        copied = (weights * (cross_cache.source_words[:, None] == wanted[..., None])).sum(-1)
        return _mixed(own, copied[there], gate[there][:, 0])

    def pointer(self, hidden: Tensor, cross_cache: CrossAttentionCache) -> tuple[Tensor, Tensor]:
        """Weights on the hints, [B, S, H], and the gate, [B, S, 1]."""
        assert cross_cache.source_words is not None
        assert cross_cache.source_mask is not None
        hints = self.embed(cross_cache.source_words)  # [B, H, width]
        if cross_cache.source_features is not None:
            hints = hints + cross_cache.source_features
        scores = (
            self.pointer_query(hidden) @ self.pointer_key(hints).transpose(1, 2) / hidden.shape[-1] ** 0.5
        )  # [B, S, H]
        # A row without hints must not divide by zero; its gate is shut below.
        scores = scores.float().masked_fill(~cross_cache.source_mask[:, None], -1e4)
        weights = scores.softmax(-1)
        context = weights.to(hints) @ hints  # [B, S, width]
        gate = self.gate(torch.cat([hidden, context], dim=-1)).float().sigmoid()  # [B, S, 1]
        return weights, gate * cross_cache.source_mask.any(1).float()[:, None, None] * 0.999


def _mixed(own: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    """own: log-probabilities of the vocabulary; copied: probabilities of the pointer."""
    return ((1 - gate) * own.exp() + gate * copied).clamp(min=1e-12).log()

"""CLIP's text tower in plain numpy, so that a query needs neither torch nor open_clip.

Loading those takes three to five seconds, which is longer than anything else in a search from the shell.
A model's text tower is written once into a file of the cache: safetensors with the tokenizer inside. The
large table of token embeddings is mapped, not read, for a query touches a few rows of it. Before a tower is
written, its vectors are compared with those of the model itself.
"""

from __future__ import annotations

import html
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.experts.sentences import gelu, map_tensor
from tagline.experts.storage import cache_home, write_atomic

Floats = npt.NDArray[np.float32]

VERSION = 2
EMBEDDING = "token_embedding.weight"
SETTINGS = ("layers", "heads", "length", "activation", "epsilon", "clean")
BATCH = 64  # texts of equal length in one pass
CHECK_TEXTS = (
    "a dog",
    "a man talks about space on a stage!",
    "Zwei Kinder spielen Fußball",
    "2 cats & 10 mice, isn't it?",
    "",
    " ".join(["long"] * 200),
)


class NotPortable(Exception):
    """A text tower that numpy cannot stand in for; the model itself has to read then."""


@dataclass(frozen=True, slots=True)
class TextTowerWeights:
    """A text tower taken apart. Names of `tensors` are open_clip's own."""

    tensors: Mapping[str, npt.NDArray[Any]]
    tokenizer: bytes  # JSON of the tokenizers library
    layers: int
    heads: int
    length: int  # tokens of a text, start and end counted
    activation: str  # "gelu" or "quick_gelu"
    epsilon: float  # of the layer norms
    clean: bool  # whether texts are cleaned up first, as open_clip does


class NumpyTextTower:
    """A text tower at work."""

    def __init__(self, tower: TextTowerWeights) -> None:
        self.tower = tower
        self._weights = {
            key: np.asarray(value, np.float32) for key, value in tower.tensors.items() if key != EMBEDDING
        }

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Texts to unit vectors: float32 [N, D]."""
        rows = self.tokens(texts)
        found = np.zeros((len(rows), self._weights["text_projection"].shape[1]), np.float32)
        by_length: dict[int, list[int]] = defaultdict(list)
        for i, row in enumerate(rows):
            # In a causal tower nothing depends on what comes after the end token, the highest number.
            by_length[int(np.argmax(row)) + 1].append(i)
        for length, places in by_length.items():
            for first in range(0, len(places), BATCH):
                some = places[first : first + BATCH]
                found[some] = self._forward(np.array([rows[i][:length] for i in some]))
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text; what is too long loses its middle end, never the end token."""
        prepared = [clean_text(text) if self.tower.clean else text for text in texts]
        most = self.tower.length
        encoded = [one.ids for one in self._tokenizer.encode_batch(prepared)]
        return [ids if len(ids) <= most else [*ids[: most - 1], ids[-1]] for ids in encoded]

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.tower.tokenizer.decode())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def _forward(self, ids: npt.NDArray[np.int64]) -> Floats:
        """Token numbers [B, L], the last of each the end token, to vectors [B, D]."""
        weights = self._weights
        x = np.asarray(self.tower.tensors[EMBEDDING][ids], np.float32)
        x = x + weights["positional_embedding"][: ids.shape[1]]
        for layer in range(self.tower.layers):
            name = f"transformer.resblocks.{layer}."
            x = x + self._attention(self._norm(x, name + "ln_1"), name + "attn.")
            x = x + self._mlp(self._norm(x, name + "ln_2"), name + "mlp.")
        found: Floats = self._norm(x[:, -1], "ln_final") @ weights["text_projection"]
        return found

    def _attention(self, x: Floats, name: str) -> Floats:
        """Causal attention of several heads: [B, L, W] to [B, L, W]."""
        weights, heads = self._weights, self.tower.heads
        batch, length, width = x.shape
        mixed = x @ weights[name + "in_proj_weight"].T + weights[name + "in_proj_bias"]
        # [B, L, 3 W] to three of [B, heads, L, W / heads]
        q, k, v = mixed.reshape(batch, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
        logits = q @ k.swapaxes(-1, -2) / math.sqrt(width // heads)
        logits = np.where(np.tri(length, dtype=bool), logits, -np.inf)
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        joined = (shares @ v).transpose(0, 2, 1, 3).reshape(batch, length, width)
        found: Floats = joined @ weights[name + "out_proj.weight"].T + weights[name + "out_proj.bias"]
        return found

    def _mlp(self, x: Floats, name: str) -> Floats:
        weights = self._weights
        inner = x @ weights[name + "c_fc.weight"].T + weights[name + "c_fc.bias"]
        raised = gelu(inner) if self.tower.activation == "gelu" else inner / (1 + np.exp(-1.702 * inner))
        found: Floats = raised @ weights[name + "c_proj.weight"].T + weights[name + "c_proj.bias"]
        return found

    def _norm(self, x: Floats, name: str) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self.tower.epsilon))
        found: Floats = centred / spread * self._weights[name + ".weight"] + self._weights[name + ".bias"]
        return found


def clean_text(text: str) -> str:
    """The text as open_clip's tokenizer cleans it up before it cuts it into words."""
    if not text.isascii() or not text.isprintable() or "&" in text:
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


# -- files ---------------------------------------------------------------------------------------------


def cache_path(fingerprint: str) -> Path:
    """Where the text tower of a model lies."""
    return cache_home() / "text-towers" / f"v{VERSION}-{fingerprint}.safetensors"


def store_checked(tower: TextTowerWeights, expected: Floats, fingerprint: str) -> NumpyTextTower:
    """Write a tower into the cache and return it as numpy computes it.

    expected: [len(CHECK_TEXTS), D], what the model itself makes of them. Raises NotPortable if they differ.
    """
    tower_in_numpy = NumpyTextTower(tower)
    if (
        tower_in_numpy(CHECK_TEXTS).shape != expected.shape
        or float(np.abs(tower_in_numpy(CHECK_TEXTS) - expected).max()) > 1e-3
    ):
        raise NotPortable("its text tower computes something else than CLIP's")
    write(tower, cache_path(fingerprint))
    return tower_in_numpy


def write(tower: TextTowerWeights, path: Path) -> None:
    """Write a tower: safetensors whose metadata holds the settings."""
    from safetensors.numpy import save

    tensors = {key: np.ascontiguousarray(value) for key, value in sorted(tower.tensors.items())}
    tensors["tokenizer"] = np.frombuffer(tower.tokenizer, np.uint8)
    settings = {name: getattr(tower, name) for name in SETTINGS}
    write_atomic(path, save(tensors, metadata={"settings": json.dumps(settings)}))


def read(path: Path) -> NumpyTextTower | None:
    """The tower of a file; None if it is not there or not whole, for it can be made again."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            settings = json.loads(file.metadata()["settings"])
            tensors = {name: file.get_tensor(name) for name in file.keys() if name != EMBEDDING}  # noqa: SIM118
        tensors[EMBEDDING] = map_tensor(path, EMBEDDING)
        tokenizer = tensors.pop("tokenizer").tobytes()
        return NumpyTextTower(TextTowerWeights(tensors, tokenizer, **settings))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def bpe_tokenizer(merges: Sequence[str]) -> bytes:
    """CLIP's byte pairs as a tokenizer of the tokenizers library, from the lines of its vocabulary."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors

    pairs = [tuple(line.split()) for line in merges]
    letters = _byte_alphabet()
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in pairs)]
    start, end = "<start_of_text>", "<end_of_text>"
    vocabulary = {word: number for number, word in enumerate([*words, start, end])}
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs, end_of_word_suffix="</w>"))  # type: ignore[arg-type]
    tokenizer.add_special_tokens([AddedToken(start, special=True), AddedToken(end, special=True)])
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [
            pre_tokenizers.Split(Regex(pattern), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single=f"{start} $A {end}", special_tokens=[(start, vocabulary[start]), (end, vocabulary[end])]
    )
    return tokenizer.to_str().encode()


def _byte_alphabet() -> list[str]:
    """One letter for each byte, in the order of CLIP's vocabulary: bytes that can be shown come first."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + place) for place in range(len(others))]

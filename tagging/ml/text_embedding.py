"""The frozen language model that says how near tags lie: a sentence model, CLIP's text tower, or a BERT.

Which one is configuration and part of a tagger's fingerprint. The tag [PAD] is embedded as the text "[PAD]".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagline.experts.asr import keywords
from tagline.experts.asr.keywords import TextModel
from tagline.experts.weights import check, registry
from tagline.tagging.ml.ann import unit
from tagline.tagging.ml.config import BadConfig

Vectors = npt.NDArray[np.float32]

PAD_TEXT = "[PAD]"
NGRAM_WIDTH = 256
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class TagVectors:
    """values: float32 [K + 1, D], each of length 1, the last row that of [PAD]."""

    values: Vectors
    identity: str  # of the model: its kind and the hash of its weights


_embedded: dict[tuple[str, tuple[str, ...]], Vectors] = {}


def embed_tags(
    tags: Sequence[str], language: str = "auto", *, collection: str = registry.PUBLIC, device: str = "cpu"
) -> TagVectors:
    """The frozen embeddings of tags and of [PAD]. Raises WeightsMissing where the model is not here."""
    model = text_model(language, collection)
    key = (model.identity, tuple(tags))
    if key not in _embedded:
        model.load(device)
        values = np.asarray(model.encode([*tags, PAD_TEXT]), np.float32)
        if len(_embedded) > 1:  # the last tags and words: a table trains many taggers on the same
            del _embedded[next(iter(_embedded))]
        _embedded[key] = unit(values)
    return TagVectors(_embedded[key], model.identity)


def text_model(language: str, collection: str = registry.PUBLIC) -> TextModel:
    """The model of that name, not yet loaded: "auto", "minilm", "clip", "letters", or a folder.

    A folder is a sentence model where it has modules.json, else a BERT of transformers.
    """
    if language == "letters":
        return CharacterNgrams()
    if language in ("auto", "minilm", "clip"):
        found = keywords.choose_text_model(language, collection=collection)
        if found is None:
            raise BadConfig(
                "there is no language model here to say which tags are alike; "
                "run `pip install 'tagline[minilm]'`, or choose --set language=letters"
            )
        return found
    if (Path(language).expanduser() / "modules.json").is_file():
        return keywords.SentenceModel(registry.find(language).path, Path(language).name)
    return Bert(registry.find(language))


class Bert:
    """A BERT of transformers: the mean of its last layer over the words."""

    max_words = 300
    needs_torch = True

    def __init__(self, found: registry.LocalWeights) -> None:
        self.found = found
        self.name = Path(found.name).name

    @property
    def identity(self) -> str:
        return f"bert {self.found.sha256}"

    def load(self, device: str) -> None:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        from tagline.experts import devices

        folder = self.found.path if self.found.path.is_dir() else self.found.path.parent
        check.read_config(folder / "config.json")
        logging.disable_progress_bar()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        self.model, self.device = devices.prepare_model(model, device), device

    def encode(self, texts: Sequence[str]) -> Vectors:
        from tagline.experts import devices

        parts = []
        for start in range(0, len(texts), AT_ONCE):
            some = list(texts[start : start + AT_ONCE])
            tokens = self.tokenizer(
                some, padding=True, truncation=True, max_length=64, return_tensors="pt"
            ).to(self.device)
            with devices.inference(self.device):
                states = self.model(**tokens).last_hidden_state  # [N, S, D]
                there = tokens["attention_mask"][..., None].to(states)
                parts.append(((states * there).sum(1) / there.sum(1).clamp(min=1)).float().cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


class CharacterNgrams:
    """No model at all: tags are alike where they share letters. Works everywhere, in every script.

    Each run of one to four letters has a direction that follows from its hash. It knows spelling, not
    meaning: "red car" is near "car", and as far from "automobile" as from anything.
    """

    name = "letters"
    max_words = 10_000
    needs_torch = False
    identity = f"letters 1 {NGRAM_WIDTH}"

    def load(self, device: str) -> None:
        """There is nothing to load."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._one(text) for text in texts]) if len(texts) else np.zeros((0, 0), np.float32)

    @staticmethod
    def _one(text: str) -> Vectors:
        marked = f" {text.lower()} "
        total = np.zeros(NGRAM_WIDTH)
        for size in range(1, 5):
            for start in range(len(marked) - size + 1):
                total += _direction(marked[start : start + size])
        return total.astype(np.float32)


def _direction(piece: str) -> npt.NDArray[np.float64]:
    """LETTERS_WIDTH values of -1 or 1 that follow from the text."""
    digest = hashlib.shake_128(piece.encode("utf-8", "replace")).digest(NGRAM_WIDTH // 8)
    bits = np.unpackbits(np.frombuffer(digest, np.uint8))
    return bits.astype(np.float64) * 2 - 1

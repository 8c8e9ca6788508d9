"""Words to numbers: CLIP's byte-pair tokenizer, or the tokenizer that came with other towers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from tagline.tagging.ml.config import BadConfig

CLIP_VOCABULARY, OWN_TOKENIZER = "vocabulary.txt.gz", "tokenizer.json"  # in a model's folder: one of them


class Tokenizer:
    """[SOS], words, [EOS], padding of 0. Words have ids below `words`, [EOS] has the highest of all.

    vocabulary: of CLIP's kind (byte pairs, as open_clip brings them; the default), or a `.json` of the
    tokenizers library, which adds its own start and end.
    """

    def __init__(self, vocabulary: Path | None = None) -> None:
        from open_clip.tokenizer import default_bpe

        self.vocabulary = Path(vocabulary or default_bpe())
        self.own = self.vocabulary.suffix == ".json"
        self._encode, self.words = (_own_tokenizer if self.own else _clip_tokenizer)(self.vocabulary)

    @classmethod
    def beside(cls, weights: Path | None) -> Tokenizer:
        """That of a folder of weights, if it has one of its own, else CLIP's."""
        own = None if weights is None else weights.parent / OWN_TOKENIZER
        return cls(own if own is not None and own.is_file() else None)

    @classmethod
    def of_folder(cls, folder: Path) -> Tokenizer:
        """That of a saved model."""
        return cls(folder / (OWN_TOKENIZER if (folder / OWN_TOKENIZER).is_file() else CLIP_VOCABULARY))

    @property
    def file(self) -> str:
        """What its vocabulary is called in a model's folder."""
        return OWN_TOKENIZER if self.own else CLIP_VOCABULARY

    def __call__(self, texts: Sequence[str], length: int) -> torch.Tensor:
        """int [B, length]. What is too long ends early, with [EOS]."""
        if not texts:
            return torch.zeros(0, length, dtype=torch.long)
        return self._encode(list(texts), length)


Made = tuple[Callable[[list[str], int], torch.Tensor], int]


def _clip_tokenizer(vocabulary: Path) -> Made:
    from open_clip.tokenizer import SimpleTokenizer

    clip = SimpleTokenizer(bpe_path=str(vocabulary))

    def encode(texts: list[str], length: int) -> torch.Tensor:
        found: torch.Tensor = clip(texts, context_length=length)
        return found

    return encode, int(clip.sot_token_id)


def _own_tokenizer(vocabulary: Path) -> Made:
    from tokenizers import Tokenizer as Tokens

    try:
        tokens: Any = Tokens.from_file(str(vocabulary))
    except Exception as error:  # the library raises plain ones
        raise BadConfig(f"{vocabulary} is no tokenizer ({error}); fetch the model again") from error
    tokens.no_truncation()
    tokens.no_padding()
    empty = tokens.encode("").ids
    if len(empty) != 2 or empty[1] != tokens.get_vocab_size() - 1 or empty[0] != empty[1] - 1:
        raise BadConfig(f"{vocabulary} must mark where a text starts and ends, with its last two words")

    def encode(texts: list[str], length: int) -> torch.Tensor:
        rows = torch.zeros(len(texts), length, dtype=torch.long)
        for row, found in zip(rows, tokens.encode_batch(texts), strict=True):
            ids = found.ids if len(found.ids) <= length else [*found.ids[: length - 1], empty[1]]
            row[: len(ids)] = torch.tensor(ids)
        return rows

    return encode, int(empty[0])

"""Words of the tagger: a tokenizer trained from the library's own tags and titles, and target sequences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.decoders import WordPiece as WordPieceDecoder

# The names that BERT's vocabularies use, so that those load as they are.
UNKNOWN, START, END, PAD, COMMA = "[UNK]", "[CLS]", "[SEP]", "[PAD]", ","
SPECIAL = [PAD, UNKNOWN, START, END, COMMA]


class Words:
    """Text to word numbers and back. Works in any script: what is not known as a word is cut into pieces.

    The tag [PAD] of a prompt without a tag is one word; so is the comma between tags.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.pad, self.unknown, self.start, self.end, self.comma = map(self._special, SPECIAL)

    def _special(self, word: str) -> int:
        number = self.tokenizer.token_to_id(word)
        if number is None:
            raise ValueError(f"the tokenizer lacks the word {word}; train one with `Words.learn`")
        return int(number)

    @classmethod
    def learn(cls, texts: Iterable[str], size: int = 8000) -> Words:
        """A WordPiece vocabulary of at most `size` from tags and titles."""
        tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=64))
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = WordPieceDecoder(prefix="##")
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> Words:
        return cls(Tokenizer.from_file(str(path)))

    def save(self, path: Path) -> None:
        self.tokenizer.save(str(path))

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def encode(self, text: str, most: int | None = None) -> list[int]:
        # A comma inside a tag or title would end the tag; it reads as a space.
        ids: list[int] = self.tokenizer.encode(text.replace(COMMA, " "), add_special_tokens=False).ids
        return ids[:most]

    def sequence(self, tags: Sequence[Sequence[int] | None], room: int) -> list[int]:
        """Equation 6: the tags (word numbers; None for [PAD]) joined by commas, then the end.

        A sequence that is too long is cut at a whole tag.
        """
        ids: list[int] = []
        for tag in tags:
            words = [self.pad] if tag is None else list(tag)
            piece = [self.comma, *words] if ids else words
            if len(ids) + len(piece) + 1 > room:
                break
            ids += piece
        return [*ids, self.end]

    def tags(self, ids: Iterable[int]) -> list[str]:
        """Split at commas up to the end, drop [PAD] and empty pieces, each tag once, in order."""
        found: dict[str, None] = {}
        piece: list[int] = []
        for word in [*ids, self.end]:
            if word not in (self.comma, self.end):
                piece.append(word)
                continue
            if piece and self.pad not in piece:
                found.setdefault(self.tokenizer.decode(piece, skip_special_tokens=True).strip())
            piece = []
            if word == self.end:
                break
        found.pop("", None)
        return list(found)

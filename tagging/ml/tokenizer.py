"""Words of the tagger: a tokenizer trained from the library's own tags and titles, and target sequences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.decoders import WordPiece as WordPieceDecoder

# The names that BERT's vocabularies use, so that those load as they are.
UNKNOWN, START, END, PAD, COMMA = "[UNK]", "[CLS]", "[SEP]", "[PAD]", ","
SPECIAL = [PAD, UNKNOWN, START, END, COMMA]

# Between two Han, Kana or Hangul characters a space is the tokenizer's, not the writer's.
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_SPLIT = re.compile(f"(?<=[{_WIDE}]) (?=[{_WIDE}])")


class TagTokenizer:
    """Text to word numbers and back. Works in any script: what is not known as a word is cut into pieces.

    The tag [PAD] of a prompt without a tag is one word; so is the comma between tags.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.pad, self.unknown, self.start, self.end, self.comma = map(self._special, SPECIAL)
        self._special_ids = {self.pad, self.start, self.end, self.comma}
        self._known: dict[tuple[int, ...], str] = {}

    def _special(self, word: str) -> int:
        number = self.tokenizer.token_to_id(word)
        if number is None:
            raise ValueError(f"the tokenizer lacks the word {word}; train one with `TagTokenizer.train`")
        return int(number)

    @classmethod
    def train(cls, texts: Iterable[str], size: int = 8000, tags: Iterable[str] = ()) -> TagTokenizer:
        """A WordPiece vocabulary of at most `size` from titles and tags.

        The words of `tags` are whole, the most frequent first, as far as two thirds of the size reach: a
        rare word that is cut into pieces is hardly ever put together again. Pieces are learned for the rest.
        """
        texts, tags = list(texts), list(tags)
        learner = _tokenizer({})

        def cut_up(texts: Iterable[str]) -> list[str]:
            normal = (learner.normalizer.normalize_str(text) for text in texts)
            return [word for text in normal for word, _ in learner.pre_tokenizer.pre_tokenize_str(text)]

        uses = Counter(cut_up(tags))
        whole = sorted(uses, key=lambda word: (-uses[word], word))[: 2 * size // 3]
        texts += tags
        cut = cut_up(texts)
        # Letters inside words are numbered here, in order: which of two equally frequent pairs is joined
        # first follows from numbers, and those that the trainer gives differ from run to run.
        inner = [f"##{letter}" for letter in sorted({letter for word in cut for letter in word[1:]})]
        trainer = trainers.WordPieceTrainer(
            vocab_size=size - len(whole), special_tokens=[*SPECIAL, *inner], show_progress=False
        )
        learner.train_from_iterator(texts, trainer)
        vocabulary = learner.get_vocab()
        for word in whole:
            vocabulary.setdefault(word, len(vocabulary))
        tokenizer = _tokenizer(vocabulary)
        tokenizer.add_special_tokens(SPECIAL)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> TagTokenizer:
        return cls(Tokenizer.from_file(str(path)))

    def save(self, path: Path) -> None:
        self.tokenizer.save(str(path))

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def vocabulary_texts(self) -> list[str]:
        """Every word by its number, as it is spelt; a piece of a word without its mark."""
        return [str(self.tokenizer.id_to_token(number)).removeprefix("##") for number in range(len(self))]

    def remember_spelling(self, tags: Iterable[str]) -> None:
        """Remember how these tags are spelt: a tokenizer forgets spaces, as in "t-shirt"."""
        for tag in tags:
            self._known.setdefault(tuple(self.encode(tag)), tag)

    def encode(self, text: str, most: int | None = None) -> list[int]:
        # A comma inside a tag or title would end the tag, the word [SEP] the whole sequence; both are left
        # out, also where a normal form makes them of another letter.
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return [int(word) for word in ids if word not in self._special_ids][:most]

    def title(self, text: str | None, room: int) -> list[int]:
        """A title as its encoder reads it: [CLS], words, [SEP], at most `room` in all."""
        return [self.start, *self.encode(text or "", room - 2), self.end]

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
        return list(dict.fromkeys(text for text, _ in self.tag_spans(ids)))

    def tag_spans(self, ids: Iterable[int]) -> list[tuple[str, slice]]:
        """Every tag that was written with the places of its words, [PAD] and empty pieces left out."""
        found: list[tuple[str, slice]] = []
        piece: list[int] = []
        for place, word in enumerate([*ids, self.end]):
            if word not in (self.comma, self.end):
                piece.append(word)
                continue
            if piece and self.pad not in piece:
                text = self._text(piece)
                if text:
                    found.append((text, slice(place - len(piece), place)))
            piece = []
            if word == self.end:
                break
        return found

    def _text(self, piece: list[int]) -> str:
        known = self._known.get(tuple(piece))
        if known is not None:
            return known
        text: str = self.tokenizer.decode(piece, skip_special_tokens=True).strip()
        return _SPLIT.sub("", text)


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=64))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder(prefix="##")
    return tokenizer

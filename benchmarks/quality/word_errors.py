"""Word error rate: what was heard against what was said, after Whisper's English normaliser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def words(text: str) -> list[str]:
    """Words as Whisper's own evaluation compares them: "P9" is p nine. Needs openai-whisper."""
    from whisper.normalizers import EnglishTextNormalizer

    # The normaliser writes numbers as digits, and leaves a letter glued to one: "p9".
    return [part for word in EnglishTextNormalizer()(text).split() for part in _letters_and_digits(word)]


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words to put in, take out or replace so that one becomes the other (Levenshtein)."""
    row = np.arange(len(heard) + 1)
    for number, word in enumerate(said, 1):
        before, row = row, np.empty_like(row)
        row[0] = number
        for place, other in enumerate(heard, 1):
            row[place] = min(before[place] + 1, row[place - 1] + 1, before[place - 1] + (word != other))
    return int(row[-1])


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float | None:
    """Errors of all (said, heard) over all words said; None where nothing was said."""
    normal = [(words(said), words(heard)) for said, heard in pairs]
    count = sum(len(said) for said, _ in normal)
    return sum(errors(*one) for one in normal) / count if count else None


def _letters_and_digits(word: str) -> list[str]:
    groups: list[str] = []
    for character in word:
        if groups and groups[-1][-1].isdigit() == character.isdigit():
            groups[-1] += character
        else:
            groups.append(character)
    return groups

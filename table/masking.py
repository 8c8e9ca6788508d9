"""Which words of a text the model has to guess: 15 %, shown as [MASK], as a random word, or as they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

CHOSEN, AS_MASK, AS_RANDOM = 0.15, 0.8, 0.1  # the rest of the chosen words is shown as it is
IGNORE_INDEX = -100


def mask_words(ids: Ids, words: int, rng: np.random.Generator) -> tuple[Ids, npt.NDArray[np.bool_], Ids]:
    """One text: int [M], of a vocabulary whose ids below `words` are words (above: [SOS], [EOS]).

    Returns what is shown, int [M]; where it shows [MASK], bool [M]; the right word where one is asked
    for, else -100, int [M]. [SOS], [EOS] and padding are never touched.
    """
    end = int(ids.argmax())
    place = np.arange(len(ids))
    inside = (place > 0) & (place < end)
    # Both are drawn for every place, so that a text's draw does not depend on what was chosen before.
    chosen = (rng.random(len(ids)) < CHOSEN) & inside
    how = rng.random(len(ids))
    random = rng.integers(0, words, len(ids))
    masked = chosen & (how < AS_MASK)
    swapped = chosen & (how >= AS_MASK) & (how < AS_MASK + AS_RANDOM)
    return np.where(swapped, random, ids), masked, np.where(chosen, ids, IGNORE_INDEX)

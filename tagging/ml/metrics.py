"""Scores of a tagger: label-based and example-based P/R/F1 on full, rare and common tags, and tag gain.

As in the OP-TSG paper: label-based scores are macro averages over tags (Tables 1 and 2), example-based
scores average precision and recall over videos and take the harmonic mean of the two averages. Tag gain
counts what the annotators did not write down: by machine (Open-Tag) or by people's verdicts (OP-TSG).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

Tags = Collection[str]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision, recall and F1, each 0..1, over so many tags or videos."""

    precision: float
    recall: float
    f1: float
    count: int


@dataclass(frozen=True, slots=True)
class TagSets:
    """The tags that are scored: those in both train and test, and their frequent and rare parts."""

    full: frozenset[str]
    common: frozenset[str]
    rare: frozenset[str]


def tag_sets(train: Iterable[Tags], test: Iterable[Tags], share: float = 0.9) -> TagSets:
    """Split the tags that train and test share.

    Common are the most frequent ones in train that together make up `share` of the occurrences; equally
    frequent tags are taken in alphabetical order, so that the order of the videos does not matter.
    """
    frequency = Counter(tag for tags in train for tag in set(tags))
    in_test = {tag for tags in test for tag in tags}
    shared = sorted((tag for tag in frequency if tag in in_test), key=lambda tag: (-frequency[tag], tag))
    enough = share * sum(frequency[tag] for tag in shared)
    common: set[str] = set()
    reached = 0
    for tag in shared:
        if reached >= enough:
            break
        common.add(tag)
        reached += frequency[tag]
    return TagSets(frozenset(shared), frozenset(common), frozenset(shared) - common)


def label_based(truth: Sequence[Tags], predicted: Sequence[Tags], tags: Collection[str]) -> PrecisionRecall:
    """Macro scores over `tags`: every tag counts the same, however rare. An undefined ratio counts as 0."""
    _same_length(truth, predicted)
    right: Counter[str] = Counter()
    said: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for true, guess in zip(truth, predicted, strict=True):
        true_set, guess_set = set(true), set(guess)
        right.update(true_set & guess_set)
        said.update(guess_set)
        there.update(true_set)
    precisions = [_ratio(right[tag], said[tag]) for tag in tags]
    recalls = [_ratio(right[tag], there[tag]) for tag in tags]
    f1s = [_ratio(2 * right[tag], said[tag] + there[tag]) for tag in tags]
    return PrecisionRecall(_mean(precisions), _mean(recalls), _mean(f1s), len(precisions))


def example_based(truth: Sequence[Tags], predicted: Sequence[Tags], tags: Collection[str]) -> PrecisionRecall:
    """Scores per video, on `tags` alone (tags outside are the business of tag gain).

    Videos without any true tag among `tags` have no recall and are left out; saying nothing is precision 0.
    """
    _same_length(truth, predicted)
    allowed = frozenset(tags)
    precisions, recalls = [], []
    for true, guess in zip(truth, predicted, strict=True):
        true_set, guess_set = allowed.intersection(true), allowed.intersection(guess)
        if not true_set:
            continue
        right = len(true_set & guess_set)
        precisions.append(_ratio(right, len(guess_set)))
        recalls.append(_ratio(right, len(true_set)))
    precision, recall = _mean(precisions), _mean(recalls)
    return PrecisionRecall(
        precision, recall, _ratio(2 * precision * recall, precision + recall), len(recalls)
    )


@dataclass(frozen=True, slots=True)
class TagGain:
    """What a tagger adds to the annotation: tags a video, and as a share of the annotated ones."""

    known_tags: float
    known_gain: float
    novel_tags: float
    novel_gain: float


def tag_gain(
    truth: Sequence[Tags],
    generated: Sequence[Sequence[str]],
    train_tags: Collection[str],
    relevance: Callable[[int, str], float],
    similarity: Callable[[str, str], float],
    *,
    relevant_above: float = 0.3,
    different_below: float = 0.8,
) -> TagGain:
    """Tag Gain, known and novel, of Open-Tag, averaged over videos.

    `relevance(video, tag)` is the CLIP similarity of a tag to the picture, `similarity(a, b)` that of two
    texts. Generated tags are taken greedily, most relevant first; each must be relevant and unlike all
    taken before.
    Known are those seen in training but not annotated here; novel are those never seen in training.
    """
    _same_length(truth, generated)
    trained = frozenset(train_tags)
    counts: list[tuple[int, int, int]] = []
    for video, (true, tags) in enumerate(zip(truth, generated, strict=True)):
        true_set = set(true)
        if not true_set:
            continue
        scored = {tag: relevance(video, tag) for tag in tags}
        relevant = sorted((t for t in scored if scored[t] > relevant_above), key=lambda t: (-scored[t], t))
        kept = _different(relevant, similarity, different_below)
        known = sum(tag in trained and tag not in true_set for tag in kept)
        novel = sum(tag not in trained for tag in kept)
        counts.append((known, novel, len(true_set)))
    return TagGain(
        known_tags=_mean([known for known, _, _ in counts]),
        known_gain=_mean([known / n for known, _, n in counts]),
        novel_tags=_mean([novel for _, novel, _ in counts]),
        novel_gain=_mean([novel / n for _, novel, n in counts]),
    )


def _different(
    tags: Iterable[str], similarity: Callable[[str, str], float], different_below: float
) -> list[str]:
    kept: list[str] = []
    for tag in tags:
        if all(similarity(tag, other) < different_below for other in kept):
            kept.append(tag)
    return kept


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _same_length(a: Sequence[object], b: Sequence[object]) -> None:
    if len(a) != len(b):
        raise ValueError(
            f"{len(a)} videos have true tags, {len(b)} have predicted ones; they must be the same videos"
        )

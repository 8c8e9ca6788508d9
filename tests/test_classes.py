"""The space of classes and sentences: its two halves by hand, and a library embedded and searched by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tagline.retrieval.embed.classes import ClassSpace

NAMES = ("dog", "cat", "beach", "violin")
WORDS = {"dog": 0, "puppy": 0, "cat": 1, "beach": 2, "violin": 3, "music": 3}


class FakeSentences:
    """A word, a direction."""

    identity, size = "fake sentences", 5

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        found = np.full((len(texts), self.size), 1e-3, np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                found[row, WORDS.get(word, 4)] += 1
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClassSpace:
    monkeypatch.setattr("tagline.experts.storage.cache_home", lambda: tmp_path)
    return ClassSpace(FakeSentences(), NAMES)  # type: ignore[arg-type]


def test_a_picture_is_near_what_it_shows(space: ClassSpace) -> None:
    shares = np.array([[0.9, 0.05, 0.04, 0.01], [0.0, 0.0, 0.5, 0.5]], np.float32)
    pictures, texts = space.pictures(shares), space.texts(["puppy", "music", "cat"])
    for vectors in (pictures, texts):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    scores = pictures @ texts.T
    assert scores[0].argmax() == 0
    assert scores[1].argmax() == 1


def test_both_halves_are_what_they_say(space: ClassSpace) -> None:
    shares = np.array([[0.7, 0.1, 0.1, 0.1]], np.float32)
    (picture,), (text,) = space.pictures(shares), space.texts(["dog"])
    mean = shares[0] @ space.class_vectors
    said = FakeSentences().encode(["dog"])[0]
    near = np.exp(space.class_vectors @ said / 0.05)
    meant = near / near.sum()
    conse = float(mean @ said / np.linalg.norm(mean))
    agreement = float(np.sqrt(shares[0] * meant).sum())
    assert float(picture @ text) == pytest.approx((conse + agreement) / 2, abs=1e-5)


def test_batches_change_nothing_and_none_is_none(space: ClassSpace) -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), 6).astype(np.float32)
    together = space.pictures(shares)
    np.testing.assert_allclose(
        np.concatenate([space.pictures(row[None]) for row in shares]), together, atol=1e-6
    )
    assert space.pictures(shares[:0]).shape == space.texts([]).shape == (0, 9)


def test_vectors_of_names_are_made_once_and_a_broken_file_is_made_anew(
    space: ClassSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = space.class_vectors
    again = ClassSpace(FakeSentences(), NAMES)  # type: ignore[arg-type]
    monkeypatch.setattr(FakeSentences, "encode", lambda *_: pytest.fail("made again"))
    np.testing.assert_array_equal(again.class_vectors, first)
    monkeypatch.undo()
    (file,) = (tmp_path / "class-vectors").iterdir()
    file.write_bytes(b"nothing")
    monkeypatch.setattr("tagline.experts.storage.cache_home", lambda: tmp_path)
    anew = ClassSpace(FakeSentences(), NAMES)  # type: ignore[arg-type]
    np.testing.assert_array_equal(anew.class_vectors, first)

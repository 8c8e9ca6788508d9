"""The rivals: losses against NumPy, copying against its formula, neighbours that are never oneself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tagging.generator.calibration import Calibration, calibrate
from tagging.generator.config import TaggerConfig
from tagging.generator.data import from_lists
from tagging.generator.fitting import _best_threshold
from tagging.generator.language import Letters, embed
from tagging.generator.methods import build, collator, predict
from tagging.generator.model import Tagger
from tagging.generator.ordering import learned_order
from tagging.generator.words import Words
from tagging.rivals.classifier import asymmetric, binary
from tagging.rivals.openbook import Shelf

SIZES = {"frame_width": 4, "tag_width": 256, "width": 16, "heads": 2, "title_layers": 1, "hybrid_layers": 1,
         "prompt_layers": 1, "decoder_layers": 1, "dropout": 0.0, "prompts": 4, "target_words": 24,
         "use_frames": False}  # fmt: skip


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_asymmetric_loss_is_the_papers_formula() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 3, (5, 7)), rng.random((5, 7)) < 0.3
    p = sigmoid(logits)
    shifted = np.maximum(p - 0.05, 0)
    cost = np.where(targets, (1 - p) ** 1 * -np.log(p), shifted**4 * -np.log(1 - shifted))
    found = asymmetric(torch.tensor(logits), torch.tensor(targets), 4.0, 1.0, 0.05)
    assert float(found) == pytest.approx(cost.sum(1).mean(), rel=1e-5)


def test_asymmetric_loss_forgives_easy_negatives_and_survives_extremes() -> None:
    easy = torch.full((1, 3), -4.0, requires_grad=True)  # probability 0.018, below the shift
    loss = asymmetric(easy, torch.zeros(1, 3), 4.0, 1.0, 0.05)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert easy.grad is not None
    assert not easy.grad.any()
    extreme = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    loss = asymmetric(extreme, torch.tensor([[1.0, 0.0]]), 4.0, 1.0, 0.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(extreme.grad).all()  # type: ignore[arg-type]


def test_without_focus_and_shift_it_is_binary_cross_entropy() -> None:
    rng = np.random.default_rng(1)
    logits, targets = rng.normal(size=(4, 6)), (rng.random((4, 6)) < 0.5).astype(float)
    p = sigmoid(logits)
    wanted = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(1).mean()
    both = torch.tensor(logits), torch.tensor(targets)
    assert float(binary(*both)) == pytest.approx(wanted, rel=1e-5)
    assert float(asymmetric(*both, 0.0, 0.0, 0.0)) == pytest.approx(wanted, rel=1e-4)


def test_the_threshold_is_the_best_of_all() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random((30, 8)) < 0.3
    probabilities = np.clip(0.35 * truth + 0.5 * rng.random((30, 8)), 0, 1)

    def f1(threshold: float) -> float:
        held = truth.any(1)
        said, own = probabilities[held] >= threshold, truth[held]
        right = (said & own).sum(1)
        p, r = np.mean(right / np.maximum(said.sum(1), 1)), np.mean(right / own.sum(1))
        return float(2 * p * r / max(p + r, 1e-12))

    chosen = _best_threshold(probabilities, truth)
    assert f1(chosen) == pytest.approx(max(f1(t) for t in np.linspace(0.02, 0.98, 49)))


# Open-Book


def test_neighbours_are_near_and_never_oneself() -> None:
    titles = ["a dog on the beach", "dogs at the beach", "stock market news", "a dog on the beach"]
    rows = from_lists(titles, [["dog"], ["sea"], ["money"], ["wave"]], names=["a", "b", "c", "d"])
    shelf = Shelf(rows)
    assert shelf.nearest(rows, 2) == [[3, 1], [0, 3], shelf.nearest(rows[2:3], 2)[0], [0, 1]]
    assert 2 not in shelf.nearest(rows[2:3], 3)[0]
    stranger = from_lists(["market news"], [[]], names=["z"])
    assert shelf.nearest(stranger, 1) == [[2]]
    assert Shelf([]).nearest(stranger, 3) == [[]]


# A learned order


def test_the_learned_order_is_the_decoders_own_choice() -> None:
    tags = ["dog", "sea", "red car", "rain"]
    words = Words.learn([*tags, "a title"], size=100)
    torch.manual_seed(0)
    config = TaggerConfig(**SIZES, order="learned")  # type: ignore[arg-type]
    tagger = build(config, words, tags, torch.from_numpy(embed(tags, "letters").values)).eval()
    assert isinstance(tagger, Tagger)
    with torch.no_grad():
        tagger.decoder.words.weight.mul_(20)  # opinions that differ
        batch = collator(tagger).batch(from_lists(["one", "two", "three"], [tags, tags[1:2], []]))
        assert batch.tags is not None
        held = tagger.hold(tagger.see(batch))
        found = learned_order(tagger.decoder, held, tagger.targets, batch.tags)
        assert [sorted(own.tolist()) for own in found] == [[0, 1, 2, 3], [1], []]
        # Step by step and without a cache: every tag placed was the likeliest of those left.
        said = [words.start]
        left = {0, 1, 2, 3}
        one = held.select(torch.tensor([0]))
        for tag in found[0].tolist():
            ids = torch.tensor([said])
            logits = tagger.decoder(ids, torch.arange(len(said))[None], one)[0, -1]
            first = {n: float(logits[tagger.targets.tag_words[n][0]]) for n in left}
            assert first[tag] == pytest.approx(max(first.values()), abs=1e-4)
            left.remove(tag)
            said += [*tagger.targets.tag_words[tag], words.comma]


# Calibration and language


def test_calibration_rises_and_says_how_often_a_score_is_right() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(4000)
    right = rng.random(4000) < scores**2  # too sure of itself
    found = calibrate(scores.tolist(), right.tolist())
    grid = np.linspace(0, 1, 101)
    values = [found(x) for x in grid]
    assert (np.diff(values) >= 0).all()
    assert 0 <= min(values) <= max(values) <= 1
    assert np.abs(np.array(values) - grid**2)[5:95].max() < 0.12


@pytest.mark.parametrize("scores", [[], [0.5] * 5, [0.7] * 400])
def test_calibration_of_little_or_of_one_score(scores: list[float]) -> None:
    found = calibrate(scores, [i % 2 == 0 for i in range(len(scores))])
    if len(scores) < 20:
        assert found == Calibration()
    else:
        assert found(0.7) == pytest.approx(0.5, abs=0.05)


def test_letters_know_spelling_in_every_script() -> None:
    vectors = embed(["red car", "red cars", "stock market", "跳伞", "高空跳伞"], "letters").values
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    near = vectors @ vectors.T
    assert near[0, 1] > 0.6 > near[0, 2]
    assert near[3, 4] > near[3, 0]
    assert np.array_equal(Letters().encode(["a"]), Letters().encode(["a"]))


def test_words_survive_marks_commas_of_other_scripts_and_odd_spelling() -> None:
    tags = ["t-shirt", "rock 'n' roll", "高空跳伞", "café"]
    words = Words.learn([*tags, "red", "car"], size=200)
    words.know(tags)
    assert words.tags(words.sequence([words.encode(tag) for tag in tags], 80)) == tags
    for text in ("red，car", "red [SEP] car", "red, car", "[PAD] red car"):
        assert words.encode(text) == words.encode("red car"), text
    assert words.title("red [CLS] car", 3) == [words.start, words.encode("red")[0], words.end]


# The rest of the generator: half precision, prompt labels that keep nothing, classes


@pytest.mark.parametrize(
    "changes",
    [{}, {"prompt_labels": True}, {"order": "learned"}, {"method": "open-book", "order": "random"},
     {"classify_prompts": True}, {"method": "asl"}],
    ids=lambda c: str(c),
)  # fmt: skip
def test_half_precision_trains_and_writes(changes: dict[str, object]) -> None:
    tags = ["dog", "sea", "red car"]
    words = Words.learn([*tags, "a title"], size=100)
    rows = from_lists(["a title", "", "dog"], [tags, [], ["sea"]])
    torch.manual_seed(0)
    vectors = torch.from_numpy(embed(tags, "letters").values)
    model = build(TaggerConfig(**{**SIZES, **changes}), words, tags, vectors)  # type: ignore[arg-type]
    make = collator(model, Shelf(rows))
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(make([(one, i) for i, one in enumerate(rows)])["batch"])
        said = predict(model, make.batch(rows))
    losses["loss"].backward()
    assert torch.isfinite(losses["loss"])
    assert len(said) == 3
    unused = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == []  # several processes wait for the gradient of each


def test_a_batch_in_which_nobody_said_anything() -> None:
    words = Words.learn(["dog", "a title"], size=60)
    vectors = torch.from_numpy(embed(["dog"], "letters").values)
    model = build(TaggerConfig(**SIZES), words, ["dog"], vectors)  # type: ignore[arg-type]
    rows = from_lists(["a title", ""], [[], []])
    make = collator(model)
    found = model(make([(one, i) for i, one in enumerate(rows)])["batch"])
    found["loss"].backward()
    assert torch.isfinite(found["loss"])
    assert float(found["contrast"].detach()) == 0.0

"""The baselines: losses against NumPy, and neighbours that are never oneself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_heart import assert_learns_by_heart
from tagger_world import config, examples, from_lists, world

from tagline.benchmarks.baselines import make_model, retriever_of
from tagline.benchmarks.baselines.classifier import asymmetric_loss
from tagline.benchmarks.baselines.config import BaselineConfig, as_baseline, as_baseline_run
from tagline.benchmarks.baselines.openbook import NearestVideos
from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.model import Tagger
from tagline.tagging.generator.predict import predict, predict_all
from tagline.tagging.generator.saving import NotATagger, from_pretrained
from tagline.tagging.generator.targets import learned_order
from tagline.tagging.generator.train import train
from tagline.tagging.ml.config import BadConfig, with_settings
from tagline.tagging.ml.text_embedding import CharacterNgrams, embed_tags
from tagline.tagging.ml.tokenizer import TagTokenizer
from tagline.tagging.ranker.model import binary

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
    found = asymmetric_loss(torch.tensor(logits), torch.tensor(targets), 4.0, 1.0, 0.05)
    assert float(found) == pytest.approx(cost.sum(1).mean(), rel=1e-5)


def test_asymmetric_loss_forgives_easy_negatives_and_survives_extremes() -> None:
    easy = torch.full((1, 3), -4.0, requires_grad=True)  # probability 0.018, below the shift
    loss = asymmetric_loss(easy, torch.zeros(1, 3), 4.0, 1.0, 0.05)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert easy.grad is not None
    assert not easy.grad.any()
    extreme = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    loss = asymmetric_loss(extreme, torch.tensor([[1.0, 0.0]]), 4.0, 1.0, 0.0)
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
    assert float(asymmetric_loss(*both, 0.0, 0.0, 0.0)) == pytest.approx(wanted, rel=1e-4)


# Baselines as a whole


@pytest.mark.parametrize(
    "changes",
    [{"method": "open-book", "order": "frequent first"}, {"method": "bin"}, {"method": "asl"}],
    ids=["open-book", "bin", "asl"],
)
def test_every_baseline_learns_and_loads(tmp_path: Path, changes: dict[str, object]) -> None:
    run = as_baseline_run(config({"dropout": 0.0}, epochs=1, evaluations=1), **changes)
    rows = examples()
    retriever = retriever_of(run.model, rows.train)
    how: dict[str, Any] = {"report": (), "device": "cpu", "say": lambda _: None}
    found = train(run, rows, tmp_path / "run", make_model=make_model, retriever=retriever, **how)
    with pytest.raises(NotATagger, match=rf"another kind \({changes['method']}\)"):
        from_pretrained(found.folder)
    loaded = from_pretrained(found.folder, make_model=make_model, config_class=BaselineConfig)
    assert type(loaded.model) is type(found.trained.model)
    assert loaded.model.settings == found.trained.model.settings
    said = [predict_all(t.model, t.collator(retriever), rows.validation) for t in (found.trained, loaded)]
    assert said[0] == said[1]
    few = world(6)
    assert_learns_by_heart(loaded.model, loaded.collator(retriever_of(run.model, few)), few)


def test_a_baseline_has_the_sizes_of_the_tagger_and_settings_of_its_own() -> None:
    run = as_baseline_run(config({"copy_title": True, "width": 64}))
    assert (run.model.method, run.model.width, run.model.copy_title) == ("asl", 64, False)
    assert not run.model.prompted
    made = with_settings(run, ["method=open-book", "order=rare first", "clip=0.1", "epochs=3"])
    assert (made.model.method, made.model.clip, made.train.epochs) == ("open-book", 0.1, 3)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"method": "op-tsg"}, "method must be one of bin, asl, open-book"),
        ({"method": "open-book"}, "open-book has no prompts"),
        ({"method": "open-book", "order": "random", "copy_title": True}, "set copy_title=false"),
        ({"classify_prompts": True}, "set classify_prompts=false"),
        ({"retrieved": 3}, "set retrieved=0"),
    ],
)
def test_what_no_baseline_can_do_is_a_sentence(changes: dict[str, object], what: str) -> None:
    with pytest.raises(BadConfig, match=what):
        as_baseline(TaggerConfig(), **changes)


@pytest.mark.parametrize("setting", ["method=asl", "gamma_neg=2"])
def test_what_people_train_is_no_baseline(setting: str) -> None:
    with pytest.raises(BadConfig, match="there is no key"):
        with_settings(config(), [setting])


# Open-Book


def test_neighbours_are_near_and_never_oneself() -> None:
    titles = ["a dog on the beach", "dogs at the beach", "stock market news", "a dog on the beach"]
    rows = from_lists(titles, [["dog"], ["sea"], ["money"], ["wave"]], names=["a", "b", "c", "d"])
    shelf = NearestVideos(rows)
    assert shelf.nearest(rows, 2) == [[3, 1], [0, 3], shelf.nearest(rows[2:3], 2)[0], [0, 1]]
    assert 2 not in shelf.nearest(rows[2:3], 3)[0]
    stranger = from_lists(["market news"], [[]], names=["z"])
    assert shelf.nearest(stranger, 1) == [[2]]
    assert NearestVideos([]).nearest(stranger, 3) == [[]]


# A learned order


def test_the_learned_order_is_the_decoders_own_choice() -> None:
    tags = ["dog", "sea", "red car", "rain"]
    words = TagTokenizer.train([*tags, "a title"], size=100)
    torch.manual_seed(0)
    config = TaggerConfig(**SIZES, order="learned")  # type: ignore[arg-type]
    tagger = Tagger(config, words, tags, torch.from_numpy(embed_tags(tags, "letters").values)).eval()
    with torch.no_grad():
        tagger.decoder.word_embeddings.weight.mul_(20)  # opinions that differ
        batch = tagger.collator().batch(from_lists(["one", "two", "three"], [tags, tags[1:2], []]))
        assert batch.tags is not None
        held = tagger.cross_attention_cache(tagger.encode(batch))
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


# Language


def test_letters_know_spelling_in_every_script() -> None:
    vectors = embed_tags(["red car", "red cars", "stock market", "跳伞", "高空跳伞"], "letters").values
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    near = vectors @ vectors.T
    assert near[0, 1] > 0.6 > near[0, 2]
    assert near[3, 4] > near[3, 0]
    assert np.array_equal(CharacterNgrams().encode(["a"]), CharacterNgrams().encode(["a"]))


def test_words_survive_marks_commas_of_other_scripts_and_odd_spelling() -> None:
    tags = ["t-shirt", "rock 'n' roll", "高空跳伞", "café"]
    words = TagTokenizer.train([*tags, "red", "car"], size=200)
    words.remember_spelling(tags)
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
    words = TagTokenizer.train([*tags, "a title"], size=100)
    rows = from_lists(["a title", "", "dog"], [tags, [], ["sea"]])
    torch.manual_seed(0)
    vectors = torch.from_numpy(embed_tags(tags, "letters").values)
    kind: Any = BaselineConfig if "method" in changes else TaggerConfig
    model = make_model(kind(**{**SIZES, **changes}), words, tags, vectors)
    make = model.collator(NearestVideos(rows))
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(make([(one, i) for i, one in enumerate(rows)])["batch"])
        said = predict(model, make.batch(rows))
    losses["loss"].backward()
    assert torch.isfinite(losses["loss"])
    assert len(said) == 3
    unused = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert unused == []  # several processes wait for the gradient of each


def test_a_batch_in_which_nobody_said_anything() -> None:
    words = TagTokenizer.train(["dog", "a title"], size=60)
    vectors = torch.from_numpy(embed_tags(["dog"], "letters").values)
    model = Tagger(TaggerConfig(**SIZES), words, ["dog"], vectors)  # type: ignore[arg-type]
    rows = from_lists(["a title", ""], [[], []])
    make = model.collator()
    found = model(make([(one, i) for i, one in enumerate(rows)])["batch"])
    found["loss"].backward()
    assert torch.isfinite(found["loss"])
    assert float(found["contrast"].detach()) == 0.0

"""First words: prompts that lie at a tag mean its words before anything is learned."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from test_generator import SMALL, TAGS

from tagline.benchmarks.baselines.classifier import TagClassifier
from tagline.benchmarks.baselines.config import as_baseline
from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.data import TaggerCollator
from tagline.tagging.generator.init import init_frames, init_words, word_meanings
from tagline.tagging.generator.model import Tagger, TaggingModel
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.text_embedding import embed_tags
from tagline.tagging.ml.tokenizer import TagTokenizer

NAMES = ["dog", "beach", "guitar", "kitchen", "mountain", "football", "singer", "automobile"]


def started(
    make_model: Callable[..., TaggingModel] = Tagger, *, titles: bool = True
) -> tuple[Any, TagTokenizer]:
    words = TagTokenizer.train([*NAMES, *TAGS, "a dog sings"], size=300)
    vectors = torch.from_numpy(embed_tags(NAMES, "letters").values)
    changes: dict[str, Any] = {"tag_width": vectors.shape[1], "width": 96}
    fields = {name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__}
    torch.manual_seed(0)
    model = make_model(TaggerConfig(**{**fields, **changes}), words, NAMES, vectors)
    init_words(model, word_meanings(words, "letters", "public"), titles=titles)
    return model, words


def test_a_prompt_at_a_tag_is_nearest_to_the_word_of_that_tag() -> None:
    model, words = started()
    near = model.tag_vectors[:-1] * model.settings.tag_width**0.5  # as long as a prompt
    with torch.no_grad():
        inner = torch.nn.functional.normalize(model.from_prompt(near), dim=1)
        known = torch.nn.functional.normalize(model.decoder.word_embeddings.weight, dim=1)
    found = (inner @ known.T).argmax(1).tolist()
    assert found == [words.encode(name)[0] for name in NAMES]
    scale = model.decoder.embed(torch.arange(len(words))).std().item()
    assert 0.8 < scale < 1.25, "words are read at the scale of their places"


def test_prompts_begin_near_the_words_of_the_title() -> None:
    model, words = started()
    make = TaggerCollator(model.settings, words, NAMES)
    blank = np.zeros((1, SMALL.frame_width), np.float32)
    with torch.no_grad():
        seen = model.eval().encode(make.batch([Example(name, name, name, (name,), blank) for name in NAMES]))
        tags = torch.nn.functional.normalize(model.tag_vectors[:-1], dim=1)
        near = torch.nn.functional.normalize(seen.prompts, dim=2).mean(1) @ tags.T  # [titles, tags]
    near = near - near.mean(0)  # some tags are near to everything
    assert (near.argmax(1) == torch.arange(len(NAMES))).float().mean() >= 0.75


def test_titles_and_tags_begin_with_the_same_words_unless_a_bert_brings_its_own() -> None:
    model, _ = started()
    own = model.encoder.title_encoder.get_input_embeddings().weight
    assert torch.equal(own, model.decoder.word_embeddings.weight)
    model, _ = started(titles=False)
    assert not torch.equal(
        model.encoder.title_encoder.get_input_embeddings().weight, model.decoder.word_embeddings.weight
    )


def test_baselines_read_titles_with_the_same_words() -> None:
    ours, _ = started()
    other, _ = started(lambda config, words, tags, _: TagClassifier(as_baseline(config), words, tags))
    assert (
        other.encoder.title_encoder.get_input_embeddings().weight.shape
        == ours.decoder.word_embeddings.weight.shape
    )
    assert other.encoder.title_encoder.get_input_embeddings().weight.norm(dim=1).std().item() < 1e-5


def test_the_same_texts_make_the_same_words_in_another_process() -> None:
    texts = ["abcd abce", "bcda", "dabc ecba", "cabd"]
    program = (
        "from tagline.tagging.ml.tokenizer import TagTokenizer; "
        f"print(TagTokenizer.train({texts!r}, 60).vocabulary_texts())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    }
    assert len(runs) == 1


def test_words_of_tags_are_whole_however_rare_they_are() -> None:
    titles = [f"the day of {n}" for n in "abcdefgh"] * 9
    tags = ["dog"] * 9 + ["motorbike", "wicketkeeper", "Rübezahl"]
    words = TagTokenizer.train(titles, 90, tags)
    assert all(len(words.encode(tag)) == 1 for tag in tags)
    assert len(words.encode("motorbiker")) > 1
    assert len(words) <= 90
    few = TagTokenizer.train(titles, 30, tags)  # room for twenty: no more than there are
    assert len(few.encode("dog")) == 1
    assert words.tags([*words.encode("motorbike"), words.comma, *words.encode("dog"), words.end]) == [
        "motorbike",
        "dog",
    ]


def test_the_most_frequent_words_of_tags_come_first() -> None:
    tags = [f"name{n:02}" for n in range(40) for _ in range(40 - n)]
    words = TagTokenizer.train(["a title"], 60, tags)
    whole = [len(words.encode(f"name{n:02}")) == 1 for n in range(40)]
    assert whole == [True] * 40
    words = TagTokenizer.train(["a title"], 45, tags)
    assert all(len(words.encode(f"name{n:02}")) == 1 for n in range(30))
    assert len(words.encode("name39")) > 1


def test_words_are_told_as_they_are_spelt() -> None:
    words = TagTokenizer.train(["playing football"] * 3, size=40)
    assert len(words.vocabulary_texts()) == len(words)
    assert not any(text.startswith("##") for text in words.vocabulary_texts())
    assert words.vocabulary_texts()[words.pad] == "[PAD]"


def test_frames_begin_with_their_mean_at_zero_and_as_loud_as_the_marks_of_their_places() -> None:
    model, _ = started()
    rng = np.random.default_rng(0)
    same, width = rng.normal(size=SMALL.frame_width), SMALL.frame_width
    looks = same + 0.5 * rng.normal(size=(200, 4, width))
    looks /= np.linalg.norm(looks, axis=-1, keepdims=True)
    videos = [Example(str(n), str(n), "", (), own.astype(np.float32)) for n, own in enumerate(looks)]
    odd = Example("odd", "odd", "", (), np.full((1, width), np.nan, np.float32))
    init_frames(model, [*videos, odd, Example("none", "none", "", ())])
    with torch.no_grad():
        read = model.encoder.frame_projection(torch.from_numpy(looks).float()).flatten(0, 1)
    assert read.mean(0).abs().max() < 1e-4
    assert 0.8 < read.std().item() < 1.25


def test_frames_that_are_all_the_same_change_nothing() -> None:
    model, _ = started()
    before = model.encoder.frame_projection.weight.clone()
    still = np.ones((3, SMALL.frame_width), np.float32)
    init_frames(model, [Example("still", "still", "", (), still)])
    assert torch.equal(model.encoder.frame_projection.weight, before)

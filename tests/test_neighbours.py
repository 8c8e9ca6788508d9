"""Tags from neighbours: each step against its formula, and no video that learns from itself or from test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shaking import shaken
from tagger_world import from_lists

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.model import Tagger
from tagline.tagging.generator.predict import predict
from tagline.tagging.generator.saving import from_pretrained
from tagline.tagging.generator.train import train
from tagline.tagging.ml.ann import NO_ROW, unit
from tagline.tagging.ml.data import Example, Examples
from tagline.tagging.ml.text_embedding import CharacterNgrams, embed_tags
from tagline.tagging.ml.tokenizer import TagTokenizer
from tagline.tagging.neighbours.memory import (
    FRAMES,
    OPEN_TAG,
    RECALL,
    TITLE,
    TITLE_IN_CLIP,
    Memory,
    RetrievalSystem,
    TaggedVideo,
)
from tagline.tagging.neighbours.retriever import MemoryRetriever
from tagline.tagging.neighbours.views import ViewEncoder, pooled, video_text
from tagline.tagging.neighbours.voting import consensus, normalise, shares

# -- votes


def test_weights_are_the_softmax_of_distances_from_the_usual() -> None:
    found = normalise([0.9, 0.8, 0.5, -np.inf], mean=0.4, spread=0.2)
    raised = np.exp((np.array([0.9, 0.8, 0.5]) - 0.4) / 0.2)
    assert found.tolist() == pytest.approx([*(raised / raised.sum()), 0.0])
    assert normalise([-np.inf, -np.inf], 0, 1).tolist() == [0.0, 0.0]


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=6),
    st.floats(0.1, 50),
    st.floats(-20, 20),
)
def test_another_scale_of_scores_changes_nothing(scores: list[float], factor: float, shift: float) -> None:
    plain = normalise(scores, 0.1, 0.3)
    other = normalise([factor * s + shift for s in scores], factor * 0.1 + shift, factor * 0.3)
    assert plain.sum() == pytest.approx(1.0)
    assert np.allclose(plain, other, atol=1e-6)


def test_votes_are_shares_of_the_weight_and_a_rejection_takes_its_share() -> None:
    tags = [("dog", "sea"), ("dog", "dog"), ()]
    assert shares([0.5, 0.3, 0.2], tags) == pytest.approx({"dog": 0.8, "sea": 0.5})
    against = [(), (), ("sea", "cat")]
    assert shares([0.5, 0.3, 0.2], tags, against) == pytest.approx({"dog": 0.8, "sea": 0.3})
    assert "sea" not in shares([0.5, 0.3, 0.2], tags, [(), ("sea",), ("sea",)])


def test_consensus_is_combmnz() -> None:
    votes = {"a": {"dog": 1.0, "sea": 0.4}, "b": {"dog": 0.5, "car": 1.0}, "c": {}}
    found = consensus(votes)
    assert found == pytest.approx({"dog": 1.5 * 2 / 9, "sea": 0.4 / 9, "car": 1.0 / 9})
    assert consensus({"a": {"dog": 1.0}, "b": {"dog": 1.0}}) == {"dog": 1.0}
    assert consensus({}) == {}


@given(
    st.lists(
        st.lists(st.floats(-1, 1), min_size=1, max_size=12),
        min_size=1,
        max_size=4,
    ),
    st.floats(0.01, 1),
    st.sets(st.integers(0, 11)),
)
def test_no_score_leaves_nought_to_one_not_even_by_a_bit(
    sources: list[list[float]], spread: float, rejected: set[int]
) -> None:
    """On any processor: "dog" is on all videos, "sea" on every other one, "cat" is also rejected."""
    votes = {}
    for name, scores in enumerate(sources):
        weights = normalise(scores, 0.1, spread)
        tags = [("dog", "cat", "sea") if i % 2 else ("dog", "cat") for i in range(len(scores))]
        against = [("cat",) if i in rejected else () for i in range(len(scores))]
        votes[str(name)] = shares(weights, tags, against)
        assert all(0 < share <= 1 for share in votes[str(name)].values())
    found = consensus(votes)
    assert all(0 < score <= 1 for score in found.values())
    assert found["dog"] == pytest.approx(1.0)


# -- the memory


def world(videos: int = 60, seed: int = 0) -> tuple[list[TaggedVideo], dict[str, np.ndarray]]:
    """Videos of five kinds; frames and titles show the kind, and so do the tags."""
    rng = np.random.default_rng(seed)
    looks, words = rng.normal(size=(5, 12)), rng.normal(size=(5, 8))
    kinds = rng.permutation(np.arange(videos) % 5)  # as many of each
    known = [TaggedVideo(f"k{i}", (f"kind {kind}", f"video {i}")) for i, kind in enumerate(kinds)]
    views = {
        FRAMES: looks[kinds] + 0.3 * rng.normal(size=(videos, 12)),
        TITLE_IN_CLIP: looks[kinds]
        + 0.3 * rng.normal(size=(videos, 12))
        + 5,  # another corner of the same space
        TITLE: words[kinds] + 0.2 * rng.normal(size=(videos, 8)),
    }
    return known, {name: shaken(rows.astype(np.float32)) for name, rows in views.items()}


def test_no_video_is_its_own_neighbour_under_any_name() -> None:
    known, views = world()
    twice = [*known, *known]  # every content once more
    memory = Memory(twice, {name: np.concatenate([rows, rows]) for name, rows in views.items()})
    asked = memory.fit(views)
    keys = [video.key for video in known]
    for source in OPEN_TAG:
        weights, numbers = memory.nearest(source, asked, keys, 7)
        assert weights.sum(1) == pytest.approx(np.ones(len(keys)))
        for row, key in enumerate(keys):
            assert key not in {twice[n].key for n in numbers[row] if n != NO_ROW}
            assert (numbers[row] != NO_ROW).all()
    for row, own in enumerate(memory.propose(asked, keys, count=7)):
        # Its own tag is in two rows of the memory, and in no proposal.
        assert f"video {row}" not in {p.text for p in own}


def test_every_source_finds_videos_of_its_kind_and_says_which() -> None:
    known, views = world()
    memory = Memory(known, views)
    said = memory.propose(memory.fit(views), [video.key for video in known])
    assert sum(own[0].text == video.tags[0] for own, video in zip(said, known, strict=True)) > 55
    best = said[0][0]
    assert best.sources == tuple(source.name for source in OPEN_TAG)
    assert all(best.text in known[n].tags for n in best.neighbours)
    assert 0 not in best.neighbours
    keys = [video.key for video in known]
    for systems in (OPEN_TAG, *([source] for source in OPEN_TAG)):
        for count in range(1, 12):  # of weights that sum to 1 but for their last bits
            said = memory.propose(memory.fit(views), keys, count=count, systems=systems)
            assert all(0 < p.score <= 1 for own in said for p in own)


def test_what_is_missing_finds_nothing_and_is_not_found() -> None:
    known, views = world()
    blind = {name: rows.copy() for name, rows in views.items()}
    blind[FRAMES][3] = 0
    memory = Memory(known, blind)
    video = RetrievalSystem("video to video", FRAMES, FRAMES)
    _, numbers = memory.nearest(video, memory.fit(blind), [v.key for v in known], 59)
    assert (numbers[3] == NO_ROW).all()
    assert 3 not in numbers
    assert memory.propose(memory.fit(blind), [v.key for v in known])[3]  # titles still speak
    titles = Memory(known, {TITLE: views[TITLE]})
    assert [s.name for s in titles.retrieval_systems()] == ["title to title"]
    assert [s.name for s in titles.retrieval_systems(RECALL)] == []


def test_a_tag_that_is_added_today_is_proposed_tomorrow() -> None:
    known, views = world()
    like = [i for i, video in enumerate(known) if video.tags[0] == known[0].tags[0]]
    other = next(i for i, video in enumerate(known) if video.tags[0] != known[0].tags[0])

    def proposed(videos: Sequence[TaggedVideo], row: int) -> set[str]:
        memory = Memory(videos, views)
        said = memory.propose(memory.fit(views), [v.key for v in videos], count=len(like))
        return {p.text for p in said[row][:5]}

    grown = list(known)
    for i in like[1:4]:
        grown[i] = TaggedVideo(known[i].key, (*known[i].tags, "grandma"))
    assert "grandma" not in proposed(known, 0)
    assert "grandma" in proposed(grown, 0)
    assert "grandma" not in proposed(grown, other)
    for i in like[1:]:
        grown[i] = TaggedVideo(grown[i].key, grown[i].tags, ("grandma",) if i > like[3] else ())
    assert len(like) == 12  # eight of them say no and three say yes
    assert "grandma" not in proposed(grown, 0)


def test_views_are_means_and_texts() -> None:
    frames = np.array([[3.0, 0.0], [0.0, 1.0]], np.float32)
    assert np.allclose(pooled([frames, None]), [[2**-0.5, 2**-0.5], [0, 0]])
    letters = CharacterNgrams()
    one = Example("a", "a", "a day", (), frames, "hello there")
    views = ViewEncoder(letters)([one, Example("b", "b")])
    assert set(views) == {FRAMES, TITLE, "text"}
    assert views[TITLE][0] == pytest.approx(unit(letters.encode(["a day"]))[0])
    assert views["text"][0] == pytest.approx(unit(letters.encode(["a day hello there"]))[0])
    assert not views[TITLE][1].any()
    assert video_text(Example("c", "c", "", (), None, "x " * 900)).count("x") == 200


# -- the generator that is told


SMALL = {"frame_width": 4, "tag_width": 256, "width": 32, "heads": 2, "title_layers": 1, "hybrid_layers": 1,
         "prompt_layers": 1, "decoder_layers": 1, "dropout": 0.0, "prompts": 3, "target_words": 16,
         "use_frames": False, "retrieved": 2, "neighbours": 2, "retrieved_words": 6}  # fmt: skip


def test_the_decoder_hears_what_was_retrieved_and_only_that() -> None:
    tags = ["dog", "sea", "red car", "rain"]
    words = TagTokenizer.train([*tags, "a title"], size=100)
    torch.manual_seed(0)
    config = TaggerConfig(**SMALL)  # type: ignore[arg-type]
    tagger = Tagger(config, words, tags, torch.from_numpy(embed_tags(tags, "letters").values)).eval()
    rows = from_lists(["one", "two"], [tags[:2], tags[2:]])
    with pytest.raises(ValueError, match="give it their memory"):
        tagger.collator()

    class Says:
        def __init__(self, said: list[list[tuple[str, float]]]) -> None:
            self.said = said

        def retrieve(self, examples: Sequence[Example]) -> list[list[tuple[str, float]]]:
            return self.said

    def held(said: list[list[tuple[str, float]]]) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            found = tagger.cross_attention_cache(tagger.encode(tagger.collator(Says(said)).batch(rows)))
        return found.layers[0][0], found.mask

    memory, mask = held([[("dog", 1.0), ("red car", 0.5)], []])
    # prompts, then the hints' words, then the features
    assert mask[0, 3:6].all()
    assert not mask[1, 3:6].any()
    again, _ = held([[("dog", 1.0), ("rain", 0.5)], []])
    assert torch.allclose(memory[0, :, :4], again[0, :, :4])  # prompts and "dog"
    assert not torch.allclose(memory[0, :, 4], again[0, :, 4])
    weaker, _ = held([[("dog", 0.1), ("red car", 0.5)], []])
    assert not torch.allclose(memory[0, :, 3], weaker[0, :, 3])
    long = tagger.collator(Says([[(tag, 1.0) for tag in tags * 9], []])).batch(rows)
    assert long.retrieved is not None
    assert long.retrieved.shape[1] == config.retrieved_words


def test_what_is_known_is_the_training_split_and_goes_with_the_tagger(tmp_path: Path) -> None:
    """Titles are shared by two videos of one kind: only the neighbour's tag tells which one it is."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(64):
        place, name = f"place{rng.integers(6)}", "".join(rng.choice(list("abcdefghij"), 6))
        rows += [Example(f"{i}a", f"{i}a", f"{place} {name}", (place, name))]
        rows += [Example(f"{i}b", f"{i}b", f"{name} {place}", (place, name))]
    config = {
        "model": {**SMALL, "retrieved": 3, "prompts": 4},
        "train": {"language": "letters", "vocabulary": 400, "epochs": 2, "batch": 16, "lr": 5e-3,
                  "bf16": False, "evaluations": 1},
    }  # fmt: skip
    del config["model"]["tag_width"]
    test = rows[112:]
    outcome = train(config, Examples(rows[:96], rows[96:112]), tmp_path, report=(), device="cpu", say=str)
    librarian = outcome.trained.retriever
    assert isinstance(librarian, MemoryRetriever)
    assert {video.key for video in librarian.memory.videos} == {one.key for one in rows[:96]}
    hidden = {tag for one in test for tag in one.tags if not tag.startswith("place")}
    assert not hidden & {tag for own in librarian.retrieve(test) for tag, _ in own}
    told_of = librarian.retrieve(rows[:2])
    assert rows[0].tags[1] in {tag for tag, _ in told_of[0]}  # its twin says so, not itself

    again = from_pretrained(outcome.folder)
    batch = again.collator().batch(rows[:8])
    assert predict(again.model, batch) == predict(
        outcome.trained.model.cpu(), outcome.trained.collator().batch(rows[:8])
    )
    assert again.retriever is not None
    assert again.retriever.retrieve(rows[:4]) == librarian.retrieve(rows[:4])

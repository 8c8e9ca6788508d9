"""OP-TSG: matching, losses and decoding held against brute force, NumPy and plain greedy decoding."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from by_heart import learn_by_heart

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.decoding import Beam, Drafter, Greedy, Speculative, fit_draft_thresholds
from tagline.tagging.generator.encoder import TaggerBatch
from tagline.tagging.generator.layers import IGNORE
from tagline.tagging.generator.model import Tagger
from tagline.tagging.generator.objective import NO_TAG, generation, match_all, prompt_tag_contrast
from tagline.tagging.ml.tokenizer import TagTokenizer

TAGS = ["beach", "dog", "red car", "girl on beach", "sea", "rain", "snow man", "guitar"]
SMALL = TaggerConfig(
    frame_width=16, tag_width=24, width=32, heads=4, title_layers=1, hybrid_layers=1, prompt_layers=2,
    decoder_layers=2, dropout=0.0, prompts=6, frames=4, title_words=6, target_words=40,
)  # fmt: skip


@pytest.fixture(scope="module")
def words() -> TagTokenizer:
    return TagTokenizer.train([*TAGS, "a day at the beach", "my dog"], size=200)


def make(words: TagTokenizer, config: TaggerConfig = SMALL) -> Tagger:
    torch.manual_seed(0)
    return Tagger(config, words, TAGS, torch.randn(len(TAGS) + 1, config.tag_width))


def batch_of(tag_sets: list[list[int]], words: TagTokenizer, seed: int = 0) -> TaggerBatch:
    """Frames that show the tags: every tag adds its own direction."""
    torch.manual_seed(seed)
    directions = torch.randn(len(TAGS), SMALL.frame_width, generator=torch.Generator().manual_seed(7))
    frames = 0.05 * torch.randn(len(tag_sets), SMALL.frames, SMALL.frame_width)
    for row, tags in enumerate(tag_sets):
        frames[row] += directions[tags].sum(0)
    title = torch.tensor([[words.start, words.end]] * len(tag_sets))
    mask = torch.ones_like(title, dtype=torch.bool)
    frame_mask = torch.ones(frames.shape[:2], dtype=torch.bool)
    return TaggerBatch(frames, frame_mask, title, mask, [torch.tensor(t, dtype=torch.long) for t in tag_sets])


def some_sets(count: int, seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.choice(len(TAGS), rng.integers(1, 5), replace=False).tolist() for _ in range(count)]


LEARNED = some_sets(24, seed=0)


@pytest.fixture(scope="module")
def trained(words: TagTokenizer) -> Tagger:
    """A tagger that knows the videos of LEARNED by heart."""
    tagger = make(words, replace(SMALL, shuffle=False))
    batch = batch_of(LEARNED, words)
    learn_by_heart(
        [tagger], lambda _: sum(tagger.losses(batch).values(), torch.zeros(())), steps=120, lr=6e-3
    )
    with torch.no_grad():
        fit_draft_thresholds(tagger.eval(), tagger.encode(batch))
    return tagger


# Matching


def match(prompts: torch.Tensor, tags: torch.Tensor, pad: torch.Tensor) -> np.ndarray:
    """Of one video."""
    return match_all(prompts[None], tags[None], pad, [len(tags)])[0]


@pytest.mark.parametrize(("prompts", "tags"), [(1, 1), (4, 2), (4, 4), (3, 5), (5, 1)])
def test_the_matcher_finds_what_trying_everything_finds(prompts: int, tags: int) -> None:
    rng = np.random.default_rng(prompts * 10 + tags)
    p, t, pad = rng.normal(size=(prompts, 6)), rng.normal(size=(tags, 6)), rng.normal(size=6)
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    targets = np.vstack([t, *[pad] * max(0, prompts - tags)])
    similarity = unit(p) @ unit(targets).T
    best = max(
        sum(similarity[n, column] for n, column in enumerate(columns))
        for columns in itertools.permutations(range(len(targets)), prompts)
    )
    aligned = match(*map(torch.from_numpy, (p, t, pad)))
    to_pad = unit(p) @ unit(pad)
    reached = sum(to_pad[n] if a == NO_TAG else similarity[n, a] for n, a in enumerate(aligned))
    assert reached == pytest.approx(best)
    meant = aligned[aligned != NO_TAG]
    assert len(meant) == min(prompts, tags)
    assert len(set(meant)) == len(meant)


def test_no_tags_and_broken_prompts_are_survived() -> None:
    assert (match(torch.randn(3, 4), torch.empty(0, 4), torch.randn(4)) == NO_TAG).all()
    assert match(torch.empty(0, 4), torch.randn(2, 4), torch.randn(4)).shape == (0,)
    broken = torch.randn(3, 4)
    broken[1] = float("nan")
    assert sorted(match(broken, torch.randn(2, 4), torch.randn(4)).tolist()) == [NO_TAG, 0, 1]


# Losses


def test_contrast_is_equation_4_without_twins() -> None:
    rng = np.random.default_rng(1)
    prompts, tags = rng.normal(size=(6, 5)), rng.normal(size=(3, 5))
    tags[2] = tags[0]
    tag_of, prompt_of, temperature = [4, 9, 4], [1, 2, 5], 0.2
    p = prompts / np.linalg.norm(prompts, axis=1, keepdims=True)
    t = tags / np.linalg.norm(tags, axis=1, keepdims=True)
    total = 0.0
    for k in range(3):
        twins = {k2 for k2 in range(3) if k2 != k and tag_of[k2] == tag_of[k]}
        positive = np.exp(t[k] @ p[prompt_of[k]] / temperature)
        others = [n for n in range(6) if n not in {prompt_of[k2] for k2 in twins}]
        t2p = -np.log(positive / sum(np.exp(t[k] @ p[n] / temperature) for n in others))
        rivals = [k2 for k2 in range(3) if k2 not in twins]
        p2t = -np.log(positive / sum(np.exp(t[k2] @ p[prompt_of[k]] / temperature) for k2 in rivals))
        total += (t2p + p2t) / 2
    loss = prompt_tag_contrast(
        torch.from_numpy(prompts), torch.from_numpy(tags), torch.tensor(tag_of), torch.tensor(prompt_of),
        torch.tensor(temperature, dtype=torch.float64),
    )  # fmt: skip
    assert float(loss) == pytest.approx(total / 3)


def test_contrast_without_any_tag_is_zero_and_can_be_trained() -> None:
    prompts = torch.randn(4, 3, requires_grad=True)
    none = torch.empty(0, dtype=torch.long)
    loss = prompt_tag_contrast(prompts, torch.empty(0, 3), none, none, torch.tensor(0.1))
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_generation_weighs_pad_and_ignores_what_follows_the_end() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(2, 4, 5))
    targets = np.array([[0, 3, 2, IGNORE], [4, 0, IGNORE, IGNORE]])
    logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    spots = [(r, s) for r in range(2) for s in range(4) if targets[r, s] != IGNORE]
    losses = [-(0.3 if targets[r, s] == 0 else 1.0) * logp[r, s, targets[r, s]] for r, s in spots]
    said = torch.tensor([logp[r, s, targets[r, s]] for r, s in spots])
    found = generation(said, torch.from_numpy(targets), pad_word=0, pad_weight=0.3)
    assert float(found) == pytest.approx(np.mean(losses))


# Targets


def test_rearranged_prompts_rearrange_the_tags_and_nothing_else(words: TagTokenizer) -> None:
    tagger = make(words)
    batch = batch_of([[0, 2, 5], []], words)
    assert batch.tags is not None
    aligned = tagger.align(tagger.encode(batch).prompts, batch.tags)
    plain = tagger.targets.prompted(batch.tags, aligned, shuffle=False)
    moved = tagger.targets.prompted(
        batch.tags, aligned, torch.rand(2, 6, generator=torch.Generator().manual_seed(3)), shuffle=True
    )

    def pieces(wanted: torch.Tensor) -> list[str]:
        ids = [w for w in wanted.tolist() if w not in (IGNORE, words.end)]
        return " ".join(map(str, ids)).split(f" {words.comma} ")

    for row in range(2):
        at_home, away = pieces(plain.labels[row]), pieces(moved.labels[row])
        assert [at_home[n] for n in moved.order[row].tolist()] == away
    assert words.tags(plain.labels[1].tolist()) == []


def test_more_tags_than_prompts_keep_as_many_as_fit(words: TagTokenizer) -> None:
    tagger = make(words)
    batch = batch_of([list(range(8))], words)
    assert batch.tags is not None
    aligned = tagger.align(tagger.encode(batch).prompts, batch.tags)
    assert (aligned != NO_TAG).all()
    wanted = tagger.targets.prompted(batch.tags, aligned, shuffle=False).labels[0].tolist()
    assert len(words.tags(wanted)) == SMALL.prompts


def test_a_sequence_that_is_too_long_is_cut_at_a_whole_tag(words: TagTokenizer) -> None:
    tags = [words.encode(tag) for tag in TAGS]
    ids = words.sequence(tags, room=6)
    assert len(ids) <= 6
    assert set(words.tags(ids)) <= set(TAGS)


def test_words_come_back_as_tags(words: TagTokenizer) -> None:
    ids = words.sequence([words.encode("red car"), None, words.encode("sea"), words.encode("sea")], 40)
    assert words.tags(ids) == ["red car", "sea"]
    assert words.encode("sea, sun") == words.encode("sea sun")


# The model


VARIANTS = {
    "no shuffle": {"shuffle": False},
    "no prompts": {"order": "frequent first"},
    "random order": {"order": "random"},
    "learned order": {"order": "learned"},
    "learnable tags": {"learnable_tags": True},
    "no contrast": {"contrastive": False},
    "prompt labels": {"prompt_labels": True},
    "prompt classes": {"classify_prompts": True},
    "frames only": {"use_title": False},
    "title only": {"use_frames": False},
    "copied words": {"copy_title": True},
}


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_ablation_trains(words: TagTokenizer, change: dict[str, object]) -> None:
    tagger = make(words, replace(SMALL, **change))  # type: ignore[arg-type]
    losses = tagger.losses(batch_of([[0, 1], [2], []], words))
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    assert (tagger.tag_vectors.grad is not None) == tagger.settings.learnable_tags
    assert tagger.encoder.hybrid.layers[0].cross_attn.query.weight.grad is not None


def test_frames_that_are_masked_do_not_matter(words: TagTokenizer) -> None:
    tagger = make(words).eval()
    batch = batch_of([[0], [1]], words)
    batch.frame_mask[:, 2:] = False
    before = tagger.encode(batch).prompts
    batch.frames[:, 2:] = 99.0
    assert torch.allclose(before, tagger.encode(batch).prompts, atol=1e-6)


def test_impossible_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="frames, titles or both"):
        replace(SMALL, use_frames=False, use_title=False)
    with pytest.raises(ValueError, match="heads"):
        replace(SMALL, width=33)
    with pytest.raises(ValueError, match="pad_weight"):
        replace(SMALL, pad_weight=1.5)


# Decoding


def test_a_trained_tagger_writes_the_tags(trained: Tagger, words: TagTokenizer) -> None:
    with torch.no_grad():
        seen = trained.encode(batch_of(LEARNED, words))
    written = Greedy()(trained, seen)
    assert [set(words.tags(ids)) for ids in written.words] == [{TAGS[n] for n in tags} for tags in LEARNED]


def test_drafted_decoding_writes_what_greedy_writes(trained: Tagger, words: TagTokenizer) -> None:
    with torch.no_grad():
        seen = trained.encode(batch_of(LEARNED, words))
    greedy, drafted = Greedy()(trained, seen), Speculative()(trained, seen)
    assert drafted.words == greedy.words
    for fast, plain in zip(drafted.logps, greedy.logps, strict=True):
        assert fast == pytest.approx(plain, abs=1e-4)
    # A single row that goes on and on decides over the passes of a batch; the work counts every row.
    assert drafted.work < greedy.work * 0.6
    assert drafted.passes <= greedy.passes


@pytest.mark.parametrize("way", [Greedy, Speculative])
def test_rows_that_wait_take_the_places_of_those_that_are_done(
    trained: Tagger, words: TagTokenizer, way: type[Greedy] | type[Speculative]
) -> None:
    with torch.no_grad():
        seen = trained.encode(batch_of(some_sets(20, seed=2500), words, seed=2500))
    together, few = way()(trained, seen), way(at_once=3)(trained, seen)
    assert few.words == together.words
    assert few.work == together.work
    # Three places are full until the last rows: nobody waits for the longest of its group.
    assert few.passes <= few.work / 3 + max(map(len, few.words)) + 1


def test_thresholds_of_drafts_are_each_prompts_own(trained: Tagger, words: TagTokenizer) -> None:
    with torch.no_grad():
        seen = trained.encode(batch_of(LEARNED, words))
    assert trained.draft_threshold.shape == (SMALL.prompts,)
    before = trained.draft_threshold.clone()
    trained.draft_threshold.fill_(-2.0)  # every prompt is taken for a tag
    worse = Speculative()(trained, seen).work
    trained.draft_threshold.copy_(before)
    assert fit_draft_thresholds(trained, seen) > 0.7
    assert Speculative()(trained, seen).work < worse


def test_drafts_of_an_untrained_tagger_cost_passes_but_change_nothing(words: TagTokenizer) -> None:
    tagger = make(words).eval()
    with torch.no_grad():
        seen = tagger.encode(batch_of(some_sets(5, seed=3), words))
    greedy, drafted = Greedy()(tagger, seen), Speculative()(tagger, seen)
    assert drafted.words == greedy.words
    assert drafted.passes <= greedy.passes


def test_rows_do_not_depend_on_their_batch(trained: Tagger, words: TagTokenizer) -> None:
    batch = batch_of(some_sets(6, seed=4), words, seed=4)
    with torch.no_grad():
        together = Speculative()(trained, trained.encode(batch)).words
        for row in range(6):
            one = TaggerBatch(
                *(x[row : row + 1] for x in (batch.frames, batch.frame_mask, batch.title, batch.title_mask))
            )
            assert Speculative()(trained, trained.encode(one)).words == [together[row]]


def test_a_beam_of_one_is_greedy_and_a_wider_one_is_no_less_likely(
    trained: Tagger, words: TagTokenizer
) -> None:
    with torch.no_grad():
        seen = trained.encode(batch_of(some_sets(6, seed=5), words, seed=5))
    greedy, narrow, wide = Greedy()(trained, seen), Beam(1)(trained, seen), Beam(4)(trained, seen)
    assert narrow.words == greedy.words
    mean = lambda logps: sum(logps) / max(len(logps), 1)  # noqa: E731
    assert np.mean([mean(x) for x in wide.logps]) >= np.mean([mean(x) for x in greedy.logps]) - 0.05


def test_prompts_and_the_words_of_their_tags_carry_the_same_mark(words: TagTokenizer) -> None:
    tagger = make(words).eval()
    decoder, comma = tagger.decoder, words.comma
    said = torch.tensor([[words.start, 7, comma, 8, 9, comma, 7]])
    places = torch.arange(said.shape[1])[None]
    assert decoder._prompt_numbers(said, places, None).tolist() == [[0, 0, 1, 1, 1, 2, 2]]
    cache = decoder.cache()  # word by word, a wrong draft put right in between
    found = [decoder._prompt_numbers(said[:, :2], places[:, :2], cache).tolist()[0]]
    decoder._prompt_numbers(torch.tensor([[comma, comma]]), places[:, 2:4], cache)
    found += [
        decoder._prompt_numbers(said[:, i : i + 1], places[:, i : i + 1], cache).tolist()[0]
        for i in range(2, 7)
    ]
    assert [mark for some in found for mark in some] == [0, 0, 1, 1, 1, 2, 2]


def test_words_look_at_their_own_prompt_before_anything_is_learned(words: TagTokenizer) -> None:
    tagger = make(words, replace(SMALL, width=96)).eval()
    decoder = tagger.decoder
    with torch.no_grad():
        held = tagger.cross_attention_cache(tagger.encode(batch_of(some_sets(8, seed=1), words)))
        said = torch.full((8, SMALL.prompts), words.comma)  # each begins the tag of the next prompt
        said[:, 0] = words.start
        places = torch.arange(SMALL.prompts).expand(8, -1)
        marks = decoder._prompt_numbers(said, places, None)
        assert decoder.prompt_embeddings is not None
        x = decoder.embed(said) + decoder.position_embeddings(places) + decoder.prompt_embeddings(marks)
        layer = decoder._layers()[0]
        asks = layer.cross_attn.split_heads(layer.cross_attn.query(layer.norms[1](x)))
        looks = (asks @ held.layers[0][0].transpose(2, 3) * asks.shape[-1] ** -0.5).softmax(-1).mean(1)
    own = looks.gather(2, marks[..., None])
    assert float(own.mean()) > 0.5, "most of all it looks at its own"
    assert (looks.argmax(-1) == marks).float().mean() > 0.9


def test_prompts_that_are_left_out_leave_no_gap_in_the_marks(
    words: TagTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = make(words, replace(SMALL, prompt_labels=True)).eval()
    seen = tagger.encode(batch_of(some_sets(2, seed=1), words))
    kept = torch.zeros(2, SMALL.prompts, dtype=torch.bool)
    kept[0, [1, 3]] = True
    marks: list[torch.Tensor] = []
    own = tagger.decoder.prompt_embeddings
    assert own is not None
    monkeypatch.setattr(own, "forward", lambda x: marks.append(x) or own.weight[x])
    tagger.cross_attention_cache(seen, visible=kept)
    assert marks[0][0, [1, 3]].tolist() == [0, 1]  # the first and the second tag that is written


def test_a_draft_begins_as_the_last_look_said(words: TagTokenizer) -> None:
    tagger = make(words).eval()
    with torch.no_grad():
        drafter = Drafter(tagger, tagger.encode(batch_of(some_sets(1, seed=1), words)).prompts)
    comma, end = words.comma, words.end
    one, two = [n for n in tagger.targets.tag_words if len(n) == 1][:2] or ([7], [8])
    pads = [words.pad, *[comma, words.pad] * (SMALL.prompts - 1)]
    wanted = [*one, comma, *two, *[comma, words.pad] * (SMALL.prompts - 2)]
    # The decoder would write `wanted`; where it reads the draft's [PAD] it still knows its next tag.
    drafter.update(0, [], pads, [*one, comma, *two, comma, *pads[4:], end])
    assert drafter.propose(0, []) == [*wanted, end]

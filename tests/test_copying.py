"""Copying: words that were given mix with the vocabulary, and a title's own words become tags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from by_heart import learn_by_heart
from test_generator import SMALL

from tagline.tagging.generator.config import TaggerConfig
from tagline.tagging.generator.data import TaggerCollator
from tagline.tagging.generator.decoding import Greedy, Speculative
from tagline.tagging.generator.init import init_words, word_meanings
from tagline.tagging.generator.layers import IGNORE, CopyingDecoder, CrossAttentionCache, WordDecoder
from tagline.tagging.generator.model import Tagger
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.text_embedding import embed_tags
from tagline.tagging.ml.tokenizer import TagTokenizer

NAMES = ["".join(np.random.default_rng(n).choice(list("abcdefgh"), 4)) for n in range(40)]
KNOWN, NEW = NAMES[:32], NAMES[32:]
COPYING = replace(
    SMALL, use_frames=False, copy_title=True, prompts=3, title_words=8, target_words=12, tag_width=256
)


def test_copying_mixes_two_distributions() -> None:
    torch.manual_seed(0)
    decoder = CopyingDecoder(words=9, width=8, heads=2, layers=1, dropout=0.0, room=6).eval()
    torch.nn.init.normal_(decoder.gate.weight)
    memory = torch.randn(2, 3, 8)
    held = decoder.cross_attention_cache(memory, torch.ones(2, 3, dtype=torch.bool))
    hints = torch.tensor([[5, 7, 5], [0, 0, 0]])
    there = torch.tensor([[True, True, True], [False, False, False]])
    held = CrossAttentionCache(held.layers, held.mask, hints, there)
    words, places = torch.tensor([[1, 2], [1, 2]]), torch.tensor([[0, 1], [0, 1]])
    found = decoder(words, places, held).exp()
    assert torch.allclose(found.sum(-1), torch.ones(2, 2), atol=1e-5)
    hidden = decoder.hidden(words, places, held)
    own = (hidden @ decoder.word_embeddings.weight.T).softmax(-1)
    assert torch.allclose(found[1], own[1], atol=1e-6)  # nothing to copy: the vocabulary alone
    embedded = decoder.embed(hints)[0]
    weights = (decoder.pointer_query(hidden[0]) @ decoder.pointer_key(embedded).T / 8**0.5).softmax(-1)
    gate = 0.999 * decoder.gate(torch.cat([hidden[0], weights @ embedded], -1)).sigmoid()
    wanted = (1 - gate) * own[0]
    wanted[:, 5] += gate[:, 0] * (weights[:, 0] + weights[:, 2])
    wanted[:, 7] += gate[:, 0] * weights[:, 1]
    assert torch.allclose(found[0], wanted, atol=1e-6)


def test_the_likelihood_of_wanted_words_is_what_the_mixture_says() -> None:
    torch.manual_seed(0)
    sizes = {"width": 8, "heads": 2, "layers": 1, "dropout": 0.0, "room": 6}
    memory, there = torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.bool)
    hints, known = (
        torch.tensor([[5, 7, 5], [2, 0, 0]]),
        torch.tensor([[True, True, True], [True, False, False]]),
    )
    given, places = torch.tensor([[1, 2, 4], [1, 2, 0]]), torch.arange(3).expand(2, -1)
    wanted = torch.tensor([[5, 3, IGNORE], [2, IGNORE, IGNORE]])
    for kind in (WordDecoder, CopyingDecoder):
        decoder = kind(words=9, **sizes).eval()
        held = replace(decoder.cross_attention_cache(memory, there), source_words=hints, source_mask=known)
        every = decoder(given, places, held).log_softmax(-1)
        said = torch.stack([every[0, 0, 5], every[0, 1, 3], every[1, 0, 2]])
        assert torch.allclose(decoder.likelihood(given, places, held, wanted), said, atol=1e-5)


def test_what_is_known_of_a_word_helps_to_find_it() -> None:
    torch.manual_seed(0)
    decoder = CopyingDecoder(words=9, width=8, heads=2, layers=1, dropout=0.0, room=6).eval()
    held = decoder.cross_attention_cache(torch.randn(1, 3, 8), torch.ones(1, 3, dtype=torch.bool))
    hints, there, known = torch.tensor([[5, 7]]), torch.ones(1, 2, dtype=torch.bool), torch.randn(1, 2, 8)
    given = torch.tensor([[1]]), torch.tensor([[0]])
    before = decoder(*given, CrossAttentionCache(held.layers, held.mask, hints, there))
    assert not torch.allclose(
        before, decoder(*given, CrossAttentionCache(held.layers, held.mask, hints, there, known))
    )
    zero = CrossAttentionCache(held.layers, held.mask, hints, there, torch.zeros_like(known))
    assert torch.allclose(before, decoder(*given, zero))


@pytest.fixture(scope="module")
def world() -> tuple[Tagger, TaggerCollator]:
    """A tagger that learned to say the name in a title; eight names it has never seen."""
    words = TagTokenizer.train([*NAMES, "a day in", "my trip to", "this is"], size=300)
    vectors = torch.from_numpy(embed_tags(KNOWN, "letters").values)
    torch.manual_seed(0)
    tagger = Tagger(COPYING, words, KNOWN, vectors)
    init_words(tagger, word_meanings(words, "letters", "public"))
    make = TaggerCollator(COPYING, words, KNOWN)
    rng = np.random.default_rng(0)

    def loss(_: int) -> torch.Tensor:
        found: torch.Tensor = tagger(make([(one, 0) for one in videos(rng.choice(KNOWN, 16))])["batch"])[
            "loss"
        ]
        return found

    learn_by_heart([tagger], loss, steps=60, lr=3e-3)
    return tagger.eval(), make


def videos(names: list[str] | np.ndarray) -> list[Example]:
    ways = ["a day in {}", "my trip to {}", "this is {}"]
    titles = [ways[n % 3].format(name) for n, name in enumerate(names)]
    return [Example(title, title, title, (str(name),)) for title, name in zip(titles, names, strict=True)]


def test_a_name_that_was_never_seen_is_likely_where_the_title_says_it(
    world: tuple[Tagger, TaggerCollator],
) -> None:
    """Beside the same tagger with nothing to copy: to it a name that it never wrote is one of many."""
    tagger, make = world
    first = torch.tensor([tagger.tokenizer.encode(name)[0] for name in NEW])
    given, places = (
        torch.full((len(NEW), 1), tagger.tokenizer.start),
        torch.zeros(len(NEW), 1, dtype=torch.long),
    )
    with torch.no_grad():
        held = tagger.cross_attention_cache(tagger.encode(make.batch(videos(NEW))))
        assert held.source_mask is not None
        blind = replace(held, source_mask=torch.zeros_like(held.source_mask))
        copying, alone = (
            tagger.decoder.likelihood(given, places, told, first[:, None]).mean() for told in (held, blind)
        )
    assert copying > alone + 2


def test_drafts_copy_what_greedy_decoding_copies(world: tuple[Tagger, TaggerCollator]) -> None:
    tagger, make = world
    rows = videos([*NAMES, *NEW])
    rows[0] = replace(rows[0], title="")  # nothing to copy
    with torch.no_grad():
        seen = tagger.encode(make.batch(rows))
    greedy, drafted = Greedy()(tagger, seen), Speculative()(tagger, seen)
    assert drafted.words == greedy.words == Speculative(at_once=3)(tagger, seen).words
    with torch.no_grad():
        alone = [Speculative()(tagger, tagger.encode(make.batch([one]))).words[0] for one in rows[:6]]
    assert alone == greedy.words[:6]


def test_the_marks_around_a_title_are_not_copied(world: tuple[Tagger, TaggerCollator]) -> None:
    tagger, make = world
    with torch.no_grad():
        held = tagger.cross_attention_cache(tagger.encode(make.batch(videos(KNOWN[:3]))))
    assert held.source_words is not None
    assert held.source_mask is not None
    copied = held.source_words[held.source_mask].tolist()
    assert copied
    assert not {tagger.tokenizer.start, tagger.tokenizer.end, tagger.tokenizer.pad}.intersection(copied)


@pytest.mark.parametrize("change", [{"use_title": False}, {"classify_prompts": True}])
def test_what_cannot_copy_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="copy_title"):
        replace(TaggerConfig(copy_title=True), **change)  # type: ignore[arg-type]

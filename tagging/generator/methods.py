"""Every way to tag behind one door: a model from its configuration, batches for it, tags out of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tagging.generator.config import TaggerConfig
from tagging.generator.data import Collator, Example
from tagging.generator.decoding import Decoding, Drafted
from tagging.generator.encoder import Batch
from tagging.generator.hinting import Advisor, HintingCollator
from tagging.generator.model import Tagger
from tagging.generator.words import Words
from tagging.rivals.classifier import Classifier
from tagging.rivals.openbook import OpenBook

Model = Tagger | Classifier
Said = list[tuple[str, float]]  # tags with how sure the model is, 0..1, not yet calibrated


def build(
    config: TaggerConfig,
    words: Words,
    tags: Sequence[str],
    tag_vectors: Tensor,
    frequency: Sequence[int] | None = None,
) -> Model:
    """The model of `config.method` with first weights."""
    if config.method in ("bin", "asl"):
        return Classifier(config, words, tags)
    kind = OpenBook if config.method == "open-book" else Tagger
    return kind(config, words, tags, tag_vectors, frequency)


def collator(model: Model, advisor: Advisor | None = None) -> Collator:
    """What makes this model's batches. One that is told tags of similar videos needs who tells it."""
    if not isinstance(model, OpenBook) and not model.settings.retrieved:
        return Collator(model.settings, model.words, model.tags)
    if advisor is None:
        raise ValueError("this tagger is told tags of similar videos; give it their memory")
    return HintingCollator(model.settings, model.words, model.tags, advisor)


@torch.no_grad()
def predict(model: Model, batch: Batch, decoding: Decoding | None = None) -> list[Said]:
    """The tags of each video of a batch with a score, in the order in which they were said.

    A written tag's score is the geometric mean of its words' probabilities, a classified one's its own.
    """
    was = model.training
    model.eval()
    seen = model.see(batch)
    if isinstance(model, Classifier) or model.settings.classify_prompts:
        found = model.classify(seen)
    else:
        written = (decoding or Drafted())(model, seen)
        found = [
            written_tags(model.words, ids, logps)
            for ids, logps in zip(written.words, written.logps, strict=True)
        ]
    model.train(was)
    return found


def written_tags(words: Words, ids: Sequence[int], logps: Sequence[float]) -> Said:
    """Each tag once, with the best of its scores."""
    best: dict[str, float] = {}
    for text, place in words.places(ids):
        part = logps[place]
        score = float(torch.tensor(part).mean().exp())
        best[text] = max(score, best.get(text, 0.0))
    return list(best.items())


def predict_all(
    model: Model,
    make: Collator,
    examples: Sequence[Example],
    *,
    batch: int = 64,
    decoding: Decoding | None = None,
) -> list[Said]:
    """`predict` for any number of videos. Those with titles of like length go together."""
    device = next(model.parameters()).device
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].title))
    found: list[Said] = [[] for _ in examples]
    for start in range(0, len(order), batch):
        numbers = order[start : start + batch]
        said = predict(model, make.batch([examples[i] for i in numbers]).to(device), decoding)
        for number, tags in zip(numbers, said, strict=True):
            found[number] = tags
    return found

"""Initial weights from data: words, frames, and the first layers of a pretrained BERT as title encoder.

Titles, prompts and tags begin in one language, that of the frozen model of the tags.

A published tagger starts from a BERT, in whose space its tags are matched too. Without one, the words of
titles and of the decoder begin as one random projection of what the language model says of each. The map from
prompts into the decoder is the same projection, the map out of the prompts' encoder its transpose, and what
prompts look at comes through as it is. So prompts begin near the words of the title, where they are matched
with the tags that it names, and the decoder knows what a prompt means, be its tag rare or common.

Frame vectors have length 1, and much of that is the same in all: values of some 0.06, of which what differs
is a part. Beside the marks of their places they would be next to nothing, so they begin with their mean at
zero and at the scale of these marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tagline.experts.weights import check, registry
from tagline.tagging.ml import text_embedding
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.tokenizer import TagTokenizer

if TYPE_CHECKING:
    from tagline.tagging.generator.model import TaggingModel


FRAME_SAMPLE = 1000  # videos whose frames tell what all are like


def word_meanings(words: TagTokenizer, model: str, collection: str) -> Tensor:
    """What the language model says of each word, by its number: float32 [words, D], their mean at zero."""
    said = torch.from_numpy(
        text_embedding.embed_tags(words.vocabulary_texts(), model, collection=collection).values[:-1]
    )
    return said - said.mean(0)


@torch.no_grad()
def init_words(model: TaggingModel, meanings: Tensor, *, titles: bool = True) -> None:
    """Let the model's words begin at their meanings, [words, D]. titles: those of its title encoder too."""
    width = model.settings.width
    projection = nn.init.normal_(torch.empty(meanings.shape[1], width), std=width**-0.5)
    first = nn.functional.normalize(meanings @ projection, dim=-1)
    if titles:
        bert: Any = model.encoder.title_encoder
        bert.get_input_embeddings().weight.copy_(first)
    model.init_words(first, projection)


@torch.no_grad()
def init_frames(model: TaggingModel, examples: Sequence[Example]) -> None:
    """Let the model's frames begin as those of the examples should: mean at zero, values of about 1."""
    if not model.settings.use_frames:
        return
    seen = [one.frames for one in examples if one.frames is not None and len(one.frames)][:FRAME_SAMPLE]
    every = torch.from_numpy(np.concatenate(seen).astype(np.float32))
    every = every[torch.isfinite(every).all(1)]
    middle = every.mean(0)
    spread = float((every - middle).square().mean().sqrt())
    if not spread > 0:  # nothing differs, or there is nothing
        return
    model.encoder.frame_projection.weight.div_(spread)
    model.encoder.frame_projection.bias.copy_(-model.encoder.frame_projection.weight @ middle)


def bert_tokenizer(name: str) -> TagTokenizer:
    """The tokenizer of a folder of BERT."""
    path = _folder(name) / "tokenizer.json"
    if not path.is_file():
        raise BadConfig(f"{path.parent} has no tokenizer.json; save its fast tokenizer there")
    try:
        return TagTokenizer.load(path)
    except ValueError as error:
        raise BadConfig(f"{path} does not fit a tagger: {error}") from error


def load_title_bert(encoder: nn.Module, name: str) -> None:
    """Put the weights of a BERT into a title encoder that has fewer layers, words' places or both."""
    from safetensors.torch import load_file

    found = registry.find(name)
    check.check_file(found.model)
    state = {_plain(key): value for key, value in load_file(found.model).items()}
    own = encoder.state_dict()
    with torch.no_grad():
        for key, value in own.items():
            if key.endswith(("position_ids", "token_type_ids")):
                continue
            given = state.get(key)
            if given is None or given.shape[1:] != value.shape[1:] or len(given) < len(value):
                shape = None if given is None else list(given.shape)
                raise BadConfig(
                    f"{name} cannot be the title encoder: {key} is {shape}, {list(value.shape)} is needed; "
                    "set model.width, heads and title_layers to fit it"
                )
            value.copy_(given[: len(value)])


def _plain(key: str) -> str:
    """A key without the prefix of a bigger model, in today's names for norms."""
    return key.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias")


def _folder(name: str) -> Path:
    path = registry.find(name).path
    return path if path.is_dir() else path.parent

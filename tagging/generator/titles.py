"""A trained BERT as title encoder: its tokenizer, and its first layers put into ours."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tagline.experts import weights
from tagline.experts.stock import safe
from tagline.tagging.configuring import BadConfig
from tagline.tagging.generator.words import TagTokenizer


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

    found = weights.find(name)
    safe.check_file(found.model)
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
    path = weights.find(name).path
    return path if path.is_dir() else path.parent

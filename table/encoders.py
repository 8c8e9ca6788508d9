"""The two towers of CLIP: frames to vectors, texts and tags to tokens and vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CustomTextCLIP, convert_to_custom_text_state_dict, resize_pos_embed
from open_clip.transformer import TextTransformer
from safetensors.torch import load_file
from torch import Tensor, nn

from tagline.experts.clip import model_config
from tagline.experts.weights.registry import WeightsRefused
from tagline.tagging.ml.config import BadConfig

# What makes a library fetch something, which building a network from a saved configuration must not.
FETCHES = {"timm_model_pretrained": False, "hf_model_pretrained": False}


def architecture(name_or_data: str | dict[str, Any]) -> dict[str, Any]:
    """The dictionary of an open_clip architecture: `embed_dim`, `vision_cfg`, `text_cfg`, ..."""
    if isinstance(name_or_data, dict):
        return name_or_data
    try:
        return model_config(name_or_data)
    except WeightsRefused as error:
        raise BadConfig(str(error)) from error


def build_towers(name_or_data: str | dict[str, Any]) -> tuple[nn.Module, TextTransformer, nn.Parameter]:
    """The visual tower, the text tower and the logarithm of 1/τ, with random weights."""
    found = json.loads(json.dumps(architecture(name_or_data)))
    if "hf_model_name" in found["text_cfg"] or "multimodal_cfg" in found:
        raise BadConfig("TABLE shares CLIP's text transformer with its tags; this architecture has another")
    for part in ("vision_cfg", "text_cfg"):
        found[part].update({key: value for key, value in FETCHES.items() if key in found[part]})
    known = {k: found[k] for k in ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu") if k in found}
    towers = CustomTextCLIP(**known)
    text = towers.text
    # The overall representation of a text is its [EOS] token, which open_clip finds as the largest id.
    if not isinstance(text, TextTransformer) or text.pool_type != "argmax" or text.cls_emb is not None:
        raise BadConfig("TABLE reads the [EOS] token of a text; this architecture's text tower has none")
    return towers.visual, text, towers.logit_scale


def load_towers(towers: nn.Module, path: Path) -> None:
    """Fill `towers.visual`, `towers.text` and `towers.logit_scale` from the safetensors of a CLIP.

    Only safetensors: a pickle could run anything. Tensors that do not fit are an error, never left out.
    """
    state = convert_to_custom_text_state_dict(load_file(path))
    resize_pos_embed(state, towers)  # another image size
    own = ("visual.", "text.", "logit_scale")
    state = {key: value for key, value in state.items() if key.startswith(own)}
    wanted = {key for key in towers.state_dict() if key.startswith(own)}
    wrong = sorted(wanted ^ set(state)) or [
        key for key, value in towers.state_dict().items() if key in state and value.shape != state[key].shape
    ]
    if wrong:
        raise BadConfig(
            f"{path.name} holds another architecture than the configuration names: "
            f"{len(wrong)} tensors differ, the first is {wrong[0]}"
        )
    towers.load_state_dict(state, strict=False)


class TextEncoder(nn.Module):
    """CLIP's text transformer for captions and tags: the blocks are shared, the projections are not.

    It is a view of the tower it is given and owns two things: the tags' projection, which starts as a copy
    of the captions' one, and the vector of [MASK]. CLIP's vocabulary has no [MASK]; instead of giving
    some rare word's place to it, a masked position takes this vector in place of its word's, so the
    tokenizer and the token table stay CLIP's own.
    """

    def __init__(self, tower: TextTransformer, *, tags: bool, masks: bool) -> None:
        super().__init__()
        self.tag_projection = nn.Parameter(_projection(tower).detach().clone()) if tags else None
        # The middle of all words says nothing in particular.
        self.mask = nn.Parameter(tower.token_embedding.weight.detach().mean(0)) if masks else None

    def forward(
        self, tower: TextTransformer, ids: Tensor, *, tags: bool = False, masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Tokens and the overall representation ([EOS]), both projected into the shared space.

        ids: int [B, L]; masked: bool [B, L], the places that show [MASK]. Returns [B, L, D], [B, D].
        """
        x = tower.token_embedding(ids)
        if masked is not None:
            assert self.mask is not None
            x = torch.where(masked[..., None], self.mask.to(x.dtype), x)
        length = ids.shape[1]
        x = x + tower.positional_embedding[:length].to(x.dtype)
        causal = tower.attn_mask
        x = tower.transformer(x, attn_mask=None if causal is None else causal[:length, :length])
        x = tower.ln_final(x)
        projection = self.tag_projection if tags else _projection(tower)
        assert projection is not None
        tokens = x @ projection.to(x.dtype)
        eos = ids.argmax(dim=-1)
        return tokens, tokens[torch.arange(len(ids), device=ids.device), eos]


def _projection(tower: TextTransformer) -> Tensor:
    """[width, D], whichever way open_clip keeps it."""
    projection = tower.text_projection
    if isinstance(projection, nn.Linear):
        if projection.bias is not None:
            raise BadConfig("TABLE knows text projections without a bias only; this architecture's has one")
        return projection.weight.T
    assert isinstance(projection, Tensor)
    return projection


def normalise_frames(frames: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 [..., 3, H, W] to float32 as CLIP expects it; on the device, since bytes travel faster."""
    return (frames.float() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)

"""The weights of the network: how many, where they come from, and which loss reaches which."""

from __future__ import annotations

import copy
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from table_fakes import TINY, batch, model, pictures, sentences, tiny

from tagline.table.config import load_preset
from tagline.table.model import Table
from tagline.tagging.ml.config import BadConfig

# -- parameters --------------------------------------------------------------------------------------


def test_tags_and_captions_share_blocks_and_not_projections() -> None:
    m = model()
    ids = sentences(3, 6)
    caption, tag = m.encode_tokens(ids)[1], m.captions(m.text, ids, tags=True)[1]
    assert not torch.allclose(caption, tag)
    with torch.no_grad():
        m.captions.tag_projection.copy_(m.text.text_projection)
    torch.testing.assert_close(m.encode_tokens(ids)[1], m.captions(m.text, ids, tags=True)[1])


def test_what_is_new_starts_as_a_copy_of_clip() -> None:
    m = Table(tiny())
    assert m.guide is not None
    assert torch.equal(m.captions.tag_projection, m.text.text_projection)
    assert torch.equal(m.guide.position, m.text.positional_embedding[: len(m.guide.position)])
    for ours, theirs in zip(m.guide.blocks, m.text.transformer.resblocks, strict=False):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name])
    assert torch.equal(m.project.weight, torch.eye(16))


def test_positions_are_stretched_where_clip_has_too_few() -> None:
    m = Table(tiny(tag_tokens="all", tag_length=16))  # 3 + 16 + 8 places, CLIP's text has 20
    assert m.guide is not None
    assert m.guide.position.shape == (27, 16)
    torch.testing.assert_close(m.guide.position[0], m.text.positional_embedding[0])
    torch.testing.assert_close(m.guide.position[-1], m.text.positional_embedding[-1])


CLIP_B32 = 151_277_313  # as published for ViT-B/32, the temperature counted
BLOCK = (
    3_152_384  # one block of CLIP's text tower: attention 1,050,624 + feed-forward 2,099,712 + norms 2,048
)
TAG_PROJECTION = PHI = 512 * 512
VTM = 512 * 2 + 2
MLM = (512 * 512 + 512) + 2 * 512 + 49_408 + 512  # dense, norm, biases of the words, [MASK]


@pytest.mark.parametrize(
    ("name", "added"),
    [
        # λ, φ, the tags' projection, four blocks, places of frames, tags and text, the heads
        ("msrvtt", 1 + PHI + TAG_PROJECTION + 4 * BLOCK + (12 + 1 + 32) * 512 + VTM + MLM),
        ("didemo", 1 + PHI + TAG_PROJECTION + 4 * BLOCK + (32 + 32 + 64) * 512 + VTM + MLM),
        ("clip4clip-meanp", 0),
        ("clip4clip-seqtransf", 4 * BLOCK + 12 * 512),
    ],
)
def test_a_preset_builds_at_full_size_and_has_the_papers_parameters(name: str, added: int) -> None:
    m = Table(load_preset(name).model)
    assert sum(p.numel() for p in m.parameters()) == CLIP_B32 + added
    assert (m.text.width, m.text.heads, len(m.text.transformer.resblocks)) == (512, 8, 12)
    groups = m.parameter_groups()
    assert sum(p.numel() for p in groups["towers"]) == CLIP_B32 + (TAG_PROJECTION + PHI) * (
        name in ("msrvtt", "didemo")
    )


def touched(m: Table, loss: torch.Tensor) -> set[str]:
    """The parts of the model that a loss has a gradient for."""
    m.zero_grad()
    loss.backward(retain_graph=True)
    parts = {
        "visual": "visual.",
        "text blocks": "text.transformer",
        "word table": "text.token_embedding",
        "caption projection": "text.text_projection",
        "tag projection": "captions.tag_projection",
        "[MASK]": "captions.mask",
        "guide": "guide.",
        "λ": "residual",
        "φ": "project.",
        "τ": "logit_scale",
        "match": "match.",
        "words": "words.",
    }
    grads = {name: p.grad for name, p in m.named_parameters()}
    return {
        part
        for part, start in parts.items()
        if any(n.startswith(start) and g is not None and g.abs().sum() > 0 for n, g in grads.items())
    }


def test_gradients_reach_what_they_should_and_nothing_else() -> None:
    m = model()
    found = m(**batch())
    towers = {"visual", "text blocks", "word table", "caption projection", "tag projection", "guide"}
    assert touched(m, found["contrastive"]) == towers | {"λ", "φ", "τ"}
    # The joint encoder reads g, before λ, φ and the temperature; similarities only choose its negatives.
    assert touched(m, found["vtm"]) == towers | {"match"}
    assert touched(m, found["mlm"]) == towers | {"words", "[MASK]"}
    assert touched(m, found["loss"]) == towers | {"λ", "φ", "τ", "match", "words", "[MASK]"}


def test_a_batch_without_tags_or_masked_words_still_has_all_gradients_defined() -> None:
    m = model()
    b = batch()
    b["tagged"] = torch.zeros(4, dtype=torch.bool)
    b["masked"] = torch.zeros_like(b["masked"])
    b["words"] = torch.full_like(b["words"], -100)
    found = m(**b)
    assert found["mlm"].item() == 0
    assert "tag projection" not in touched(m, found["loss"])
    # Data-parallel training waits for a gradient of every parameter, even one of nothing but zeros.
    assert [n for n, p in m.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in m.parameters() if p.grad is not None)


# -- towers ------------------------------------------------------------------------------------------


def test_towers_are_loaded_from_a_clip_and_their_copies_follow(tmp_path: Path) -> None:
    torch.manual_seed(5)
    clip = CLIP(**copy.deepcopy(TINY)).eval()  # open_clip's usual layout of the text tower
    save_file(clip.state_dict(), tmp_path / "clip.safetensors")
    m = Table.build(tiny(), tmp_path / "clip.safetensors").eval()
    text = sentences(4, 20)
    with torch.no_grad():
        torch.testing.assert_close(m.encode_texts(text), clip.encode_text(text, normalize=True))
    assert m.guide is not None
    assert torch.equal(m.captions.tag_projection, clip.text_projection)
    assert torch.equal(m.guide.blocks[0].ln_1.weight, clip.transformer.resblocks[0].ln_1.weight)
    assert torch.equal(m.guide.position, clip.positional_embedding[: len(m.guide.position)])
    torch.testing.assert_close(m.captions.mask, clip.token_embedding.weight.mean(0))


def test_towers_of_another_architecture_are_refused(tmp_path: Path) -> None:
    other = copy.deepcopy(TINY)
    other["text_cfg"]["layers"] = 2
    save_file(CLIP(**other).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(BadConfig, match="another architecture"):
        Table.build(tiny(), tmp_path / "other.safetensors")


def test_architectures_go_by_name_or_are_refused_in_a_sentence() -> None:
    with pytest.raises(BadConfig, match="no architecture 'ViT-Z'"):
        Table(tiny(architecture="ViT-Z"))
    with pytest.raises(BadConfig, match="TABLE"):
        Table(tiny(architecture="ViT-B-16-SigLIP"))
    assert load_preset("msrvtt").model.architecture in open_clip.list_models()


def test_a_text_tower_of_another_width_than_the_shared_space() -> None:
    wide = copy.deepcopy(TINY)
    wide["embed_dim"] = 24
    m = model(architecture=wide)
    assert torch.isfinite(m(**batch())["loss"])
    assert m.encode_videos(pictures(2)).vectors.shape == (2, 24)

"""Attention rollout: against a plain product of matrices, and as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from table_fakes import model, pictures

from tagline.table.data import Tokenizer
from tagline.table.rollout import Rollout, draw_strip, rollout
from tagline.tagging.ml.config import BadConfig

FRAMES = pictures(1)[0].numpy()


def plain(weights: list[np.ndarray]) -> np.ndarray:
    out = np.eye(len(weights[0]))
    for attention in weights:
        out = (attention + np.eye(len(attention))) / 2 @ out
    return out


def caught(m: torch.nn.Module) -> list[np.ndarray]:
    """Every attention of the guide's blocks in the order they are called, computed beside them."""
    found: list[np.ndarray] = []

    def note(module: torch.nn.MultiheadAttention, inputs: tuple[torch.Tensor, ...], keywords: dict) -> None:
        with torch.no_grad():
            x = inputs[0].double()
            q, k, _ = (x @ module.in_proj_weight.double().T + module.in_proj_bias.double()).chunk(3, -1)
            heads = []
            for a, b in zip(q.chunk(module.num_heads, -1), k.chunk(module.num_heads, -1), strict=True):
                scores = a @ b.transpose(1, 2) / a.shape[-1] ** 0.5
                mask = keywords["attn_mask"].view(len(x), module.num_heads, *scores.shape[1:])[:, 0]
                heads.append((scores + mask).softmax(-1))
            found.append(torch.stack(heads).mean(0)[0].numpy())

    for block in m.guide.blocks:
        block.attn.register_forward_pre_hook(note, with_kwargs=True)
    return found


def test_what_the_tags_look_at() -> None:
    m = model().eval()
    seen = caught(m)
    found = rollout(m, FRAMES, Tokenizer(), tags="dog, man")
    wanted = plain(seen)[3, :3]  # three frames, then the tags
    np.testing.assert_allclose(found.frames, wanted / wanted.sum(), rtol=1e-4)
    assert found.queried_by == "tags"
    assert found.patches.shape == (3, 2, 2)
    np.testing.assert_allclose(found.patches.sum((1, 2)), 1, rtol=1e-5)


def test_what_a_word_looks_at() -> None:
    m = model().eval()
    seen = caught(m)
    found = rollout(m, FRAMES, Tokenizer(), tags="dog", text="a dog jumps", word="dog")
    guide, joint = plain(seen[:2]), plain(seen[2:])
    # [SOS] a dog jumps [EOS] stand after three frames and one tag token.
    wanted = (joint[4 + 2, :4] @ guide)[:3]
    np.testing.assert_allclose(found.frames, wanted / wanted.sum(), rtol=1e-4)
    assert found.queried_by == "dog"
    whole = rollout(m, FRAMES, Tokenizer(), tags="dog", text="a dog jumps")
    assert whole.queried_by == "a dog jumps"
    assert not np.allclose(whole.frames, found.frames)


def test_a_model_that_learned_from_whole_texts_asks_with_all_of_it() -> None:
    m = model(mlm=False).eval()
    found = rollout(m, FRAMES, Tokenizer(), tags="dog", text="a dog jumps")
    assert found.frames.shape == (3,)


def test_a_short_video_and_no_tags() -> None:
    found = rollout(model().eval(), FRAMES[:2], Tokenizer())
    assert found.queried_by == "frames"
    assert found.frames.shape == (2,)
    assert found.frames.sum() == pytest.approx(1)


def test_what_cannot_be_shown_is_said() -> None:
    with pytest.raises(BadConfig, match="'cat' is not in the query"):
        rollout(model(), FRAMES, Tokenizer(), text="a dog", word="cat")
    with pytest.raises(BadConfig, match="no tag-guiding encoder"):
        rollout(model(modalities=(), layers=0, vtm=False, mlm=False), FRAMES, Tokenizer())
    with pytest.raises(BadConfig, match="reads no text"):
        rollout(model(vtm=False, mlm=False), FRAMES, Tokenizer(), text="a dog")


def test_looking_changes_nothing() -> None:
    m = model().eval()
    frames = pictures(2)
    with torch.no_grad():
        before = m.encode_videos(frames).vectors
        rollout(m, FRAMES, Tokenizer(), tags="dog")
        assert torch.equal(m.encode_videos(frames).vectors, before)


def test_the_strip_shows_bright_patches_and_red_frames(tmp_path: Path) -> None:
    frames = np.full((2, 3, 64, 64), 200, np.uint8)
    patches = np.full((2, 2, 2), 0.1, np.float32)
    patches[0, 0, 0] = 0.7
    draw_strip(Rollout(np.array([0.9, 0.1], np.float32), patches, "tags"), frames, tmp_path / "strip.png")
    strip = np.asarray(Image.open(tmp_path / "strip.png"))
    assert strip.shape == (64 + 5, 128, 3)
    assert strip[8, 8, 0] > strip[56, 56, 0] + 50  # the patch that matters is brighter
    red, pale = strip[-1, 0].astype(int), strip[-1, -1].astype(int)
    assert red[0] - red[1] > pale[0] - pale[1] + 100

"""The network against what the paper says: plain NumPy, CLIP4Clip, and what may not matter."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CustomTextCLIP
from table_fakes import EOS, TINY, batch, model, pictures, sentences, tiny

from tagline.table import objective
from tagline.table.config import TagChoice
from tagline.table.model import Table, token_mask
from tagline.table.objective import draw_negatives

Array = np.ndarray[Any, Any]


# -- the same in NumPy -------------------------------------------------------------------------------


def norm(x: Array, layer: torch.nn.LayerNorm) -> Array:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def linear(x: Array, layer: torch.nn.Linear) -> Array:
    out = x @ layer.weight.detach().numpy().T
    return out if layer.bias is None else out + layer.bias.detach().numpy()


def gelu(x: Array) -> Array:
    return F.gelu(torch.tensor(x)).numpy()


def attend(x: Array, attn: torch.nn.MultiheadAttention, heads: int, valid: Array) -> Array:
    """Multi-head self-attention of one sequence, [L, W], over the keys that are valid."""
    width = x.shape[1] // heads
    qkv = x @ attn.in_proj_weight.detach().numpy().T + attn.in_proj_bias.detach().numpy()
    q, k, v = np.split(qkv, 3, axis=1)
    out = np.zeros_like(x)
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = q[:, part] @ k[:, part].T / np.sqrt(width)
        scores[:, ~valid] = -np.inf
        weights = np.exp(scores - scores.max(1, keepdims=True))
        out[:, part] = weights / weights.sum(1, keepdims=True) @ v[:, part]
    return linear(out, attn.out_proj)


def guide(m: Table, x: Array, valid: Array, places: list[int]) -> Array:
    """The tag-guiding encoder of one video: [L, W] to [L, W]."""
    assert m.guide is not None
    x = x + m.guide.position.detach().numpy()[places]
    for block in m.guide.blocks:
        x = x + attend(norm(x, block.ln_1), block.attn, m.settings.heads, valid)
        hidden = gelu(linear(norm(x, block.ln_2), block.mlp.c_fc))
        x = x + linear(hidden, block.mlp.c_proj)
    return x


def test_a_video_is_what_the_paper_says() -> None:
    m = model().double().eval()
    frames, tags = pictures(2), sentences(2, 6)
    frame_valid = torch.tensor([[True, True, True], [True, True, False]])
    with torch.no_grad():
        found = m.encode_videos(frames, frame_valid, tags, torch.tensor([True, False])).vectors.numpy()
        v_all = unit(m.encode_frames(frames).double().numpy())
        t_all = unit(m.captions(m.text, tags, tags=True)[1].numpy())
    for i, valid in enumerate(([True, True, True, True], [True, True, False, False])):
        v, keep = v_all[i], np.array(valid)
        g = guide(m, np.vstack([v, t_all[i]]), keep, [0, 1, 2, 3])  # {v¹ … vᴺ; tᵉ}
        overall = m.residual.item() * g[keep].mean(0) + v[keep[:3]].mean(0)  # λ·ρ(g) + ρ(v)
        np.testing.assert_allclose(found[i], unit(linear(overall, m.project)), atol=1e-6)


def test_the_didemo_variant_reads_every_token_of_the_tags() -> None:
    m = model(tag_tokens="all").double().eval()
    frames, tags = pictures(1), sentences(1, 6, seed=5)
    with torch.no_grad():
        found = m.encode_videos(frames, None, tags).vectors.numpy()[0]
        v = unit(m.encode_frames(frames).double().numpy())[0]
        t = unit(m.captions(m.text, tags, tags=True)[0].numpy())[0]
    keep = np.concatenate([[True] * 3, token_mask(tags)[0].numpy()])
    g = guide(m, np.vstack([v, t]), keep, list(range(9)))
    overall = m.residual.item() * g[keep].mean(0) + v.mean(0)
    np.testing.assert_allclose(found, unit(linear(overall, m.project)), atol=1e-6)


@pytest.mark.parametrize("vtm_text", ["eos", "tokens"])
def test_the_losses_of_a_batch_are_what_the_paper_says(vtm_text: str) -> None:
    """Contrastive over the batch; VTM over right and hard pairs, one by one; MLM over masked words."""
    m = model(vtm_text=vtm_text).double().eval()
    b = batch(videos=4)
    assert m.match is not None
    assert m.words is not None
    with torch.no_grad():
        found = m(**b)
        seen = m.encode_videos(b["frames"], b["frame_valid"], b["tags"], b["tagged"])
        tokens, eos = m.encode_tokens(b["text"])
        logits = m.logit_scale.exp() * F.normalize(eos.float(), dim=-1) @ seen.vectors.T
        assert seen.fused is not None
        fused = seen.fused.numpy()

        def joint(video: int, text: Array) -> Array:
            x = np.vstack([fused[video], unit(text)])
            return guide(m, x, np.ones(len(x), bool), list(range(len(x))))

        def part(i: int) -> Array:
            length = int(token_mask(b["text"])[i].sum())
            return eos[i : i + 1].numpy() if vtm_text == "eos" else tokens[i, :length].numpy()

        hard = draw_negatives(logits, b["video_of_text"], b["text"], 3)
        pairs = [(i, i, 1) for i in range(4)]
        pairs += [(i, int(hard.text[i]), 0) for i in range(4)] + [
            (int(hard.video[i]), i, 0) for i in range(4)
        ]
        terms = []
        for video, text, y in pairs:
            z = linear(joint(video, part(text))[0], m.match.decide)  # the first output token
            terms.append(-np.log(np.exp(z[y]) / np.exp(z).sum()))

        words = []
        table = m.text.token_embedding.weight
        masked_tokens, _ = m.encode_tokens(b["shown"], b["masked"])
        for i in range(4):
            length = int(token_mask(b["shown"])[i].sum())
            out = joint(i, masked_tokens[i, :length].numpy())
            for place in np.flatnonzero(b["masked"][i].numpy()):
                scores = m.words(torch.tensor(out[4 + place])[None], table)[0].numpy()
                words.append(np.log(np.exp(scores).sum()) - scores[b["text"][i, place]])

    contrastive = objective.contrastive(logits, b["video_of_text"]).item()
    assert found["contrastive"].item() == pytest.approx(contrastive, rel=1e-6)
    assert found["vtm"].item() == pytest.approx(np.mean(terms), rel=1e-5)
    assert found["mlm"].item() == pytest.approx(np.mean(words), rel=1e-5)
    assert found["loss"].item() == pytest.approx(contrastive + np.mean(terms) + np.mean(words), rel=1e-5)


# -- CLIP4Clip ---------------------------------------------------------------------------------------


def mean_pooled(m: Table, frames: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """CLIP4Clip's mean pooling, from open_clip's own model with the same weights: [texts, videos]."""
    clip = CustomTextCLIP(**copy.deepcopy(TINY)).eval()
    clip.visual.load_state_dict(m.visual.state_dict())
    clip.text.load_state_dict(m.text.state_dict())
    padded = F.pad(text, (0, clip.context_length - text.shape[1]))
    with torch.no_grad():
        scaled = (frames.flatten(0, 1) / 255 - m.mean.view(3, 1, 1)) / m.std.view(3, 1, 1)
        v = clip.encode_image(scaled, normalize=True).view(*frames.shape[:2], -1).mean(1)
        return clip.encode_text(padded, normalize=True) @ F.normalize(v, dim=-1).T


def test_without_tags_lambda_and_extra_losses_it_is_clip4clip() -> None:
    torch.manual_seed(0)
    m = Table(tiny(modalities=(), residual_init=0.0, vtm=False, mlm=False)).eval()
    frames, text = pictures(5), sentences(5, 8)
    with torch.no_grad():
        found = m.encode_texts(text) @ m.encode_videos(frames).vectors.T
    torch.testing.assert_close(found, mean_pooled(m, frames, text), atol=1e-5, rtol=0)


def test_tags_change_nothing_while_lambda_is_zero() -> None:
    torch.manual_seed(0)
    m = Table(tiny(residual_init=0.0)).eval()
    frames, text = pictures(5), sentences(5, 8)
    with torch.no_grad():
        found = m.encode_texts(text) @ m.encode_videos(frames, None, sentences(5, 6)).vectors.T
    torch.testing.assert_close(found, mean_pooled(m, frames, text), atol=1e-5, rtol=0)


def test_the_mean_pool_preset_is_clip4clip_while_it_learns() -> None:
    """Ten steps of gradient descent end at the same similarities as open_clip's own model."""
    m = model(modalities=(), layers=0, residual="frame", video_projection=False, vtm=False, mlm=False)
    clip = CustomTextCLIP(**copy.deepcopy(TINY))
    clip.visual.load_state_dict(m.visual.state_dict())
    clip.text.load_state_dict(m.text.state_dict())
    clip.logit_scale.data.copy_(m.logit_scale.data)
    b = batch(videos=4)
    ours = torch.optim.SGD(m.parameters(), 0.05)
    theirs = torch.optim.SGD(clip.parameters(), 0.05)
    scaled = (b["frames"].flatten(0, 1) / 255 - m.mean.view(3, 1, 1)) / m.std.view(3, 1, 1)
    for _ in range(10):
        loss = m(**b)["loss"]
        ours.zero_grad()
        loss.backward()
        ours.step()
        v = F.normalize(clip.encode_image(scaled, normalize=True).view(4, 3, -1).mean(1), dim=-1)
        t = clip.encode_text(F.pad(b["text"], (0, 12)), normalize=True)
        logits = clip.logit_scale.exp() * t @ v.T
        plain = (F.cross_entropy(logits, torch.arange(4)) + F.cross_entropy(logits.T, torch.arange(4))) / 2
        theirs.zero_grad()
        plain.backward()
        theirs.step()
        assert loss.item() == pytest.approx(plain.item(), abs=1e-5)


def test_the_sequence_transformer_preset_is_clip4clips() -> None:
    m = model(modalities=(), residual="frame", video_projection=False, vtm=False, mlm=False).double().eval()
    frames = pictures(2)
    with torch.no_grad():
        found = m.encode_videos(frames).vectors.numpy()
        seen = m.encode_frames(frames).double().numpy()
    for i in range(2):
        out = guide(m, seen[i], np.ones(3, bool), [0, 1, 2]) + seen[i]
        np.testing.assert_allclose(found[i], unit(unit(out).mean(0)), atol=1e-6)


# -- what may not matter -----------------------------------------------------------------------------


def test_frames_that_are_not_there_and_tags_of_untagged_videos_say_nothing() -> None:
    m = model().eval()
    frames, tags = pictures(2), sentences(2, 6)
    valid = torch.tensor([[True, True, False]] * 2)
    tagged = torch.tensor([True, False])
    with torch.no_grad():
        first = m.encode_videos(frames, valid, tags, tagged).vectors
        noise = frames.clone()
        noise[:, 2] = 0
        other = tags.clone()
        other[1] = sentences(1, 6, seed=9)[0]
        torch.testing.assert_close(m.encode_videos(noise, valid, other, tagged).vectors, first)
        # Fewer frames are the same as frames marked as missing.
        torch.testing.assert_close(m.encode_videos(frames[:, :2], None, tags, tagged).vectors, first)


@pytest.mark.parametrize("changes", [{}, {"vtm_text": "tokens"}, {"tag_tokens": "all"}])
def test_cutting_off_padding_changes_nothing(changes: dict[str, Any]) -> None:
    m, b = model(**changes), batch()
    for name, places in (("text", 6), ("shown", 6), ("tags", 5)):
        ids = b[name]
        ids[:, places - 1] = torch.where(ids.argmax(1) >= places - 1, EOS, ids[:, places - 1])
        ids[:, places:] = 0
    b["masked"][:, 5:], b["words"][:, 5:] = False, -100
    whole, cut = m(**b), m(**b, longest=(6, 5))
    for part in ("contrastive", "vtm", "mlm"):
        torch.testing.assert_close(cut[part], whole[part], atol=1e-5, rtol=1e-5)


def test_a_video_does_not_depend_on_its_batch() -> None:
    m = model().eval()
    frames, tags = pictures(4), sentences(4, 6)
    with torch.no_grad():
        together = m.encode_videos(frames, None, tags).vectors
        alone = torch.cat(
            [m.encode_videos(frames[i : i + 1], None, tags[i : i + 1]).vectors for i in range(4)]
        )
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_an_exclamation_mark_is_a_word_and_padding_is_not() -> None:
    ids = torch.tensor([[49406, 0, 5, 49407, 0, 0]])  # "!" has the id of padding
    assert token_mask(ids).tolist() == [[True, True, True, True, False, False]]


def test_checkpointing_changes_nothing() -> None:
    m, b = model(), batch()
    plain = m(**b)["loss"]
    plain.backward()
    wanted = {name: p.grad.clone() for name, p in m.named_parameters() if p.grad is not None}
    m.zero_grad()
    m.checkpoint()
    saved = m(**b)["loss"]
    saved.backward()
    torch.testing.assert_close(saved, plain)
    found = {name: p.grad for name, p in m.named_parameters() if p.grad is not None}
    assert wanted
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_no_tags_at_all_is_the_papers_baseline() -> None:
    m = model(modalities=())
    assert m.captions.tag_projection is None
    b = batch()
    loss = m(**b)["loss"]
    b["tags"] = sentences(4, 6, seed=77)
    assert m(**b)["loss"].item() == loss.item()
    assert tiny(modalities=()).tags == TagChoice(())


def test_an_even_start_does_not_follow_a_tower_that_drowns_its_input() -> None:
    torch.manual_seed(0)
    made = {start: Table(tiny(init=start)) for start in ("clip", "scaled")}
    with torch.no_grad():
        for one in made.values():
            for block in one.text.transformer.resblocks:
                block.mlp.c_proj.bias.fill_(50.0)  # what is the same for all
            one._copy_from_towers()
    inputs = batch()
    for start, near in (("clip", True), ("scaled", False)):
        fused = made[start].encode_videos(inputs["frames"], None, inputs["tags"]).fused
        assert fused is not None
        vectors = F.normalize(fused.mean(1), dim=-1)
        assert bool((vectors @ vectors.T > 0.99).all()) is near, start

"""The text tower that learns from pairs of captions: its loss, what it learns, and that it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import seeing
import torch

from tagline.benchmarks.fixtures import random_weights
from tagline.benchmarks.quality import distilled_text
from tagline.table.encoders import TextEncoder, build_towers, load_towers
from tagline.table.tokenizer import Tokenizer

CAPTIONS = [
    ["a dog barks", "a hound makes noise", "a dog makes noise"],
    ["a man cooks soup", "a guy prepares food", "a man prepares soup"],
    ["rain on a street", "a wet road", "a street in the rain"],
    ["two kids sing", "children with a song", "two children sing"],
]


def test_the_loss_is_infonce_both_ways() -> None:
    vectors = torch.nn.functional.normalize(
        torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), dim=1
    )
    logits = 7.0 * vectors[:3].numpy() @ vectors[3:].numpy().T
    rows = [-np.log(np.exp(one[i, i]) / np.exp(one[i]).sum()) for one in (logits, logits.T) for i in range(3)]
    assert float(distilled_text.info_nce(vectors, torch.tensor(7.0))) == pytest.approx(
        np.mean(rows), abs=1e-5
    )


def vectors_of(folder: Path, texts: list[str]) -> torch.Tensor:
    towers = torch.nn.Module()
    towers.visual, towers.text, towers.logit_scale = build_towers(seeing.SMALL_CLIP)
    load_towers(towers, folder / distilled_text.WEIGHTS)
    ids = Tokenizer.beside(folder / distilled_text.WEIGHTS)(texts, 8)
    with torch.no_grad():
        eos = TextEncoder(towers.text, tags=False, masks=False)(towers.text, ids)[1]
    return torch.nn.functional.normalize(eos, dim=1)


def test_captions_of_one_video_come_together_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tagline.benchmarks.registry.cache.cache_home", lambda: tmp_path / "cache")
    monkeypatch.setattr(distilled_text, "STEPS", 60)
    clip = random_weights.towers(tmp_path / "clip", seeing.SMALL_CLIP)
    said: list[str] = []
    made = distilled_text.distilled(clip, CAPTIONS, 8, said.append)
    assert said
    own = vectors_of(made, [one for video in CAPTIONS for one in video[:2]])
    near = own[0::2] @ own[1::2].T
    mates, others = near.diagonal(), near[~torch.eye(len(near), dtype=torch.bool)]
    assert mates.min() > others.max() + 0.3  # each knows its mate by heart

    before, after = (torch.nn.Module() for _ in range(2))
    for towers, folder in ((before, clip), (after, made)):
        towers.visual, towers.text, towers.logit_scale = build_towers(seeing.SMALL_CLIP)
        load_towers(towers, next(folder.glob("*.safetensors")))
    same = [
        torch.equal(a, b) for a, b in zip(before.visual.parameters(), after.visual.parameters(), strict=True)
    ]
    assert all(same), "the visual tower is as it was"

    monkeypatch.setattr(distilled_text, "_distil", lambda *_: pytest.fail("taught again"))
    assert distilled_text.distilled(clip, CAPTIONS, 8, said.append) == made

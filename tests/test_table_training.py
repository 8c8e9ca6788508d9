"""Training against the published way at toy size: both learn on real files, and the figures are there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import seeing
import torch
from filming import Film, shoot

from tagline.benchmarks.baselines import clip4clip_training
from tagline.benchmarks.fixtures import random_weights
from tagline.benchmarks.playhouse.render.video import video_spec
from tagline.benchmarks.playhouse.truth.truth import truth
from tagline.benchmarks.speed import table_training
from tagline.table.config import TableConfig, TableTrainConfig
from tagline.table.model import Table
from tagline.table.objective import contrastive
from tagline.table.rows import Row
from tagline.table.tokenizer import Tokenizer

SEEDS = [0, 1, 2, 3, 10_000_000, 10_000_001, 20_000_000]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    known = [truth(seed) for seed in SEEDS]
    for one in known:
        path = tmp_path / "bench" / video_spec(one.seed).name
        path.parent.mkdir(exist_ok=True)
        shoot(path, Film(count=55, scenes=2))
    rows = [asdict(one) for one in known]
    told = json.dumps({"version": 1, "set": "bench", "seed": 0, "videos": rows})
    (tmp_path / "bench" / "truth.json").write_text(told)
    return tmp_path / "bench"


def test_both_ways_are_timed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    monkeypatch.setattr("tagline.benchmarks.registry.cache.cache_home", lambda: tmp_path / "cache")
    towers = random_weights.towers(tmp_path / "clip", seeing.SMALL_CLIP)
    tiny = {"text_length": 8, "batch": 4, "frames": 2}
    options = {
        "folder": str(folder),
        "towers": str(towers),
        "captions": "8",
        "share": "2",
        "seeds": "0",
        **{f"set.{key}": str(value) for key, value in tiny.items()},
    }
    found = table_training.measure(options)
    values = found["values"]
    assert values["speedup"] == pytest.approx(
        values["our_captions_a_second"] / values["plain_captions_a_second"], rel=0.01
    )
    assert values["reached"] in (0, 1)
    assert values["time_ratio"] > 0
    assert values["share"] == 2
    run = found["details"][0]
    assert run["share_costs"] == pytest.approx(run["r1_plain"] - _nearest(run["course"], 1 / 1.5))
    monkeypatch.setattr(table_training, "_run", lambda *_: pytest.fail("measured again"))
    assert table_training.measure(options) == found


def _nearest(course: list[list[float]], share: float) -> float:
    whole = course[-1][0]
    return min(course, key=lambda point: abs(point[0] / whole - share))[1]


def test_captions_are_spread_in_units() -> None:
    rows = [Row(str(i), str(i), tuple("abcdefgh"), "") for i in range(3)]
    chosen = table_training._enough(rows, 14, 4)
    assert [len(row.texts) for row in chosen] == [8, 4, 4]
    assert [len(row.texts) for row in table_training._enough(rows, 8, 4)] == [4, 4]


def test_the_plain_way_sees_what_the_published_way_sees(folder: Path) -> None:
    pytest.importorskip("cv2")
    from table_fakes import tiny

    config = TableConfig(
        tiny(modalities=(), layers=0, vtm=False, mlm=False, frames=4), TableTrainConfig(weights=None)
    )
    rows = [Row("a", "a", ("a dog", "a cat"), "", folder / video_spec(0).name)]
    frames, mask, words = clip4clip_training.Pairs(rows, Tokenizer(), config, 16)[1]
    assert frames.shape == (4, 3, 16, 16)
    assert mask.tolist() == [True, True, True, False]  # 55 pictures at 25 a second: seconds 0, 1, 2
    assert torch.equal(frames[2], frames[3])
    assert torch.equal(words, Tokenizer()(["a cat"], 8)[0])
    model = Table(config.model).eval()
    loss = clip4clip_training._loss(model, frames[None], mask[None], words[None])
    assert float(loss) == pytest.approx(0.0, abs=1e-5)  # one pair has no wrong one
    two = [torch.stack([x, x.flip(0)]) for x in (frames, mask)]
    texts = Tokenizer()(["a cat", "a dog"], 8)
    with torch.no_grad():
        got = clip4clip_training._loss(model, two[0], two[1], texts)
        seen = model.visual(two[0].flatten(0, 1)).view(2, 4, -1)
        logits = (
            model.logit_scale.exp() * model.encode_texts(texts) @ model.encode_videos(seen, two[1]).vectors.T
        )
    assert float(got) == pytest.approx(float(contrastive(logits, torch.arange(2))), rel=1e-4)


def test_the_course_of_the_rate() -> None:
    share = clip4clip_training._schedule(10, 0.2)
    rates = [share(step) for step in range(10)]
    assert rates[0] == 0.0
    assert np.argmax(rates) == 2
    assert rates[2] == 1.0
    assert rates == sorted(rates[:3]) + sorted(rates[3:], reverse=True)

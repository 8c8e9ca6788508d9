"""Table 5 at toy size: rows, intervals, what is kept, and what is said when something is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import fakes
import numpy as np
import pytest
import seeing

from tagline.benchmarks.fixtures import playhouse_set, random_weights
from tagline.benchmarks.playhouse.render.video import video_spec
from tagline.benchmarks.playhouse.truth.truth import Truth, truth
from tagline.benchmarks.quality import distilled_text, table_ablation
from tagline.benchmarks.quality.table_ablation import ROWS, measure
from tagline.benchmarks.speed import table_training
from tagline.experts.tags import Modality, Report, Tag
from tagline.table.model import Table
from tagline.table.saving import from_pretrained
from tagline.table.train import initial_weights
from tagline.tagging.catalog.records import Look, Place
from tagline.tagging.catalog.write import Catalog

SEEDS = {"train": range(6), "val": range(10_000_000, 10_000_002), "test": range(20_000_000, 20_000_004)}


def tags_of(known: Truth) -> dict[str, list[str]]:
    kinds = {"object": "object", "person": "person", "scene": "scene", "motion": "motion", "speech": "topic"}
    return {sense: known.texts(kind) for sense, kind in kinds.items()}


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A rendered and tagged set, but for what is in the files."""
    fakes.use_fakes(monkeypatch)
    monkeypatch.setattr(distilled_text, "STEPS", 2)
    monkeypatch.setattr("tagline.benchmarks.registry.cache.cache_home", lambda: tmp_path / "cache")
    folder = tmp_path / "bench"
    known = [truth(seed) for seeds in SEEDS.values() for seed in seeds]
    with Catalog.open(folder) as catalog:
        for one in known:
            path = fakes.write_video(folder / video_spec(one.seed).name, salt=one.seed)
            video = catalog.put_video(f"{one.seed:064x}")
            catalog.put_path(video, Place(str(path), 5, 1))
            for sense, texts in tags_of(one).items():
                tags = [Tag(text, Modality(sense), 0.9, 0, 1, sense) for text in texts]
                catalog.put_look(video, Look(sense, Modality(sense), "1", "f", Report(tags=tags)))
    rows = [asdict(one) for one in known]
    (folder / "truth.json").write_text(json.dumps({"version": 1, "set": "bench", "seed": 0, "videos": rows}))
    towers = random_weights.towers(tmp_path / "clip", seeing.SMALL_CLIP)
    tiny = {"text_length": 8, "tag_length": 8, "batch": 4, "frames": 2, "layers": 1, "evaluations": 1}
    return {
        "folder": str(folder),
        "towers": str(towers),
        "epochs": "1",
        "captions": "2",
        "texts": "2",
        "seeds": "0",
        **{f"set.{key}": str(value) for key, value in tiny.items()},
    }


def test_rows_with_intervals_and_nothing_trained_twice(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measure({**options, "rows": "no_tags,mlm"})
    values = found["values"]
    assert values["r1_full"] == values["mlm_t2v_r1"]
    assert values["r1_no_tags"] == values["no_tags_t2v_r1"]
    assert isinstance(values["ci_apart"], bool)
    low, high = values["mlm_t2v_r1_interval"]
    assert 0 <= low <= values["r1_full"] <= high <= 100
    assert {"no_tags_v2t_r10", "mlm_dual_t2v_r1", "mlm_dual_v2t_mnr"} <= set(values)
    assert not any(key.endswith("ranks") for key in values)
    assert found["configuration"]["tags_a_video"]["scene"] >= 1
    monkeypatch.setattr(table_ablation, "_run", lambda *_: pytest.fail("trained again"))
    assert measure({**options, "rows": "no_tags,mlm"}) == found


def test_models_are_saved_where_it_is_asked(options: dict[str, str], tmp_path: Path) -> None:
    measure({**options, "rows": "vtm", "save": str(tmp_path / "models")})
    assert from_pretrained(tmp_path / "models" / "vtm-0" / "model").model.match is not None


def test_rows_are_those_of_the_paper_in_its_order() -> None:
    assert list(ROWS)[:8] == ["no_tags", "object", "person", "motion", "scene", "speech", "vtm", "mlm"]
    assert ROWS["scene"]["modalities"] == ("object", "person", "motion", "scene")


def run_of(ranks: Sequence[int]) -> dict[str, object]:
    r1 = 100 * float(np.mean(np.array(ranks) < 2))
    return {"t2v_r1": r1, "t2v_ranks": list(ranks), "dual_t2v_ranks": list(ranks)}


def test_intervals_are_apart_when_they_are() -> None:
    bad, good = [5, 9, 1, 7] * 50, [1, 1, 1, 4] * 50
    apart = table_ablation._values({"no_tags": [run_of(bad)] * 2, "mlm": [run_of(good)] * 2}, [2] * 100)
    assert (apart["r1_full"], apart["r1_no_tags"], apart["ci_apart"]) == (75.0, 25.0, True)
    assert apart["gain"][0] == 50.0
    same = table_ablation._values({"no_tags": [run_of(bad)], "mlm": [run_of(bad)]}, [2] * 100)
    assert same["ci_apart"] is False


def test_videos_that_were_not_tagged_name_the_command(options: dict[str, str], tmp_path: Path) -> None:
    Catalog.open(tmp_path / "empty").close()
    with pytest.raises(ValueError, match=r"tagline tag .* --weights playhouse"):
        measure({**options, "library": str(tmp_path / "empty")})


def test_the_sizes_fit_the_clip_of_the_playhouse() -> None:
    eyes = playhouse_set.clip_towers({})
    folder = table_ablation.towers_folder({})
    config = table_ablation.base({}, eyes, folder)
    assert config.train.batch % config.train.share == 0
    assert config.model.architecture["text_cfg"]["width"] % config.model.heads == 0  # type: ignore[index]
    for changes in ROWS.values():
        table_ablation.varied(config, changes, 0)
    training = table_training.base({**table_training._as_options(table_training.SIZES)}, eyes, folder)
    assert training.train.share == table_training.SHARE
    Table.build(training.model, initial_weights(training.train.weights))

"""The papers' tables: what they print, what a run trains for them, and the page that it ends in."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from click.testing import CliRunner, Result
from table_fakes import TINY

from tagline.benchmarks.cli.bench import STUDIES as NAMED
from tagline.benchmarks.datasets.msrvtt import TEST_LIST, TRAIN_LIST
from tagline.benchmarks.papers import summary
from tagline.benchmarks.papers.published import heading, paper_table
from tagline.benchmarks.papers.studies import OURS, STUDIES, VARIANTS, plan_study
from tagline.retrieval.cli.main import cli
from tagline.tagging.ml.config import BadConfig

EVERY = [*(f"table-{n}" for n in range(1, 6)), *(f"op-tsg-{n}" for n in range(1, 9))]


# -- what was published --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", EVERY)
def test_a_printed_table_holds_together(key: str) -> None:
    table = paper_table(key)
    assert len({line.label for line in table.rows}) == len(table.rows)
    for line in table.rows:
        figures = dict(zip(table.columns, line.figures, strict=True))
        for way in ("t2v", "v2t"):
            recalls = [figures.get(f"{way}_r{k}") for k in (1, 5, 10)]
            known = [value for value in recalls if value is not None]
            assert known == sorted(known), line.label
        for part in ("full", "rare", "common"):  # macro F1 never exceeds the larger of macro P and R
            if figures.get(f"{part}_precision") is not None:
                limits = figures[f"{part}_precision"], figures[f"{part}_recall"]
                assert figures[f"{part}_f1"] <= max(limits), line.label  # type: ignore[type-var,operator]
    assert all(heading(column) for column in table.columns)


def test_figures_as_the_papers_say_them_in_their_texts() -> None:
    ours = {line.label: line.figures for line in paper_table("table-1").rows}
    assert ours["TABLE*"][0] == 52.3
    assert ours["TABLE*"][5] == 51.8
    assert ours["TABLE"][0] - ours["CAMoE"][0] == pytest.approx(2.5)  # type: ignore[operator]
    ablation = paper_table("table-5").rows
    assert [line.figures[0] for line in ablation] == [45.2, 45.6, 45.6, 46.2, 46.5, 46.8, 46.7, 47.1]
    parts = {line.label[0]: line.figures for line in paper_table("op-tsg-7").rows}
    assert parts["A"][1] - parts["B"][1] == pytest.approx(4.6)  # type: ignore[operator]
    assert parts["A"][1] - parts["C"][1] == pytest.approx(3.0)  # type: ignore[operator]


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_every_line_that_is_to_be_trained_has_a_configuration(name: str) -> None:
    whole = plan_study(name, {"tables": "all", "baselines": "yes"})
    wanted = {variant for table in STUDIES[name].tables for variant in table.variants()}
    assert {unit.variant for unit in whole.experiments} == wanted <= set(VARIANTS)
    usual = plan_study(name, {})
    assert {unit.variant for unit in usual.experiments} <= set(OURS)
    assert usual.seeds == (0, 1, 2)
    assert usual.whole


def test_the_front_door_and_the_studies_name_the_same_data_sets() -> None:
    assert set(NAMED) == set(STUDIES)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"epochs": "2"}, "has no option 'epochs'; it has seeds"),
        ({"tagger.epochs": "2"}, "has no option 'tagger.epochs'"),
        ({"table.epochz": "2"}, "did you mean 'epochs'"),
        ({"tables": "table-4"}, "has no table 'table-4'; it has table-1, table-5, or all"),
        ({"seeds": "one"}, "whole numbers"),
        ({"train": "-3"}, "number of videos"),
        ({"baselines": "maybe"}, "yes or no"),
        ({"table.preset": "vtt"}, "there is no preset"),
    ],
)
def test_an_order_that_cannot_be_is_refused_in_words(given: dict[str, str], why: str) -> None:
    with pytest.raises(BadConfig, match=re.escape(why)):
        plan_study("msrvtt", given)


# -- summing up ----------------------------------------------------------------------------------------


def unit(variant: str, seed: int, ranks: list[float]) -> dict[str, Any]:
    return {
        "model": "table",
        "variant": variant,
        "seed": seed,
        "figures": {"t2v_r1": 100 * float(np.mean(np.array(ranks) < 2))},
        "ranks": {"t2v": ranks},
        "of": [str(number) for number in range(len(ranks))],
        "videos": {"train": 9, "val": 1, "test": len(ranks)},
        "seconds": {"training": 1.0, "all": 2.0},
    }


def test_means_spreads_and_intervals_over_seeds() -> None:
    rng = np.random.default_rng(0)
    runs = [unit("table", seed, rng.integers(1, 4, 200).tolist()) for seed in range(3)]
    told = summary.summarise(runs)["table"]
    shares = [run["figures"]["t2v_r1"] for run in runs]
    assert told["mean"]["t2v_r1"] == pytest.approx(np.mean(shares))
    assert told["spread"]["t2v_r1"] == pytest.approx(np.std(shares, ddof=1))
    low, high = told["intervals"]["t2v_r1"]
    assert low < told["mean"]["t2v_r1"] < high
    assert high - low < 16, "three seeds on 200 queries each"


def test_lines_that_are_alike_do_not_differ_and_better_ones_do() -> None:
    rng = np.random.default_rng(1)
    good, bad = [1.0] * 80 + [9.0] * 20, [1.0] * 40 + [9.0] * 60
    rng.shuffle(bad)
    lines = [unit("table", 0, good), unit("meanp", 0, good), unit("no-tags", 0, bad)]
    alike, better = summary.comparisons(lines)
    assert (alike["variant"], alike["value"], alike["p"]) == ("meanp", 0.0, 1.0)
    assert better["value"] == pytest.approx(40)
    assert better["low"] > 0
    assert better["p"] < 0.01


def test_taggers_are_compared_video_by_video() -> None:
    truth = [["dog", "beach"], ["cat"], ["sea", "dog"]] * 20
    perfect = [[(tag, 1.0) for tag in tags] for tags in truth]
    half = [said if number % 2 else [] for number, said in enumerate(perfect)]
    common = {"model": "tagger", "seed": 0, "truth": truth, "videos": {"train": 1, "val": 1, "test": 60}}
    lines = [
        {**common, "variant": "op-tsg", "said": perfect},
        {**common, "variant": "bin", "said": half},
        {**common, "variant": "asl", "said": perfect},
    ]
    other, same = summary.comparisons(lines)
    assert other["value"] == pytest.approx(50)
    assert other["low"] > 30
    assert other["p"] < 0.01
    assert (same["value"], same["p"]) == (0.0, 1.0)


# -- from a prepared library to the page ---------------------------------------------------------------

WORDS = ("dog", "cat", "horse", "bird", "fish", "bear")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MSR-VTT in its formats, of twelve stand-ins for videos, four of them to test with."""
    home = tmp_path_factory.mktemp("vtt")
    videos, sentences = [], []
    for number in range(12):
        key, word = f"video{number}", WORDS[number % len(WORDS)]
        fakes.write_video(home / "videos" / f"{key}.mp4", tags={"object": [word]}, salt=number)
        split = "test" if number >= 8 else "train"
        videos.append({"video_id": key, "id": number, "category": 0, "split": split, "start time": 0})
        sentences += [{"video_id": key, "caption": f"a {word} {n} of {number}"} for n in range(3)]
    annotations = home / "annotations"
    annotations.mkdir()
    content = {"videos": videos, "sentences": sentences}
    (annotations / "MSRVTT_data.json").write_text(json.dumps(content))
    asked = [("ret", "msr", f"video{n}", f"a {WORDS[n % len(WORDS)]} 0 of {n}") for n in range(8, 12)]
    table(annotations / TEST_LIST, ("key", "vid_key", "video_id", "sentence"), asked)
    table(annotations / TRAIN_LIST["1k-A"], ("video_id",), [(f"video{n}",) for n in range(8)])
    done = CliRunner().invoke(
        cli,
        ["bench", "prepare", "msrvtt", "--annotations", str(annotations), "--videos", str(home / "videos")],
    )
    assert done.exit_code == 0, done.output
    return home / "videos"


def table(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


SMALL = {
    "seeds": "0,1",
    "baselines": "yes",
    "table.architecture": json.dumps(TINY),
    "table.weights": "null",
    "table.modalities": "object",
    "table.frames": "2",
    "table.text_length": "8",
    "table.tag_length": "6",
    "table.layers": "2",
    "table.heads": "2",
    "table.batch": "4",
    "table.epochs": "1",
    "table.validation": "0.25",
}


def bench(*words: str) -> Result:
    return CliRunner().invoke(cli, ["bench", *words])


def test_a_run_ends_in_a_page_and_the_next_one_finds_all_done(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tagline.table.train

    fakes.use_fakes(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(prepared.parent / "cache"))
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    first = bench("run", "msrvtt", "--library", str(prepared), *settings)
    assert first.exit_code == 0, first.output
    page = Path(first.stdout.splitlines()[-1])
    folder = page.parent
    record = json.loads((folder / "results.json").read_text())
    assert record["seeds"] == [0, 1]
    assert record["commit"]
    assert record["configuration"]["units"]["table"]["train"]["epochs"] == 1
    assert record["details"]["tagged_by"]["object"] == 12, "the experts looked"
    assert not list(folder.rglob("checkpoints")), "only the models stay"

    text = page.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    ours = next(i for i, row in enumerate(rows) if row.startswith("| **TABLE, here**"))
    assert rows[ours - 1].startswith("| TABLE, paper | 47.1 |")
    assert re.search(r"\*\*\d+\.\d ± \d+\.\d\*\*", rows[ours])
    assert "counts of the annotations are not the published ones" in text
    assert "2 seeds only, not three" in text
    for picture in re.findall(r"\]\((.*?\.png)\)", text):
        assert (folder / picture).stat().st_size > 5000

    shown = bench("show", "msrvtt", "--library", str(prepared))
    assert shown.output.startswith(text)

    monkeypatch.setattr(tagline.table.train, "train", None)  # nothing is trained again
    again = bench("run", "msrvtt", "--library", str(prepared), *settings)
    assert again.exit_code == 0, again.output
    assert json.loads((folder / "results.json").read_text())["values"] == record["values"]


def test_what_is_missing_is_said(prepared: Path, tmp_path: Path) -> None:
    fakes.library(tmp_path, {"a.mp4": {}})
    answer = bench("run", "msvd", "--library", str(tmp_path))
    assert answer.exit_code == 1
    assert "holds no msvd; run `tagline bench prepare msvd" in answer.output
    assert bench("run", "startup", "--library", str(tmp_path)).exit_code == 2
    assert bench("show", "msvd", "--library", str(tmp_path)).exit_code == 4

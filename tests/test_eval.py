"""`tagline eval`: questions with known answers, every way of searching, and no worse model by accident."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from click.testing import CliRunner, Result
from sentences import assert_a_sentence
from table_fakes import tiny

from tagline.retrieval import evaluate
from tagline.retrieval.cli.main import cli
from tagline.table.config import TableConfig, TableTrainConfig
from tagline.table.ranking import metrics
from tagline.tagging.catalog.records import Caption
from tagline.tagging.catalog.write import Catalog

THINGS = ("dog", "cat", "horse", "bird", "fish", "bear", "train", "boat")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Eight videos that each show one thing, as the experts and a caption say."""
    made = fakes.library(
        tmp_path, {f"{n}.mp4": {"tags": {"object": [thing]}} for n, thing in enumerate(THINGS)}
    )
    for n, thing in enumerate(THINGS):
        video = made.find(f"{n}.mp4")
        assert video is not None
        made.put_captions(video.id, [Caption(f"somebody films a {thing}")])
    return made


def ask(catalog: Catalog, *words: str) -> Result:
    assert catalog.root is not None
    return CliRunner().invoke(cli, ["eval", *words, "--library", str(catalog.root)])


def test_questions_of_a_csv_and_search_by_words(catalog: Catalog, tmp_path: Path) -> None:
    listed = tmp_path / "asked.csv"
    listed.write_text("query,video\na dog,0.mp4\nthe cat,1.mp4\na submarine,2.mp4\n", encoding="utf-8")
    answer = ask(catalog, "--queries", str(listed), "--json")
    assert answer.exit_code == 0, answer.output
    [row] = json.loads(answer.stdout)
    assert (row["system"], row["queries"], row["videos"]) == ("words", 3, 8)
    # Two are found first; nothing says submarine, so its video shares all eight places.
    assert row["R@1"] == pytest.approx(66.7)
    assert row["R@5"] == 100.0, "the middle of eight places is 4.5"


def test_questions_are_written_from_captions_and_tests_go_first(catalog: Catalog) -> None:
    assert evaluate.queries_of_library(catalog).origin == "8 captions"
    video = catalog.find("3.mp4")
    assert video is not None
    catalog.put_captions(video.id, [Caption("up in the air", split="test")])
    found = evaluate.queries_of_library(catalog)
    assert (found.texts, found.videos) == (("up in the air",), (video.id,))
    assert found.origin == "1 captions of the split test"


def test_what_training_kept_back_is_asked_and_nothing_that_it_learnt(catalog: Catalog) -> None:
    from tagline.table.config import TagChoice
    from tagline.table.rows import rows, split_validation

    run = TableConfig(tiny(), TableTrainConfig(weights=None, validation=0.25, seed=3))
    learnt, kept = split_validation(rows(catalog, TagChoice(()), "train"), 0.25, 1000, 3)
    found = evaluate.queries_of_library(catalog, run)
    assert set(found.texts) == {row.texts[0] for row in kept}
    assert not set(found.texts) & {text for row in learnt for text in row.texts}
    assert "chose the model's checkpoint" in found.notes[0]


def test_without_captions_people_s_tags_ask_and_search_by_words_is_left_out(tmp_path: Path) -> None:
    catalog = fakes.library(tmp_path, {"a.mp4": {}, "b.mp4": {"salt": 1}})
    answer = ask(catalog)
    assert answer.exit_code == 1
    assert "neither captions nor tags of people" in answer.output
    for name, tag in (("a.mp4", "holiday"), ("b.mp4", "work")):
        video = catalog.find(name)
        assert video is not None
        catalog.decide.add(video.id, tag)
    found = evaluate.queries_of_library(catalog)
    assert found.texts == ("holiday", "work")
    assert not found.by_words


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "needs the columns"),
        ("text,video\na,b\n", "needs the columns"),
        ("query,video\na,z\n", "no video"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_in_words(
    catalog: Catalog, tmp_path: Path, content: str, why: str
) -> None:
    listed = tmp_path / "asked.csv"
    listed.write_text(content, encoding="utf-8")
    answer = ask(catalog, "--queries", str(listed))
    assert answer.exit_code in (1, 4)
    assert why in answer.output


def result(**ways: list[float]) -> evaluate.SearchEvaluation:
    names = {"in_use": evaluate.IN_USE, "before": evaluate.UNTRAINED, "after": evaluate.TRAINED}
    made = [
        evaluate.SearchSystem(names[name], metrics(np.array(places)), np.array(places))
        for name, places in ways.items()
    ]
    return evaluate.SearchEvaluation(evaluate.EvalQueries(("x",) * 4, (1, 2, 3, 4), "x"), tuple(made), 4)


def test_a_worse_model_does_not_take_the_place_of_a_better_one() -> None:
    good, bad = [1.0, 1.0, 2.0, 3.0], [20.0, 1.0, 30.0, 40.0]
    assert evaluate.may_replace(result(in_use=bad, after=good))[0]
    assert evaluate.may_replace(result(in_use=good, after=good))[0]
    refused, why = evaluate.may_replace(result(before=bad, in_use=good, after=bad))
    assert not refused
    assert "those of the model in use to 250.0" in why
    assert not evaluate.may_replace(result(before=good, after=bad))[0]
    found = result(in_use=bad, after=good).difference(evaluate.IN_USE, evaluate.TRAINED)
    assert found is not None
    assert found.value == pytest.approx(25.0)


@pytest.fixture
def trained(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of this library, hardly trained."""
    from tagline.table.train import load_training_data, train

    fakes.use_fakes(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = TableTrainConfig(weights=None, epochs=1, batch=4, validation=0.25, bf16=False)
    model = replace(tiny(text_length=10, tag_length=8), tags=replace(tiny().tags, modalities=("object",)))
    config = TableConfig(model, settings)
    data = load_training_data(catalog, config, say=lambda _: None)
    return train(config, data, tmp_path / "run", report=(), device="cpu", say=lambda _: None).folder.parent


def test_a_model_before_and_after_training_and_then_in_use(
    catalog: Catalog, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[dict[str, Any]] = json.loads(ask(catalog, str(trained), "--json").stdout)
    assert [row["system"] for row in listed] == ["words", "before training", "after training"]
    assert {(row["queries"], row["videos"]) for row in listed} == {(2, 8)}

    monkeypatch.setattr(evaluate, "may_replace", lambda result: (False, "it is worse"))
    refused = ask(catalog, str(trained), "--use")
    assert refused.exit_code == 1
    assert "not put to use: it is worse; with --force" in refused.output
    assert "in use" not in [row["system"] for row in json.loads(ask(catalog, "--json").stdout)]

    forced = ask(catalog, str(trained), "--use", "--force")
    assert forced.exit_code == 0, forced.output
    after = {row["system"]: row for row in json.loads(ask(catalog, "--json").stdout)}
    assert set(after) == {"words", "search", "in use"}
    assert after["in use"]["queries"] == 8, "all captions: nothing is known of what was learnt"


def test_mistakes_are_usage_errors(catalog: Catalog, tmp_path: Path) -> None:
    assert ask(catalog, "--use").exit_code == 2
    assert ask(catalog, str(tmp_path), "--force").exit_code == 2
    assert_a_sentence(ask(catalog, str(tmp_path)), 1, "config.json cannot be read")

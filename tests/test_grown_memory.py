"""A memory that grows: what people said today is said of similar videos, and nothing is trained for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tagger_world
from shaking import shaken

from tagline.benchmarks.quality import memory_growth, taggers
from tagline.benchmarks.quality.taggers import Figures, TaggerData
from tagline.tagging.generator import predict
from tagline.tagging.ml.data import Example
from tagline.tagging.ml.text_embedding import CharacterNgrams
from tagline.tagging.neighbours.views import ViewEncoder

RAG = {"retrieved": 4, "neighbours": 3}
PLACES = ("rome", "paris", "oslo")
NEW = "eternal city"


def filmed(name: str, place: str, day: str, tags: Sequence[str]) -> Example:
    """Frames and title show the place and the day, so that videos of both in common are nearest by far."""
    seen = np.zeros((3, tagger_world.WIDTH), np.float32)
    seen[:, PLACES.index(place)] = 1.0
    seen[:, len(PLACES) + (day == "today")] = 1.0
    return Example(f"/videos/{name}.mp4", name, f"{day} in {place}", tuple(tags), shaken(seen))


def rows() -> TaggerData:
    """Ten videos of each place on both days; from today on people call rome "eternal city".

    Half of yesterday's videos are of a walk, and so is all that the threshold is chosen on: what half of
    the neighbours say is enough there, and what all of them say is far above it.
    """
    yesterday = [
        filmed(f"y{place}{n}", place, "yesterday", (place, "walk")[: 1 + n % 2])
        for place in PLACES
        for n in range(10)
    ]
    today = [
        filmed(f"t{place}{n}", place, "today", (place, NEW) if place == "rome" else (place,))
        for place in PLACES
        for n in range(10)
    ]
    chosen = [filmed(f"v{n}", PLACES[n % 3], "yesterday", (PLACES[n % 3], "walk")) for n in range(9)]
    asked = [filmed(f"a{n}", "rome", "today", ("rome", NEW)) for n in range(6)]
    return TaggerData([*yesterday, *today], chosen, asked)


def test_a_tag_of_today_is_said_by_a_memory_of_today_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tagger is trained, and then stood in for by one that says what its memory tells it."""
    monkeypatch.setattr("tagline.benchmarks.registry.cache.cache_home", lambda: tmp_path)
    told: list[tuple[list[list[str]], set[str]]] = []

    def gain(said: list[list[str]], known: set[str]) -> Figures:
        told.append((said, known))
        return {"gain_novel": sum(NEW in tags for tags in said) / len(said)}

    write = predict.predict_all

    def obey(model: predict.Model, make: Any, examples: Sequence[Example], **options: Any) -> Any:
        assert len(write(model, make, examples, **options)) == len(examples)
        return make.retriever.retrieve(examples)

    monkeypatch.setattr(predict, "predict_all", obey)
    config = taggers.varied(tagger_world.config({"frames": 3}, epochs=1), RAG, 0)
    data, viewer = rows(), ViewEncoder(CharacterNgrams())
    found, runs = memory_growth.growth_table(data, viewer, config, [0], gain)
    assert len(told) == 4
    assert all(NEW not in known and "rome" in known for _, known in told)
    for row in ("neighbours", "rag"):
        assert found[f"yesterday_{row}_gain_novel"] == 0.0
        assert found[f"grown_{row}_gain_novel"] == 1.0
        assert found[f"grown_{row}_full_recall"] > found[f"yesterday_{row}_full_recall"]
        assert {f"yesterday_{row}_rare_f1", f"grown_{row}_rare_f1"} <= set(found)
    monkeypatch.setattr(memory_growth, "run", lambda *_: pytest.fail("made again"))
    assert memory_growth.growth_table(data, viewer, config, [0], gain) == (found, runs)

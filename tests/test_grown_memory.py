"""A memory that grows: what people said today is said of similar videos, and nothing is trained for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tagger_world

from benchmarks import grown_memory, taggers
from benchmarks.taggers import Figures, Rows
from tagging.generator.language import Letters
from tagging.neighbours.views import Viewer

RAG = {"retrieved": 4, "neighbours": 3}


def rows() -> Rows:
    """From the middle of the training videos on, people call rome "eternal city"."""
    found = tagger_world.world(60)
    late = [replace(one, tags=(*one.tags, "eternal city")) if "rome" in one.tags else one for one in found]
    return Rows([*found[:20], *late[20:40]], late[40:48], late[48:])


def test_a_tag_of_today_is_said_by_a_memory_of_today_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.kept.cache_home", lambda: tmp_path)
    told: list[tuple[list[list[str]], set[str]]] = []

    def gain(said: list[list[str]], known: set[str]) -> Figures:
        told.append((said, known))
        return {"gain_novel": sum("eternal city" in tags for tags in said) / len(said)}

    config = taggers.varied(tagger_world.config(), RAG, 0)
    data, viewer = rows(), Viewer(Letters())
    found, runs = grown_memory.table(data, viewer, config, [0], gain)
    assert all("eternal city" not in known for _, known in told)
    assert found["yesterday_neighbours_gain_novel"] == 0.0
    assert found["grown_neighbours_gain_novel"] > 0.0
    assert found["grown_neighbours_full_recall"] > found["yesterday_neighbours_full_recall"]
    assert {"yesterday_rag_rare_f1", "grown_rag_rare_f1", "grown_rag_gain_novel"} <= set(found)
    monkeypatch.setattr(grown_memory, "run", lambda *_: pytest.fail("made again"))
    assert grown_memory.table(data, viewer, config, [0], gain) == (found, runs)

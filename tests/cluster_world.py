"""A run on a cluster without Ray: the same stages, one after another in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tagline.tagging.pipeline.settings import Settings
from tagline.tagging.ray import run, sources
from tagline.tagging.ray.shards import ShardStore
from tagline.tagging.ray.stages import (
    DoneInShards,
    ExpertStage,
    ReadStage,
    RunSpec,
    SourceResult,
    WriteStage,
    pack,
    unpack,
)

NAMES = ("object", "scene", "speech", "screen")


def order(names: Sequence[str] = NAMES, settings: Settings | None = None, retry: bool = False) -> RunSpec:
    chosen = settings or Settings(expert_names=tuple(names))
    return run.run_spec(chosen, chosen.panel(names)[0], names, retry=retry)


def walk_through(
    found: Sequence[sources.VideoSource],
    out: Path,
    how: RunSpec,
    *,
    batch: int = 3,
    known: DoneInShards | None = None,
) -> list[SourceResult]:
    """What job.run does, stage by stage."""
    shelf = ShardStore(str(out))
    shelf.create()
    before = known if known is not None else run.read_done(shelf)[0]
    read = ReadStage(how, before)
    lookers = [ExpertStage(how, name, batch, how.names[i + 1 :]) for i, name in enumerate(how.names)]
    lines: list[SourceResult] = []
    left = run.to_do(found, before, how)
    for start in range(0, len(left), batch):
        table = read(pack(left[start : start + batch]))
        for looker in lookers:
            table = looker(table)
        lines += unpack(WriteStage(str(out))(table))
    return lines

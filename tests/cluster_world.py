"""A run on a cluster without Ray: the same stages, one after another in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tagline.tagging.cluster import job, sources
from tagline.tagging.cluster.shards import Shelf
from tagline.tagging.cluster.stages import Known, Line, Looking, Order, Reading, Writing, pack, unpack
from tagline.tagging.settings import Settings

NAMES = ("object", "scene", "speech", "screen")


def order(names: Sequence[str] = NAMES, settings: Settings | None = None, retry: bool = False) -> Order:
    chosen = settings or Settings(names=tuple(names))
    return job.order_of(chosen, chosen.panel(names)[0], names, retry=retry)


def walk_through(
    found: Sequence[sources.Source], out: Path, how: Order, *, batch: int = 3, known: Known | None = None
) -> list[Line]:
    """What job.run does, stage by stage."""
    shelf = Shelf(str(out))
    shelf.claim()
    before = known if known is not None else job.known(shelf)[0]
    read = Reading(how, before)
    lookers = [Looking(how, name, batch, how.names[i + 1 :]) for i, name in enumerate(how.names)]
    lines: list[Line] = []
    left = job.to_do(found, before, how)
    for start in range(0, len(left), batch):
        table = read(pack(left[start : start + batch]))
        for looker in lookers:
            table = looker(table)
        lines += unpack(Writing(str(out))(table))
    return lines

"""A study from a prepared library to a folder of results: tag, train, test, write down, draw.

Everything that was done is found again by the next run: tags in the catalog, units in their folders.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagline.benchmarks import records
from tagline.benchmarks.papers.studies import Order, order
from tagline.experts.stock.digest import write_whole
from tagline.tagging.configuring import BadConfig, as_dict

if TYPE_CHECKING:
    from tagline.tagging.catalog import Catalog

Say = Callable[[str], None]
RESULTS, PAGE = "results.json", "results.md"


@dataclass(frozen=True, slots=True)
class Result:
    """What a run leaves."""

    folder: Path
    record: dict[str, Any]

    @property
    def page(self) -> Path:
        return self.folder / PAGE


def home_of(catalog: Catalog, name: str) -> Path:
    """Where the results of a study go: beside the catalog."""
    assert catalog.file is not None
    return catalog.file.parent / "results" / name


def run(
    name: str,
    library: str | os.PathLike[str] | None,
    given: Mapping[str, str],
    out: Path | None = None,
    say: Say = print,
) -> Result:
    """Make the tables of a study on the prepared library. Raises BadConfig, CatalogError, WeightsMissing."""
    from tagline.benchmarks.papers import pages, plots, units
    from tagline.tagging import places
    from tagline.tagging.catalog import Catalog

    wanted = order(name, given)
    with Catalog.open(places.find(library=library), create=False) as catalog:
        _prepared(catalog, name)
    if wanted.tag:
        _look(wanted, library, say)
    with Catalog.open(places.find(library=library), create=False) as catalog:
        folder = out or home_of(catalog, name)
        found: list[dict[str, Any]] = []
        count = len(wanted.units) * len(wanted.seeds)
        for unit in wanted.units:
            for seed in wanted.seeds:
                say(f"{len(found) + 1} of {count}: {unit.variant}, seed {seed}")
                found.append(units.done(catalog, unit, seed, wanted, folder / "runs", say))
        record = _record(catalog, wanted, found)
    folder.mkdir(parents=True, exist_ok=True)
    record["plots"] = plots.draw(record, found, folder)
    write_whole(folder / RESULTS, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    write_whole(folder / PAGE, pages.page(record))
    return Result(folder, record)


def _prepared(catalog: Catalog, name: str) -> dict[str, Any]:
    """What `tagline bench prepare` wrote down of this data set."""
    told = catalog.meta(f"prepared {name}")
    if told is None:
        raise BadConfig(
            f"{catalog.name} holds no {name}; "
            f"run `tagline bench prepare {name} --annotations DIR --videos DIR`"
        )
    found: dict[str, Any] = json.loads(told)
    return found


# -- tagging -------------------------------------------------------------------------------------------


def _look(wanted: Order, library: str | os.PathLike[str] | None, say: Say) -> None:
    """Let the experts look whose tags any of the units reads, by the command that a user would type."""
    from tagline.tagging.commands import tag

    names = _experts(wanted)
    if not names:
        return
    places_of, where = _videos(wanted, library)
    say(f"tagging with {', '.join(names)}")
    arguments = [*places_of, "--library", where, "--only", ",".join(names)]
    if wanted.weights:
        arguments += ["--weights", wanted.weights]
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for the result
        code = tag.main(arguments, "tagline tag", standalone_mode=False)
    if code == 130:
        raise click.Abort
    if code not in (0, 3, None):
        raise BadConfig("tagging did not come to its end; with --set tag=no the tags are used as they are")


def _experts(wanted: Order) -> list[str]:
    """The modalities that the units read; each is the name of the expert whose tags they are."""
    read = {m for unit in wanted.units if unit.model == "table" for m in unit.config.model.tags.modalities}
    return sorted(read - {"human", "title", "generated"})


def _videos(wanted: Order, library: str | os.PathLike[str] | None) -> tuple[list[str], str]:
    """The files to look at: the folder that holds all, or those alone that a smaller run uses."""
    from tagline.table.batches import rows, some
    from tagline.table.config import TagChoice
    from tagline.tagging import places
    from tagline.tagging.catalog import Catalog

    home = places.find(library=library)
    with Catalog.open(home, create=False) as catalog:
        files = [path for _, path, gone in catalog.places() if not gone]
        if not files:
            raise BadConfig(f"{catalog.name} names no file that is there; prepare the data set again")
        if wanted.train is None and wanted.test is None:
            return [os.path.commonpath([str(Path(path).parent) for path in files])], str(home.root)
        sizes = {"train": wanted.train, "val": None, "test": wanted.test}
        chosen = [
            row for split, most in sizes.items() for row in some(rows(catalog, TagChoice(), split), most)
        ]
    return [row.name for row in chosen], str(home.root)


# -- what is written down ------------------------------------------------------------------------------


def _record(catalog: Catalog, wanted: Order, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Like the record of a measurement, with the tables and what they were made of in its details."""
    from tagline.benchmarks.papers.summary import comparisons, summarise

    summary = summarise(found)
    prepared = _prepared(catalog, wanted.study.name)
    left_out = sorted({tuple(one) for unit in found for one in unit["left_out"]})
    return {
        "name": wanted.study.name,
        "kind": "study",
        "values": {f"{v}_{k}": round(x, 3) for v, told in summary.items() for k, x in told["mean"].items()},
        "configuration": {
            "options": dict(wanted.given),
            "tables": [table.key for table in wanted.tables],
            "units": {unit.variant: as_dict(unit.config) for unit in wanted.units},
        },
        "seeds": list(wanted.seeds),
        "commit": records.commit(),
        "hardware": records.hardware(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "details": {
            "summary": summary,
            "comparisons": comparisons(found),
            "prepared": prepared,
            "tagged_by": _tagged_by(catalog),
            "left_out": left_out,
            "notes": _notes(wanted, prepared, catalog, left_out),
            "units": [{k: unit[k] for k in ("variant", "seed", "folder", "seconds")} for unit in found],
        },
    }


def _tagged_by(catalog: Catalog) -> dict[str, int]:
    """How many videos each expert has looked at."""
    counts: dict[str, int] = {}
    for video in catalog.videos():
        for expert in catalog.done(video.id):
            counts[expert] = counts.get(expert, 0) + 1
    return dict(sorted(counts.items()))


def _notes(
    wanted: Order, prepared: Mapping[str, Any], catalog: Catalog, left_out: list[tuple[str, ...]]
) -> list[str]:
    """What keeps these figures from standing beside the papers'; in sentences."""
    notes = [wanted.study.note] if wanted.study.note else []
    counts = prepared.get("counts", [])
    other = [
        c["what"]
        for c in counts
        if c["expected"] is not None
        and (c["found"] is None or round(c["found"] / c["to"]) * c["to"] != c["expected"])
    ]
    if other:
        notes.append(
            f"{len(other)} counts of the annotations are not the published ones "
            f"({', '.join(other[:3])}, ...): this is not the published data set, or not all of it."
        )
    if prepared.get("missing"):
        notes.append(f"{prepared['missing']} of {prepared['videos']} videos had no file.")
    if wanted.given and not wanted.whole:
        said = ", ".join(f"{key}={value}" for key, value in wanted.given.items())
        notes.append(f"The run was changed or made smaller by options: {said}.")
    if len(wanted.seeds) < 3:
        notes.append(f"{len(wanted.seeds)} seed{'s' * (len(wanted.seeds) > 1)} only, not three.")
    absent = [name for name in _experts(wanted) if name not in _tagged_by(catalog)]
    if absent:
        notes.append(f"No video was looked at by: {', '.join(absent)}.")
    if left_out:
        notes.append(f"{len(left_out)} videos could not be read and were left out.")
    return notes

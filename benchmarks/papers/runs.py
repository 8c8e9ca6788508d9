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

from tagline.benchmarks.papers.studies import StudyPlan, plan_study
from tagline.benchmarks.registry import record as records
from tagline.experts.storage import write_atomic
from tagline.tagging.ml.config import BadConfig, as_dict

if TYPE_CHECKING:
    from tagline.tagging.catalog.write import Catalog

Say = Callable[[str], None]
RESULTS, PAGE = "results.json", "results.md"


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What a run leaves."""

    folder: Path
    record: dict[str, Any]

    @property
    def page(self) -> Path:
        return self.folder / PAGE


def results_folder_of(catalog: Catalog, name: str) -> Path:
    """Where the results of a study go: beside the catalog."""
    assert catalog.file is not None
    return catalog.file.parent / "results" / name


def run_study(
    name: str,
    library: str | os.PathLike[str] | None,
    given: Mapping[str, str],
    out: Path | None = None,
    say: Say = print,
) -> StudyResult:
    """Make the tables of a study on the prepared library. Raises BadConfig, CatalogError, WeightsMissing."""
    from tagline.benchmarks.papers import experiments, pages, plots
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.write import Catalog

    plan = plan_study(name, given)
    with Catalog.open(location.find_catalog_home(library=library), create=False) as catalog:
        _prepared(catalog, name)
    if plan.tag:
        _tag_videos(plan, library, say)
    with Catalog.open(location.find_catalog_home(library=library), create=False) as catalog:
        folder = out or results_folder_of(catalog, name)
        found: list[dict[str, Any]] = []
        count = len(plan.experiments) * len(plan.seeds)
        for experiment in plan.experiments:
            for seed in plan.seeds:
                say(f"{len(found) + 1} of {count}: {experiment.variant}, seed {seed}")
                found.append(
                    experiments.run_experiment(catalog, experiment, seed, plan, folder / "runs", say)
                )
        record = _record(catalog, plan, found)
    folder.mkdir(parents=True, exist_ok=True)
    record["plots"] = plots.draw(record, found, folder)
    write_atomic(folder / RESULTS, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    write_atomic(folder / PAGE, pages.page(record))
    return StudyResult(folder, record)


def _prepared(catalog: Catalog, name: str) -> dict[str, Any]:
    """What `tagline bench prepare` wrote down of this data set."""
    stored = catalog.meta(f"prepared {name}")
    if stored is None:
        raise BadConfig(
            f"{catalog.name} holds no {name}; "
            f"run `tagline bench prepare {name} --annotations DIR --videos DIR`"
        )
    found: dict[str, Any] = json.loads(stored)
    return found


# -- tagging -------------------------------------------------------------------------------------------


def _tag_videos(plan: StudyPlan, library: str | os.PathLike[str] | None, say: Say) -> None:
    """Let the experts look whose tags any of the units reads, by the command that a user would type."""
    from tagline.tagging.cli.tag import tag

    names = _experts(plan)
    if not names:
        return
    places_of, where = _videos(plan, library)
    say(f"tagging with {', '.join(names)}")
    arguments = [*places_of, "--library", where, "--only", ",".join(names)]
    if plan.weights:
        arguments += ["--weights", plan.weights]
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for the result
        code = tag.main(arguments, "tagline tag", standalone_mode=False)
    if code == 130:
        raise click.Abort
    if code not in (0, 3, None):
        raise BadConfig("tagging did not come to its end; with --set tag=no the tags are used as they are")


def _experts(plan: StudyPlan) -> list[str]:
    """The modalities that the units read; each is the name of the expert whose tags they are."""
    read = {
        m
        for experiment in plan.experiments
        if experiment.model == "table"
        for m in experiment.config.model.tags.modalities
    }
    return sorted(read - {"human", "title", "generated"})


def _videos(plan: StudyPlan, library: str | os.PathLike[str] | None) -> tuple[list[str], str]:
    """The files to look at: the folder that holds all, or those alone that a smaller run uses."""
    from tagline.table.config import TagChoice
    from tagline.table.rows import rows
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ml.splits import subset

    home = location.find_catalog_home(library=library)
    with Catalog.open(home, create=False) as catalog:
        files = [path for _, path, gone in catalog.places() if not gone]
        if not files:
            raise BadConfig(f"{catalog.name} names no file that is there; prepare the data set again")
        if plan.train is None and plan.test is None:
            return [os.path.commonpath([str(Path(path).parent) for path in files])], str(home.root)
        sizes = {"train": plan.train, "val": None, "test": plan.test}
        chosen = [
            row for split, most in sizes.items() for row in subset(rows(catalog, TagChoice(), split), most)
        ]
    return [row.name for row in chosen], str(home.root)


# -- what is written down ------------------------------------------------------------------------------


def _record(catalog: Catalog, plan: StudyPlan, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Like the record of a measurement, with the tables and what they were made of in its details."""
    from tagline.benchmarks.papers.summary import comparisons, summarise

    summary = summarise(found)
    prepared = _prepared(catalog, plan.study.name)
    left_out = sorted({tuple(one) for experiment in found for one in experiment["left_out"]})
    return {
        "name": plan.study.name,
        "kind": "study",
        "values": {
            f"{v}_{k}": round(x, 3)
            for v, summary_of in summary.items()
            for k, x in summary_of["mean"].items()
        },
        "configuration": {
            "options": dict(plan.given),
            "tables": [table.key for table in plan.tables],
            "units": {unit.variant: as_dict(unit.config) for unit in plan.experiments},
        },
        "seeds": list(plan.seeds),
        "commit": records.commit(),
        "hardware": records.hardware(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "details": {
            "summary": summary,
            "comparisons": comparisons(found),
            "prepared": prepared,
            "tagged_by": _tagged_by(catalog),
            "left_out": left_out,
            "notes": _notes(plan, prepared, catalog, left_out),
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
    plan: StudyPlan, prepared: Mapping[str, Any], catalog: Catalog, left_out: list[tuple[str, ...]]
) -> list[str]:
    """What keeps these figures from standing beside the papers'; in sentences."""
    notes = [plan.study.note] if plan.study.note else []
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
    if plan.given and not plan.whole:
        options = ", ".join(f"{key}={value}" for key, value in plan.given.items())
        notes.append(f"The run was changed or made smaller by options: {options}.")
    if len(plan.seeds) < 3:
        notes.append(f"{len(plan.seeds)} seed{'s' * (len(plan.seeds) > 1)} only, not three.")
    absent = [name for name in _experts(plan) if name not in _tagged_by(catalog)]
    if absent:
        notes.append(f"No video was looked at by: {', '.join(absent)}.")
    if left_out:
        notes.append(f"{len(left_out)} videos could not be read and were left out.")
    return notes

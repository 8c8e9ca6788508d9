"""Who said a tag, by which weights, and what each expert looks for: in reports, on the page, in exports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pages
import pytest
from click.testing import CliRunner
from filming import Film, shoot
from looks import FACTS

from tagline.experts.base import build_expert, weights_of
from tagline.experts.footage import Coverage, Footage
from tagline.experts.panel import Panel
from tagline.experts.tags import Modality, Report, Sighting, Tag
from tagline.retrieval.cli.main import cli
from tagline.tagging.catalog.records import Look
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.formats import FORMATS
from tagline.tagging.formats.export import export
from tagline.tagging.formats.sheet import ImportedVideo
from tagline.tagging.pipeline.coverage import coverage_gaps
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run

WEIGHTS = "great-eye 0123456789ab"


class Eye(pages.Looker):
    """Says a thing and a place, each once, and that there was more than it could look at."""

    name = "eye"
    also: ClassVar[tuple[Modality, ...]] = (Modality.SCENE,)

    def weights_used(self) -> list[str]:
        return [WEIGHTS]

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        tags = [
            Tag("dog", Modality.OBJECT, 0.9, 0.0, 1.0, self.name),
            Tag("beach", Modality.SCENE, 0.8, 0.0, 1.0, self.name),
        ]
        seen = [Sighting("beach", 0.8, 0.0, (0.0, 0.0, 0.5, 0.5))]
        return [Report(list(tags), seen, notes=["looked at one half"]) for _ in batch]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    monkeypatch.delenv("TAGLINE_LIBRARY", raising=False)
    shoot(tmp_path / "walk", Film(count=25))
    with Catalog.open(tmp_path) as catalog:
        run(plan(catalog, [tmp_path], [Eye()]), Panel([Eye()], jobs=1))
        (video,) = catalog.videos()
        catalog.decide.add(video.id, "summer")
        yield catalog


def test_show_says_of_each_tag_by_which_weights_and_what_an_expert_looks_for(catalog: Catalog) -> None:
    answer = CliRunner().invoke(cli, ["show", "walk", "--library", str(catalog.root), "--json"])
    shown = json.loads(answer.output)
    assert {tag["text"]: tag["weights"] for tag in shown["tags"]} == {
        "dog": [WEIGHTS],
        "beach": [WEIGHTS],
        "summer": [],
    }
    (eye,) = shown["experts"]
    assert (eye["modalities"], eye["weights"]) == (["object", "scene"], [WEIGHTS])
    (gap,) = [gap for gap in shown["not_looked_at"] if gap["expert"] == "eye"]
    assert (gap["reason"], gap["modalities"]) == ("looked at one half", ["object", "scene"])
    text = CliRunner().invoke(cli, ["show", "walk", "--library", str(catalog.root)]).output
    assert "eye (object, scene): looked at one half" in text


def test_coverage_names_all_senses_of_those_that_never_looked(catalog: Catalog) -> None:
    (video,) = catalog.videos()
    who = {gap.expert: gap.who for gap in coverage_gaps(catalog, video)}
    assert who["things"] == "things (object, scene)"
    assert who["sound"] == "sound"
    assert who["screen"] == "screen"


def test_what_the_file_withheld_is_said_once_and_not_of_each_expert(tmp_path: Path) -> None:
    place = pages.place(shoot(tmp_path / "mute", Film(count=5)))
    looks = [
        Look(name, Modality.OBJECT, "1", "f" * 64, Report(notes=["half"]), coverage=Coverage(2, 1, "absent"))
        for name in ("object", "things")
    ]
    with Catalog.open(tmp_path) as catalog:
        catalog.save("0" * 64, place, facts=FACTS, looks=looks)
        (video,) = catalog.videos()
        gaps = [(gap.expert, gap.reason) for gap in coverage_gaps(catalog, video)]
    assert gaps[:4] == [
        ("", "1 of 2 frames unreadable"),
        ("", "it has no sound"),
        ("object", "half"),
        ("things", "half"),
    ]
    assert "faces" in dict(gaps), "the others are still asked after"


def test_the_page_says_so_as_well(catalog: Catalog) -> None:
    with pages.page_over(catalog) as (_, client):
        (hit,) = client.get("/api/search?k=10").json()["hits"]
        (one,) = client.get(f"/api/videos/{hit['id']}").json()["experts"]
        assert one["modalities"] == ["object", "scene"]
        for question in ("modality=object&text=dog", "modality=scene&text=beach"):
            evidence = client.get(f"/api/videos/{hit['id']}/evidence?{question}").json()
            assert [expert["weights"] for expert in evidence["experts"]] == [[WEIGHTS]]
        missing = client.get(f"/api/videos/{hit['id']}/coverage").json()["not_looked_at"]
        assert {"expert": "eye (object, scene)", "reason": "looked at one half"} in missing


@pytest.mark.parametrize("name", ["json", "csv", "parquet", "xmp", "vtt-tags"])
def test_it_goes_out_with_the_tags_and_they_come_back_as_they_were(
    catalog: Catalog, tmp_path: Path, name: str
) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    (done,) = export(catalog, [name], out=tmp_path / "out")
    assert done.state == "written"
    data = done.path.read_bytes()
    if name != "parquet":
        assert data.count(WEIGHTS.encode()) == 2, "of both tags of the expert, not of the person's"
    with done.path.open("rb") as file:
        read = FORMATS[name].load().read(data if FORMATS[name].beside else file)
    found = read if isinstance(read, ImportedVideo) else read[0]
    (video,) = catalog.videos()
    assert sorted(found.tags, key=str) == sorted(catalog.tags(video.id), key=str)
    (again,) = export(catalog, [name], out=tmp_path / "out")
    assert again.path.read_bytes() == data


def test_boxes_of_a_place_go_out_where_places_are_asked_for(catalog: Catalog, tmp_path: Path) -> None:
    (done,) = export(catalog, ["coco"], out=tmp_path / "out", modalities=[Modality.SCENE])
    content = json.loads(done.path.read_bytes())
    assert len(content["annotations"]) == 1
    assert content["videos"][0]["tagline_weights"] == {"eye": [WEIGHTS]}


def test_experts_with_weights_name_them_and_no_paths() -> None:
    (one,) = weights_of(build_expert("object", {"collection": "playhouse"}))
    assert one.startswith("playhouse-object ")
    for name in ("things", "faces", "speech", "sound", "screen"):
        for named in weights_of(build_expert(name)):
            assert "/" not in named
            assert len(named) <= 80

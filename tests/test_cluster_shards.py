"""Shards: what stages write equals one machine, twice is once, and questions are answered where they lie."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import fakes
import pytest
from cluster_world import NAMES, order, walk_through

from tagline.experts.panel import Panel
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run
from tagline.tagging.pipeline.settings import Settings
from tagline.tagging.ray import ClusterError, importer, query, shards
from tagline.tagging.ray import run as job
from tagline.tagging.ray.shards import ShardStore
from tagline.tagging.ray.sources import VideoSource, list_sources
from tagline.tagging.ray.stages import (
    DoneInShards,
    ExpertStage,
    ReadStage,
    VideoRecord,
    pack,
    part_of,
    rows_of,
    unpack,
)


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve stand-ins: one unreadable, one whose speech expert raises, two copies, an odd name."""
    fakes.use_fakes(monkeypatch)
    folder = tmp_path / "films"
    for n in range(9):
        tags = {"object": [f"thing {n}", ("Red Cars", 0.25 + n / 20, 1.0, 2.0)], "scene": ["beach"]}
        fakes.write_video(folder / f"{n:02d}.mp4", tags=tags, words="hello there", salt=n)
    fakes.write_video(folder / "broken.mp4", unreadable="is cut off")
    fakes.write_video(folder / "deaf.mp4", tags={"object": ["dog"]}, raises={"speech": "no ears"})
    (folder / "copy.mp4").write_bytes((folder / "03.mp4").read_bytes())
    (folder / "odd\udcff.mp4").write_bytes((folder / "04.mp4").read_bytes() + b" ")
    return folder


def one_machine(films: Path, library: Path) -> list[str]:
    with Catalog.open(library) as catalog:
        made = plan(catalog, [films], fakes.experts())
        run(made, Panel(made.experts))
        return list(dump_lines(catalog))


def brought(out: Path, library: Path) -> list[str]:
    with Catalog.open(library) as catalog:
        for _ in importer.import_shards(catalog, str(out)):
            pass
        return list(dump_lines(catalog))


def library(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path / name / "catalog.sqlite"


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_shards_brought_in_equal_one_machine_row_for_row(films: Path, tmp_path: Path, batch: int) -> None:
    lines = walk_through(list_sources([str(films)]).sources, tmp_path / "shards", order(), batch=batch)
    assert len(lines) == 13
    wanted = one_machine(films, library(tmp_path, "one"))
    assert len(wanted) > 100
    assert brought(tmp_path / "shards", library(tmp_path, "many")) == wanted
    assert brought(tmp_path / "shards", library(tmp_path, "many")) == wanted  # again changes nothing


def test_a_second_run_does_only_what_is_left(films: Path, tmp_path: Path) -> None:
    out, found = tmp_path / "shards", list_sources([str(films)]).sources
    walk_through(found[:7], out, order())
    before = len(fakes.FakeExpert.looked)
    walk_through(found, out, order())
    assert len(fakes.FakeExpert.looked) < 2 * before
    walk_through(found, out, order())
    looked = len(fakes.FakeExpert.looked)
    assert walk_through(found, out, order()) == []
    assert len(fakes.FakeExpert.looked) == looked
    assert brought(out, library(tmp_path, "many")) == one_machine(films, library(tmp_path, "one"))


def test_what_is_written_twice_counts_once(films: Path, tmp_path: Path) -> None:
    """After a loss, parts are cut otherwise and what was in hand is written again."""
    out, found = tmp_path / "shards", list_sources([str(films)]).sources
    walk_through(found, out, order(), batch=3)
    walk_through(found[2:9], out, order(), batch=5, known=job.DoneInShards())
    walk_through(found[2:9], out, order(), batch=5, known=job.DoneInShards())
    assert brought(out, library(tmp_path, "many")) == one_machine(films, library(tmp_path, "one"))
    tags = shards.current_rows(ShardStore(str(out)), "tags").num_rows
    with Catalog.open(library(tmp_path, "one")) as catalog:
        assert tags == catalog.query_one("SELECT count(*) FROM tag")[0]


def test_a_part_that_was_not_finished_does_not_count(films: Path, tmp_path: Path) -> None:
    out, found = tmp_path / "shards", list_sources([str(films)]).sources
    walk_through(found, out, order())
    shelf = ShardStore(str(out))
    torn = sorted(shelf.parts())[0]
    (out / "parts" / torn).unlink()
    assert torn not in shelf.parts()
    assert all(torn not in file for table in shards.TABLES for file in shelf.files(table))
    walk_through(found, out, order())
    assert brought(out, library(tmp_path, "many")) == one_machine(films, library(tmp_path, "one"))


def test_another_version_of_an_expert_looks_again_and_its_look_counts(films: Path, tmp_path: Path) -> None:
    out, found = tmp_path / "shards", list_sources([str(films)]).sources
    walk_through(found, out, order())
    newer = Settings(expert_names=NAMES, experts={"object": {"version": "2", "confidence": 0.5}})
    lines = walk_through(found, out, order(settings=newer))
    assert {name for line in lines for name in line.looked} == {"object"}
    kept = query.tag_counts(str(out), modality="object")
    assert {row["text"]: row["videos"] for row in kept}["Red Cars"] == 4  # only scores from 0.5


def test_failures_are_tried_again_when_asked(films: Path, tmp_path: Path) -> None:
    out, found = tmp_path / "shards", list_sources([str(films)]).sources
    first = walk_through(found, out, order())
    assert sorted((Path(line.url).name, line.failures) for line in first if line.failures) == [
        ("broken.mp4", (("", "is cut off"),)),
        ("deaf.mp4", (("speech", "ValueError: no ears"),)),
    ]
    again = walk_through(found, out, order(retry=True))
    assert sorted(Path(line.url).name for line in again) == ["broken.mp4", "deaf.mp4"]


def test_a_node_with_other_weights_is_refused_by_name(films: Path) -> None:
    how = order()
    elsewhere = replace(how, settings=Settings(expert_names=NAMES, experts={"scene": {"weights": "others"}}))
    ExpertStage(elsewhere, "object", 4, ())
    with pytest.raises(ClusterError, match=f"scene on the node {socket.gethostname()} is not the one"):
        ExpertStage(elsewhere, "scene", 4, ())


def test_a_stage_passes_on_only_what_later_stages_need(films: Path) -> None:
    how = order()
    read = ReadStage(how, DoneInShards())
    [parcel] = unpack(read(pack([VideoSource(str(films / "00.mp4"), *_facts(films / "00.mp4"))])))
    full = set(parcel.footage.views)
    assert parcel.footage.sound is not None
    [after] = unpack(ExpertStage(how, "scene", 4, ["screen"])(pack([parcel])))
    assert set(after.footage.views) <= full
    assert after.footage.sound is None  # only speech listens, and it is not among the later ones
    [last] = unpack(ExpertStage(how, "screen", 4, [])(pack([after])))
    assert last.footage is None
    assert [look.expert for look in last.looks] == ["scene", "screen"]


def _facts(path: Path) -> tuple[int, str]:
    return path.stat().st_size, str(path.stat().st_mtime_ns)


def test_what_could_be_read_later_is_looked_at_like_everything_else(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, found = tmp_path / "shards", list_sources([str(films / "broken.mp4")]).sources
    walk_through(found, out, order(["object"]))
    assert walk_through(found, out, order()) == []  # it would fail again
    real = fakes.content_of
    monkeypatch.setattr(fakes, "content_of", lambda path: {**real(path), "unreadable": None})
    [line] = walk_through(found, out, order(["object"], retry=True))
    assert line.looked == ("object",)
    [line] = walk_through(found, out, order())
    assert set(line.looked) == {"scene", "speech", "screen"}


def test_questions_to_shards(films: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "shards")
    walk_through(list_sources([str(films)]).sources, tmp_path / "shards", order())
    hits = list(query.find_tags(out, "red car", least=0.4))
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert {hit["text"] for hit in hits} == {"Red Cars"}
    assert all(hit["score"] >= 0.4 and hit["url"].endswith(".mp4") for hit in hits)
    assert list(query.find_tags(out, "zebra")) == []
    facts = query.row_counts(out)
    assert facts["videos"] == 12
    assert facts["vectors"] == 11


def test_somebody_elses_folder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(ClusterError, match="holds other files"):
        ShardStore(str(tmp_path / "letters")).create()
    with pytest.raises(ClusterError, match="there are no shards"):
        ShardStore(str(tmp_path / "nowhere")).parts()
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / shards.HEAD).write_text(json.dumps({"tagline": "shards", "format": 99}))
    with pytest.raises(ClusterError, match="newer tagline"):
        ShardStore(str(newer)).parts()


def test_a_part_is_named_after_what_is_in_it() -> None:
    parcels = [VideoRecord(VideoSource(f"/v/{n}.mp4", n, "1"), digest=f"{n}") for n in range(4)]
    assert part_of(parcels) == part_of(parcels[::-1])
    assert part_of(parcels) != part_of(parcels[:3])
    assert part_of(parcels) != part_of([*parcels[:3], replace(parcels[3], reason="is cut off")])
    assert [row["size"] for row in rows_of(parcels)["videos"]] == [0, 1, 2, 3]


def test_an_address_becomes_the_title_of_a_video_without_a_file(films: Path, tmp_path: Path) -> None:
    parcel = VideoRecord(VideoSource("s3://bucket/a.mp4", 5, "etag"), digest="ab" * 32)
    shelf = ShardStore(str(tmp_path / "shards"))
    shelf.create()
    shelf.write(part_of([parcel]), rows_of([parcel]))
    with Catalog.open(library(tmp_path, "many")) as catalog:
        for _ in importer.import_shards(catalog, shelf.url):
            pass
        [video] = catalog.videos()
        assert (video.title, video.paths, video.gone) == ("s3://bucket/a.mp4", [], False)


def test_shards_and_a_catalog_are_asked_the_same_rule(films: Path, tmp_path: Path) -> None:
    how = order()
    looked = {name: how.rule.current[name] for name in ("object", "scene")}
    known = DoneInShards({"h": looked})
    assert known.stale("h", how.rule) == ("speech", "screen")
    known.failed["h"] = {"": how.rule.decoder}
    assert known.stale("h", how.rule) == (), "the same decoder would fail again"
    known.failed["h"] = {"": "an older decoder"}
    assert known.stale("h", how.rule) == NAMES, "what the old decoder could not read, all look at"
    again = order(retry=True)
    known.failed["h"] = {"speech": again.rule.current["speech"][1]}
    assert known.stale("h", how.rule) == ("screen",)
    assert known.stale("h", again.rule) == ("speech", "screen")

"""What nobody has looked at is said with the command that changes it, and counted once for each state."""

from __future__ import annotations

import json
from pathlib import Path

import fakes
import pytest
from click.testing import CliRunner, Result

import tagline
from tagline.experts.tags import Modality, Report
from tagline.retrieval.cli.main import cli
from tagline.tagging.catalog.records import Look, Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline import coverage
from tagline.tagging.pipeline.coverage import library_coverage


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three videos: the expert for scenes has seen one of them, that for speech two."""
    fakes.use_fakes(monkeypatch)
    with Catalog.open(tmp_path) as catalog:
        for number in range(3):
            looks = [
                Look(expert.name, expert.modality, "1", expert.fingerprint(), Report())
                for expert, seen in ((fakes.FakeScenes(), 1), (fakes.FakeSpeech(), 2))
                if number < seen
            ]
            path = tmp_path / f"{number}.mp4"
            path.touch()
            digest = f"{number}" * 64
            catalog.save(digest, Place(str(path), number, 1), facts=fakes.facts_of({}), looks=looks)
    return tmp_path


def ask(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["search", *words, "--library", str(folder)])


def test_a_search_says_who_did_not_look_and_what_would_change_it(videos: Path) -> None:
    answer = ask(videos, "submarine", "--json")
    assert answer.exit_code == 4
    said = {gap["expert"]: gap for gap in json.loads(answer.stdout)["coverage"]}
    assert (said["scene"]["videos"], said["scene"]["of"], said["speech"]["videos"]) == (2, 3, 1)
    assert said["object"] == {
        "expert": "object",
        "modalities": ["object"],
        "videos": 3,
        "of": 3,
        "reason": "never run",
        "command": "tagline tag",
        "covered": False,
    }
    assert said["index"]["command"] == "tagline index"
    people = ask(videos, "submarine").stderr
    assert "object and screen have not looked at 3 of 3 videos (never run); run `tagline tag`" in people
    assert "no index yet" in people
    assert "nothing found for 'submarine'" in people


def test_where_nobody_looked_nothing_found_is_not_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.use_fakes(monkeypatch)
    with Catalog.open(tmp_path) as catalog:
        (tmp_path / "a.mp4").touch()
        catalog.save("a" * 64, Place(str(tmp_path / "a.mp4"), 1, 1), facts=fakes.facts_of({}))
    answer = ask(tmp_path, "submarine")
    assert answer.exit_code == 4
    assert "nothing found" not in answer.output
    assert "nobody has looked" in answer.stderr


def test_weights_that_are_missing_are_named_with_one_command(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: fakes.FakeExpert) -> str:
        return f"not run: weights are not here; run `tagline models pull {self.name}`"

    monkeypatch.setattr(fakes.FakeExpert, "missing", missing)
    with tagline.open(videos) as library:
        said = library.search("dog").coverage.sentences
    assert any("object and screen" in one and "`tagline models pull object screen`" in one for one in said)


def test_what_others_looked_for_everywhere_is_no_news(videos: Path) -> None:
    with Catalog.open(videos) as catalog:
        for number in range(3):
            things = fakes.report_of({}, Modality.OBJECT, "things")
            things.facts = {"modalities": ["object", "scene"]}
            look = Look("things", Modality.OBJECT, "1", "f", things)
            place = Place(str(videos / f"{number}.mp4"), number, 1)
            catalog.save(f"{number}" * 64, place, facts=fakes.facts_of({}), looks=[look])
        found = library_coverage(catalog)
    assert {gap.expert for gap in found.gaps if gap.covered} == {"object", "scene"}
    assert not any("object" in sentence or "scene" in sentence for sentence in found.sentences)


def test_it_is_counted_once_for_each_state_of_the_catalog(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Catalog.open(videos) as catalog:
        first = library_coverage(catalog)
        with monkeypatch.context() as patch:
            patch.setattr(coverage, "look_counts", lambda catalog: pytest.fail("counted again"))
            assert library_coverage(catalog) is first
        catalog.mark_gone([str(videos / "2.mp4")])
        assert library_coverage(catalog).videos == 2


def test_what_failed_and_what_cannot_be_read_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.use_fakes(monkeypatch)
    with fakes.library(tmp_path, {"a.mp4": {}, "b.mp4": {"unreadable": "no video"}}) as catalog:
        look = Look("object", Modality.OBJECT, "2", "g", reason="out of memory")
        (tmp_path / "c.mp4").touch()
        catalog.save("c" * 64, Place(str(tmp_path / "c.mp4"), 9, 1), facts=fakes.facts_of({}), looks=[look])
        said = " ".join(library_coverage(catalog).sentences)
    assert "object failed at 1 of 3 videos" in said
    assert "1 of 3 videos could not be read" in said

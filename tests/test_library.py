"""The public door: what Python can do with a library, and that opening it costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fakes
import pytest
from embedding import use_fake_embedder

import tagline
from tagline.tagging.catalog.location import NoCatalog
from tagline.tagging.catalog.lookup import AmbiguousVideo, VideoNotFound
from tagline.tagging.catalog.named_verdicts import BadSpan, TagNotFound
from tagline.tagging.formats.export import BadFormat

ROOT = Path(__file__).parent.parent
VIDEOS = {
    "dog.mp4": {"tags": {"object": [("dog", 0.9, 0.0, 4.0), "ball"], "scene": ["beach"]}},
    "puppy.mp4": {"tags": {"object": ["dog", "ball", "stick"]}},
    "trips/cat.mp4": {"tags": {"object": ["cat"], "scene": ["kitchen"]}, "words": "a speech about cooking"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TAGLINE_LIBRARY", raising=False)
    use_fake_embedder(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr("tagline.tagging.library._device", lambda *_: "cpu")
    for name, content in VIDEOS.items():
        fakes.write_video(tmp_path / "videos" / name, **content)
    return tmp_path / "videos"


@pytest.fixture
def library(folder: Path) -> tagline.Library:
    library = tagline.open(folder)
    library.tag()
    return library


def python(program: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_importing_tagline_imports_nothing_else() -> None:
    python(
        "import sys\nbefore = set(sys.modules)\nimport tagline\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "assert new <= {'tagline', *sys.stdlib_module_names}, new\n"
        "assert not [name for name in sys.modules if name.startswith('tagline.')]\n"
        "assert {'open', 'Library', 'train', 'TableModel'} <= set(dir(tagline))\n"
    )


def test_every_name_at_the_door_leads_somewhere() -> None:
    for name in tagline.__all__:
        assert getattr(tagline, name) is not None, name
    for model in (tagline.TableModel, tagline.Tagger, tagline.Ranker):
        assert callable(model.from_pretrained)
    with pytest.raises(AttributeError, match="nose"):
        _ = tagline.nose


def test_whatever_is_public_is_documented_with_an_example() -> None:
    public = [
        value
        for name, value in vars(tagline.Library).items()
        if not name.startswith("_") and name not in ("root", "catalog", "close", "of", "exported")
    ]
    assert len(public) >= 15
    for value in (*public, tagline.open, tagline.train, tagline.TableModel.from_pretrained):
        text = (value.fget if isinstance(value, property) else value).__doc__ or ""
        assert "\n\n" in text, f"{value} has no example"


def test_nothing_is_written_before_tagging_and_reading_says_what_to_run(folder: Path) -> None:
    library = tagline.open(folder)
    with pytest.raises(NoCatalog, match="tagline tag"):
        library.search("a dog")
    assert library.plan().found == 3
    assert not (folder / ".tagline").exists()
    result = library.tag(only=["object"])
    assert result.run.progress.tagged == 3
    assert library.plan(only=["object"]).jobs == []


def test_an_empty_folder_is_left_as_it_is(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert tagline.open(tmp_path / "empty").tag().plan.nothing_found
    assert list((tmp_path / "empty").iterdir()) == []


def test_what_is_in_a_video(library: tagline.Library) -> None:
    report = library.show("cat")
    assert [tag.text for tag in report.tags if tag.modality == "object"] == ["cat"]
    assert " ".join(word.text for word in report.words) == "a speech about cooking"
    assert {run.expert for run in report.runs} == {"object", "scene", "speech", "screen"}
    assert [tag.text for tag in library.show(report.video, modalities=["scene"]).tags] == ["kitchen"]
    assert report.as_dict()["tags"][0]["text"] == "cat"
    assert {(use.tag, use.videos) for use in library.tags("object")} >= {("dog", 2), ("cat", 1)}
    assert library.fused_tags("cat")[0].text in ("cat", "kitchen", "cooking")


def test_videos_are_named_as_people_name_them(library: tagline.Library) -> None:
    found = library.find("puppy")
    for named in (found, found.id, found.hash, found.paths[0], Path(found.paths[0]), "puppy.mp4"):
        assert library.find(named).id == found.id
    assert library.find("trips/").paths[0].endswith("cat.mp4")
    with pytest.raises(VideoNotFound, match="no video here is called 'horse'"):
        library.find("horse")
    with pytest.raises(VideoNotFound):
        library.find(99)
    with pytest.raises(AmbiguousVideo, match=r"dog\.mp4 \(id"):
        library.find("mp4")


def test_a_search_is_a_sequence_of_hits_by_words_and_by_meaning(library: tagline.Library) -> None:
    hits = library.search("cooking")
    assert (len(hits), Path(hits[0].video.paths[0]).name) == (1, "cat.mp4")
    assert hits[0].why[0].text
    assert [Path(hit.video.paths[0]).name for hit in library.search("dog", tags=["scene:beach"])] == [
        "dog.mp4"
    ]
    assert [Path(hit.video.paths[0]).name for hit in library.search("dog", without=["beach"])] == [
        "puppy.mp4"
    ]
    assert not library.search("dog", longer="1:30")
    assert len(library.search("dog", longer=5)) == 2
    with pytest.raises(ValueError, match="2024-05-17"):
        library.search("dog", after="yesterday")
    with pytest.raises(ValueError, match="person:girl"):
        library.search("dog", tags=["object:"])
    made = library.index(weights="playhouse")
    assert (made.embedded.progress.tagged, made.indexes[0].rows, made.tuned) == (3, 3, True)
    assert not library.index().tuned
    assert library.catalog.file is not None
    library.catalog.file.with_name("search.npz").unlink()  # as if that run had been stopped before it tuned
    assert library.index().tuned
    assert [Path(one.video.paths[0]).name for one in library.similar("dog.mp4", 1)] == ["puppy.mp4"]
    assert library.describe("dog.mp4").sentence == "A ball and a dog at the beach."
    explained = library.explain("dog", "dog.mp4")
    assert explained.lexical_score > 0
    assert explained.as_dict()["query"] == "dog"


def test_an_unanswered_search_is_empty_and_names_the_nearest(library: tagline.Library) -> None:
    from dataclasses import replace

    answer = replace(library.search("dog"), answered=False)
    assert (len(answer), list(answer), bool(answer)) == (0, [], False)
    assert [hit.video.id for hit in answer.nearest] == [hit.video.id for hit in answer.hits]
    with pytest.raises(IndexError):
        _ = answer[0]


def test_what_a_person_says_wins(library: tagline.Library) -> None:
    library.verdicts.reject("cat", "kitchen")
    library.verdicts.add("cat", "Felix", start=1.0, end=99.0)
    tags = {tag.text: tag for tag in library.show("cat").tags}
    assert "kitchen" not in tags
    assert (tags["Felix"].start, tags["Felix"].end) == (1.0, fakes.DURATION)
    assert [verdict.text for verdict in library.verdicts.undo()] == ["Felix"]
    with pytest.raises(TagNotFound, match="did you mean 'ball'"):
        library.verdicts.accept("dog.mp4", "bell")
    with pytest.raises(BadSpan):
        library.verdicts.add("cat", "Felix", start=3.0, end=2.0)


def test_tags_go_out_and_a_library_is_measured(library: tagline.Library, tmp_path: Path) -> None:
    written = library.export("csv", "xmp", videos=["cat"], out=tmp_path / "out")
    assert {(one.format, one.state) for one in written} == {("csv", "written"), ("xmp", "written")}
    with pytest.raises(BadFormat, match="there is no format 'doc'"):
        library.export("doc")
    (tmp_path / "queries.csv").write_text("query,video\ncooking,cat.mp4\na dog,dog.mp4\n")
    systems = library.evaluate(tmp_path / "queries.csv").systems
    assert systems[0].figures.queries == 2


def test_searching_from_python_needs_no_torch(library: tagline.Library) -> None:
    root = str(library.root)
    library.close()
    python(
        "import sys, tagline\n"
        f"library = tagline.open({root!r})\n"
        "assert len(library.search('dog')) == 2 and library.show('cat').tags and library.tags()\n"
        "library.export('json', dry_run=True)\n"
        "loaded = {'torch', 'open_clip', 'transformers', 'av', 'click'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )


def test_a_tagger_and_a_ranker_that_are_no_folders_are_refused_in_a_sentence(tmp_path: Path) -> None:
    from tagline.tagging.ml.config import BadConfig

    for model in (tagline.TableModel, tagline.Tagger, tagline.Ranker):
        with pytest.raises(BadConfig, match="tagline train"):
            model.from_pretrained(tmp_path / "no such folder")
    with pytest.raises(BadConfig, match="table, tagger or ranker"):
        tagline.train(tmp_path, "nose")  # type: ignore[arg-type]

"""`tagline export` and `tagline import`: a catalog that goes out and comes back is the same catalog."""

from __future__ import annotations

import csv
import hashlib
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fakes
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import assert_a_sentence

from tagline.experts.tags import Modality, Report, Tag
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.records import Look, Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.cli.exchange import export, import_
from tagline.tagging.formats.export import export as write
from tagline.tagging.formats.importer import import_files
from tagline.tagging.vocabulary import normal

Run = Callable[..., Result]
VIDEOS: dict[str, dict[str, Any]] = {
    "trips/holiday.mp4": {
        "duration": 125.0,
        "tags": {
            "object": ["sky", ("dog", 0.93, 0.5, 20.0)],
            "speech": [("grandma", 0.6, 30.0, 31.0)],
            "screen": ["=cmd|' /C calc'!A0", "]]> <b>"],
        },
        "words": "happy birthday grandma",
    },
    "rome.mov": {"tags": {"object": ["car"]}},
    "silent.mp4": {"sound": False},
}
BESIDE = ("xmp", "vtt-tags")
LOSSLESS = (*BESIDE, "json", "csv", "parquet")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    fakes.library(tmp_path / "films", VIDEOS).close()
    return tmp_path / "films"


@pytest.fixture
def run(library: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TAGLINE_LIBRARY", str(library))

    def call(command: str, *arguments: str | Path) -> Result:
        answer = CliRunner().invoke(export if command == "export" else import_, list(map(str, arguments)))
        assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
        return answer

    return call


def effective(catalog: Catalog) -> dict[str, list[Tag]]:
    return {video.hash: tags for video, tags in catalog.all_tags()}


def forms(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.suffix in (".xmp", ".nfo", ".vtt", ".json", ".csv")
    )


# ---- round trips

numbers = st.floats(0, 1, allow_nan=False)
times = st.floats(0, 500, allow_nan=False)
words = st.sampled_from(
    ["dog", "Dogs", "a|b/c", "=1+1", "]]>", "x & <y>", "'quote", "Ärger", "日本", "--> now"]
)

# What tags are renamed to: names of their own. A catalog in which "Dogs" stands beside "dog" may show either.
names = st.sampled_from(["Rex", "Old Town"])


@st.composite
def said(draw: Any) -> tuple[dict[str, list[Tag]], list[tuple[str, ...]]]:
    """What experts said of a video, and what a person then did."""
    looks = {}
    for modality in draw(st.lists(st.sampled_from(["object", "scene", "screen", "speech"]), unique=True)):
        tags = []
        for _ in range(draw(st.integers(0, 4))):
            start = draw(times)
            best = draw(st.none() | times)
            end = start + draw(times)
            tags.append(Tag(draw(words), Modality(modality), draw(numbers), start, end, modality, best))
        looks[modality] = tags
    kinds = st.sampled_from(["accept", "reject", "add", "rename"])
    verdicts = draw(st.lists(st.tuples(kinds, words | names, names), max_size=4))
    return looks, verdicts


def fill(catalog: Catalog, looks: dict[str, list[Tag]], verdicts: list[tuple[str, ...]]) -> None:
    digest = hashlib.sha256(b"one").hexdigest()
    video = catalog.save(
        digest,
        Place(str(catalog.root / "one.mp4"), 3, 1),
        facts=fakes.facts_of({"duration": 400.0}),
        looks=[Look(name, Modality(name), "1", "f", Report(tags=tags)) for name, tags in looks.items()],
    )
    for kind, text, other in verdicts:
        if kind == "rename":
            catalog.decide.rename(text, other)
        else:
            getattr(catalog.decide, kind)(video, text)


@pytest.mark.parametrize("form", LOSSLESS)
@settings(max_examples=25, deadline=None)
@given(what=said())
def test_export_then_import_gives_the_same_catalog(
    tmp_path_factory: pytest.TempPathFactory, form: str, what: tuple[Any, Any]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    with Catalog.in_memory(folder) as first, Catalog.in_memory(folder) as second:
        fill(first, *what)
        fill(second, {}, [])
        before = list(dump_lines(first))
        outcomes = list(write(first, [form], out=folder))
        assert all(outcome.state == "written" for outcome in outcomes)
        files = [outcome.path for outcome in outcomes]

        assert not any(taken.changed or taken.reason for taken in import_files(first, files))
        assert list(dump_lines(first)) == before, "into the catalog that it came from: nothing changes"

        assert not any(taken.reason for taken in import_files(second, files))
        assert effective(second) == effective(first)
        after = list(dump_lines(second))
        assert not any(taken.changed for taken in import_files(second, files))
        assert list(dump_lines(second)) == after, "a second time: nothing changes"


@settings(max_examples=25, deadline=None)
@given(what=said())
def test_an_nfo_brings_texts_back(tmp_path_factory: pytest.TempPathFactory, what: tuple[Any, Any]) -> None:
    folder = tmp_path_factory.mktemp("round")
    with Catalog.in_memory(folder) as first, Catalog.in_memory(folder) as second:
        fill(first, *what)
        fill(second, {}, [])
        files = [outcome.path for outcome in write(first, ["nfo"], out=folder)]
        (folder / "one.mp4").touch()
        for path in files:  # as Kodi writes it anew: without our note
            root = ElementTree.fromstring(path.read_bytes())
            for element in list(root):
                if element.tag not in ("tag", "title"):
                    root.remove(element)
            path.write_bytes(ElementTree.tostring(root))
        list(import_files(second, files))
        texts = {normal(tag.text) for tags in effective(first).values() for tag in tags}
        assert {normal(tag.text) for tags in effective(second).values() for tag in tags} == texts
        assert not any(taken.changed for taken in import_files(second, files))


def test_a_real_run_replaces_what_was_imported(library: Path, tmp_path: Path) -> None:
    with Catalog.open(library) as catalog:
        files = [outcome.path for outcome in write(catalog, ["json"], out=tmp_path)]
        video = next(catalog.videos())
    with Catalog.open(tmp_path / "other") as other:
        other.save(video.hash, Place(str(tmp_path / "other/x.mp4"), 1, 1), facts=None)
        list(import_files(other, files))
        assert {tag.text for tag in other.tags(1)} >= {"sky", "dog"}
        cat = Tag("cat", Modality.OBJECT, 0.5, 0, 1, "object")
        other.put_look(1, Look("object", Modality.OBJECT, "1", "real", Report(tags=[cat])))
        list(import_files(other, files))
        assert [tag.text for tag in other.tags(1) if tag.source == "object"] == ["cat"]


# ---- the commands


def test_sidecars_go_beside_the_videos(run: Run, library: Path) -> None:
    answer = run("export", "-f", "xmp", "-f", "nfo", "-f", "vtt", "-f", "vtt-tags")
    assert (answer.exit_code, answer.output) == (0, "7 written\n")
    assert [str(path.relative_to(library)) for path in forms(library)] == [
        "rome.mov.xmp",
        "rome.nfo",
        "rome.tags.vtt",
        "trips/holiday.mp4.xmp",
        "trips/holiday.nfo",
        "trips/holiday.tags.vtt",
        "trips/holiday.vtt",
    ]
    assert run("export", "-f", "xmp", "-f", "nfo", "-f", "vtt", "-f", "vtt-tags").output == "7 unchanged\n"
    assert stat.S_IMODE((library / "rome.nfo").stat().st_mode) & 0o444


def test_out_keeps_the_folders_of_the_library(run: Run, library: Path, tmp_path: Path) -> None:
    out = tmp_path / "new/out"
    assert run("export", "-f", "xmp", "-f", "csv", "-f", "json", "-f", "coco", "--out", out).exit_code == 0
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        "rome.mov.xmp",
        "trips/holiday.mp4.xmp",
        "tags.csv",
        "tags.json",
        "coco.json",
    }
    assert forms(library) == []
    rows = list(csv.DictReader((out / "tags.csv").read_text("utf-8").splitlines()))
    assert {row["path"] for row in rows} == {"trips/holiday.mp4", "rome.mov"}
    assert all(row["text"][0] not in "=+-@" for row in rows)
    assert json.loads((out / "coco.json").read_text())["annotations"][0]["bbox"] == [16.0, 9.0, 32.0, 18.0]


def test_some_videos_and_some_kinds(run: Run, library: Path, tmp_path: Path) -> None:
    assert run("export", "-f", "xmp", library / "trips").output == "1 written\n"
    assert run("export", "-f", "nfo", "rome", "-m", "scene").exit_code == 4
    assert run("export", "-f", "xmp", "holiday", "-m", "speech").output == "1 merged\n"
    root = ElementTree.parse(library / "trips/holiday.mp4.xmp").getroot()
    assert [li.text for li in root.findall(".//{*}subject//{*}li")] == ["grandma"]
    assert run("export", "-f", "xmp", "nowhere").exit_code == 4
    (tmp_path / "void").mkdir()
    assert run("export", "-f", "xmp", tmp_path / "void").exit_code == 4
    assert run("export").exit_code == 2


def test_a_dry_run_writes_nothing(run: Run, library: Path) -> None:
    answer = run("export", "-f", "xmp", "-f", "csv", "--dry-run", "--out", library / "out")
    assert "would be written: " in answer.output
    assert "holiday.mp4.xmp" in answer.output
    assert forms(library) == []
    assert not (library / "out").exists()


def test_adobe_names(run: Run, library: Path) -> None:
    assert run("export", "-f", "xmp", "--adobe-names").exit_code == 0
    assert [path.name for path in forms(library)] == ["rome.xmp", "holiday.xmp"]
    assert run("export", "-f", "xmp").output == "2 unchanged\n", "the one that is there is used"
    assert run("import", library).output.endswith("known already\n")


def test_links_and_protected_files_fail_alone(run: Run, library: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (library / "rome.mov.xmp").symlink_to(secret)
    protected = library / "trips/holiday.nfo"
    protected.write_text("<movie><tag>mine</tag></movie>")
    protected.chmod(0o444)
    answer = run("export", "-f", "xmp", "-f", "nfo", "--json")
    assert answer.exit_code == 3
    told = {(Path(row["path"]).name): row for row in json.loads(answer.stdout)}
    assert "symbolic link" in told["rome.mov.xmp"]["reason"]
    assert "write-protected" in told["holiday.nfo"]["reason"]
    assert told["holiday.mp4.xmp"]["state"] == told["rome.nfo"]["state"] == "written"
    assert secret.read_text() == "secret"
    assert protected.read_text() == "<movie><tag>mine</tag></movie>"
    assert run("import", library / "rome.mov.xmp").exit_code == 1


def test_a_link_in_the_way_of_an_export_folder_is_not_followed(
    run: Run, library: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out = tmp_path / "out"
    out.mkdir()
    (out / "trips").symlink_to(elsewhere)
    answer = run("export", "-f", "xmp", "--out", out)
    assert answer.exit_code == 3
    assert list(elsewhere.iterdir()) == []
    assert (out / "rome.mov.xmp").exists()


def test_two_videos_of_one_name_do_not_share_an_nfo(run: Run, library: Path, tmp_path: Path) -> None:
    (library / "rome.mp4").write_bytes(b"another")
    answer = run("export", "-f", "nfo", "-f", "xmp")
    assert answer.exit_code == 3
    assert "rome.nfo would stand for rome.mp4 as well" in answer.output
    assert run("export", "-f", "nfo", "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out/rome.mov.nfo").exists()


def test_a_folder_that_is_gone_is_told(run: Run, library: Path) -> None:
    for path in (library / "trips").iterdir():
        path.unlink()
    (library / "trips").rmdir()
    answer = run("export", "-f", "xmp")
    assert answer.exit_code == 3
    assert "is not there now" in answer.output
    assert not (library / "trips").exists()


def test_what_people_did_in_other_programs_comes_in(run: Run, library: Path) -> None:
    run("export", "-f", "xmp")
    path = library / "trips/holiday.mp4.xmp"
    text = path.read_text("utf-8")
    begin, end = text.index("<dc:subject>"), text.index("</dc:subject>")
    ours = text[begin:end].replace("<rdf:li>sky</rdf:li>", "<rdf:li>Grandpa</rdf:li>")
    path.write_text(text[:begin] + ours + text[end:], "utf-8")
    answer = run("import", library)
    assert answer.exit_code == 0
    assert "1 added as a person's word, 1 rejected" in answer.output
    with Catalog.open(library) as catalog:
        tags = {tag.text: tag for tag in catalog.tags(1)}
        assert "sky" not in tags
        assert tags["Grandpa"].source == "human"
        assert tags["Grandpa"].end == 125.0
    assert "added" not in run("import", library).output
    run("export", "-f", "xmp")
    assert "sky" not in path.read_text("utf-8")
    with Catalog.open(library) as catalog:
        catalog.decide.undo()  # the addition and the rejection were one act
        assert {"sky", "dog"} <= {tag.text for tag in catalog.tags(1)}
        assert "Grandpa" not in {tag.text for tag in catalog.tags(1)}


def test_a_keyword_that_is_spelt_otherwise_is_not_taken_out(run: Run, library: Path) -> None:
    run("export", "-f", "nfo")
    path = library / "rome.nfo"
    path.write_text(path.read_text().replace("<tag>car</tag>", "<tag>Cars</tag>"))
    assert run("import", path).output == "1 known already\n"
    with Catalog.open(library) as catalog:
        assert [tag.text for tag in catalog.tags(2)] == ["car"]


def test_what_a_person_decided_here_outranks_a_file(run: Run, library: Path) -> None:
    (library / "rome.nfo").write_text("<movie><tag>Car</tag><tag>cat</tag><tag>Oslo</tag></movie>")
    with Catalog.open(library) as catalog:
        video = catalog.find("rome.mov")
        assert video is not None
        catalog.decide.reject(video.id, "Oslo")
    answer = run("import", library / "rome.nfo", "--json")
    (row,) = json.loads(answer.output)
    assert (row["added"], row["known"], row["overruled"]) == (1, 1, 1)
    with Catalog.open(library) as catalog:
        assert {tag.text for tag in catalog.tags(video.id)} == {"car", "cat"}


def test_an_accepted_tag_is_not_taken_away_by_a_file(run: Run, library: Path) -> None:
    run("export", "-f", "nfo")
    path = library / "rome.nfo"
    path.write_text(path.read_text().replace("<tag>car</tag>", ""))
    with Catalog.open(library) as catalog:
        video = catalog.find("rome.mov")
        assert video is not None
        catalog.decide.accept(video.id, "car")
    run("import", path)
    with Catalog.open(library) as catalog:
        assert [tag.text for tag in catalog.tags(video.id)] == ["car"]


def test_rows_for_videos_that_are_not_here(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "tags.csv"
    table.write_text("path,text\nrome.mov,Rome\nelsewhere.mp4,x\n")
    answer = run("import", table)
    assert answer.exit_code == 3
    assert "elsewhere.mp4 is not in this library" in answer.output
    assert "1 added" in answer.output
    table.write_text("path,text\n3,x\n../../etc/passwd,x\n")
    assert_a_sentence(run("import", table), 1, "passwd is not in this library")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xmp", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
        ("a.nfo", "<movie>"),
        ("a.vtt", "nothing"),
        ("a.json", "[1]"),
        ("a.csv", "a,b\n1,2\n"),
        ("a.parquet", "x"),
        ("a.docx", "x"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_goes_on(
    run: Run, library: Path, name: str, text: str
) -> None:
    (library / name).write_text(text)
    (library / "rome.nfo").write_text("<movie><tag>cat</tag></movie>")
    answer = run("import", library / name, library / "nowhere.nfo", library / "rome.nfo")
    assert_a_sentence(answer, 3, name, "nowhere.nfo is not there", "1 added")


def test_folders_without_sidecars_are_exit_four(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("import", tmp_path / "empty").exit_code == 4


def test_odd_names_go_out_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """A5: names that look like options, addresses or patterns, that drive terminals, that are no UTF-8."""
    odd = ["-y.mp4", "http:x.mp4", "f%03d.mp4", "a\nb.mp4", "\x1b[2J.mp4", "\u202egpj.mp4", "caf\udce9.mp4"]
    folder = tmp_path / "odd"
    folder.mkdir()
    fakes.library(
        folder,
        {name: {"tags": {"object": ["dog"]}, "salt": n} for n, name in enumerate([*odd, "x" * 251 + ".mp4"])},
    ).close()
    monkeypatch.setenv("TAGLINE_LIBRARY", str(folder))
    answer = run("export", "-f", "xmp", "-f", "nfo", "-f", "vtt-tags", "--json")
    assert answer.exit_code == 3
    assert not any(c in answer.output for c in "\x1b\u202e")
    told = json.loads(answer.stdout)
    failed = {row["reason"] for row in told if row["state"] == "failed"}
    assert all("file name too long" in reason for reason in failed)
    assert sum(row["state"] == "written" for row in told) == 3 * len(odd) + 1, "the longest has room for .nfo"
    for name in odd:
        assert (folder / f"{name}.xmp").exists()
    again = run("import", folder)
    assert (again.exit_code, again.output) == (0, f"{2 * len(odd)} known already\n")
    assert run("export", "-f", "csv", "-f", "json", "-f", "coco", "--out", tmp_path / "out").exit_code == 0
    for path in (tmp_path / "out").iterdir():
        text = path.read_text("utf-8")
        assert not any(c in text for c in "\x1b\u202e")
        assert r"caf\xe9.mp4" in text or r"caf\\xe9.mp4" in text

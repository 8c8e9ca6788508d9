"""Data sets in the catalog: shards unpacked safely, captions by file, user tags, and the command."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from annotations import CSV, filmed, texts
from click.testing import CliRunner

from tagline.benchmarks.datasets import msrvtt, playhouse, webdataset
from tagline.benchmarks.datasets import playhouse as standin
from tagline.benchmarks.datasets.dataset import BadAnnotations, Dataset, Item
from tagline.benchmarks.datasets.importer import import_dataset, prepared
from tagline.experts.tags import Modality
from tagline.retrieval.cli.main import cli
from tagline.tagging.catalog.records import Caption
from tagline.tagging.catalog.uploads import UPLOADER, Upload, upload_of
from tagline.tagging.catalog.write import Catalog


def uploads(catalog: Catalog) -> list[tuple[int, Upload]]:
    """Video ids with what came with each."""
    found = [(video.id, upload_of(catalog, video.id)) for video in catalog.videos()]
    return [(video_id, upload) for video_id, upload in found if upload is not None]


# -- shards ----------------------------------------------------------------------------------------------


def shard(path: Path, members: dict[str, bytes], *odd: tarfile.TarInfo, mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in odd:
            archive.addfile(member)
    return path


SAMPLES = {
    "00001.mp4": b"one",
    "00001.txt": "a café".encode(),
    "00001.json": b'{"Title": "One", "tags": ["x"], "split": "test", "video": "../../evil"}',
    "deep/00002.webm": b"two",
    "deep/00002.json": b'{"caption": "second"}',
    "00003.txt": b"no video",
}


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_shards(tmp_path: Path, catalog: Catalog, ending: str) -> None:
    mode = "w:gz" if ending == "tar.gz" else "w"
    shard(tmp_path / f"tars/s0.{ending}", SAMPLES, mode=mode)
    into = tmp_path / "videos"
    made = webdataset.read(tmp_path / "tars", into)
    assert sorted(p.relative_to(into).as_posix() for p in into.rglob("*.*")) == [
        "s0/00001.mp4",
        "s0/deep_00002.webm",
    ]
    first, second = made.items
    assert first.captions == (Caption("a café", split="test"),)
    assert (first.title, first.tags) == ("One", ("x",))
    assert texts(second) == ["second"]
    assert import_dataset(catalog, made, into).found == 2
    assert webdataset.read(tmp_path / "tars", into).items == made.items  # again: nothing new
    assert webdataset.read(tmp_path / "tars").items == made.items  # only counted


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    "evil",
    [
        member("../evil.mp4"),
        member("/tmp/evil.mp4"),
        member("a/../../evil.mp4"),
        member("..\\evil.mp4"),
        member("evil.mp4", tarfile.SYMTYPE, "/etc/passwd"),
        member("evil.mp4", tarfile.LNKTYPE, "00001.mp4"),
        member("evil.mp4", tarfile.CHRTYPE),
        member("evil.mp4", tarfile.FIFOTYPE),
        member("e" * 300 + ".mp4"),
    ],
    ids=lambda m: f"{m.name[:16]} {m.type!r}",
)
def test_a_shard_with_one_evil_member_is_refused_whole(tmp_path: Path, evil: tarfile.TarInfo) -> None:
    shard(tmp_path / "tars/s0.tar", SAMPLES, evil)
    into = tmp_path / "a/b/videos"
    with pytest.raises(BadAnnotations, match=r"s0.tar is refused"):
        webdataset.read(tmp_path / "tars", into)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "tars/s0.tar"]


def test_a_shard_that_claims_more_than_the_disk_holds_is_refused(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("huge.mp4")
    huge.size = 1 << 60
    path = shard(tmp_path / "tars/s0.tar", SAMPLES)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"no video") + 512] + huge.tobuf() + b"\0" * 1024)
    with pytest.raises(BadAnnotations, match="more than the disk may hold"):
        webdataset.read(tmp_path / "tars", tmp_path / "videos")


def test_a_video_that_is_there_already_is_never_overwritten(tmp_path: Path) -> None:
    shard(tmp_path / "tars/s0.tar", SAMPLES)
    mine = filmed(tmp_path / "videos", "s0/00001.mp4") / "s0/00001.mp4"
    made = webdataset.read(tmp_path / "tars", tmp_path / "videos")
    assert mine.read_bytes() == b"video of s0/00001.mp4"
    assert [item.key for item in made.items] == ["s0/deep/00002"]
    assert "another content" in made.notes[0]


def test_a_shard_that_ends_early_leaves_no_half_video(tmp_path: Path) -> None:
    path = shard(tmp_path / "tars/s0.tar", {"00001.mp4": b"x" * 100_000})
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(BadAnnotations):
        webdataset.read(tmp_path / "tars", tmp_path / "videos")
    assert [p for p in (tmp_path / "videos").rglob("*") if p.is_file()] == []


# -- into the catalog ------------------------------------------------------------------------------------


def test_captions_go_to_the_video_of_that_name(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    folder = filmed(tmp_path / "videos", "video0.mp4", "TestVideo/video3.avi", "holiday.mp4")
    outcome = import_dataset(catalog, msrvtt.read(vtt), folder)
    assert (outcome.videos, outcome.found) == (5, 2)
    assert outcome.missing == ["video1", "video2", "video4"]
    video = catalog.find(folder / "TestVideo/video3.avi")
    assert video is not None
    assert catalog.captions(video.id) == [Caption("a dog video3 catches", split="test")]
    assert catalog.find(folder / "holiday.mp4") is None  # not of the data set
    told = prepared(catalog, "msrvtt")
    assert told is not None
    assert (told["variant"], told["found"], told["missing"]) == ("1k-A", 2, 3)


def state(catalog: Catalog) -> list[object]:
    return [
        (video.hash, video.paths, video.title, catalog.captions(video.id), upload_of(catalog, video.id))
        for video in catalog.videos()
    ]


def test_importing_again_changes_nothing_and_brings_what_was_missing(
    vtt: Path, tmp_path: Path, catalog: Catalog
) -> None:
    folder = filmed(tmp_path / "videos", "video0.mp4")
    import_dataset(catalog, msrvtt.read(vtt), folder)
    before = state(catalog)
    assert import_dataset(catalog, msrvtt.read(vtt), folder).changed == 0
    assert state(catalog) == before
    filmed(folder, "video4.mp4")
    outcome = import_dataset(catalog, msrvtt.read(vtt), folder)
    assert (outcome.found, outcome.changed) == (2, 1)
    assert state(catalog)[:1] == before


def test_another_split_takes_the_place_of_the_first(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    folder = filmed(tmp_path / "videos", *(f"video{n}.mp4" for n in range(5)))
    import_dataset(catalog, msrvtt.read(vtt, "full"), folder)
    import_dataset(catalog, msrvtt.read(vtt, "7k"), folder)
    splits = {u.key: [c.split for c in catalog.captions(video_id)] for video_id, u in uploads(catalog)}
    assert splits == {
        "video0": ["train"] * 3,
        "video1": [],
        "video2": [],
        "video3": ["test"],
        "video4": ["test"],
    }


def test_one_content_under_two_names_is_never_learnt_from_and_asked_for(
    vtt: Path, tmp_path: Path, catalog: Catalog
) -> None:
    folder = filmed(tmp_path / "videos", "video0.mp4")
    (folder / "video3.mp4").write_bytes((folder / "video0.mp4").read_bytes())
    outcome = import_dataset(catalog, msrvtt.read(vtt), folder)
    (video,) = catalog.videos()
    assert {caption.split for caption in catalog.captions(video.id)} == {"test"}
    assert "one and the same file" in outcome.notes[0]
    assert len(video.paths) == 2


def test_a_renamed_or_copied_library_is_known_by_content(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    folder = filmed(tmp_path / "videos", "video0.mp4")
    import_dataset(catalog, msrvtt.read(vtt), folder)
    moved = folder.rename(tmp_path / "moved")
    assert import_dataset(catalog, msrvtt.read(vtt), moved).changed == 0
    (video,) = catalog.videos()
    assert video.paths == [str(moved / "video0.mp4")]


def test_an_empty_file_is_no_video(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    folder = filmed(tmp_path / "videos", "video0.mp4")
    (folder / "video1.mp4").touch()
    (folder / "video3.mp4").touch()
    outcome = import_dataset(catalog, msrvtt.read(vtt), folder)
    assert outcome.found == 1
    assert [line.endswith("is empty") for line in outcome.unreadable] == [True, True]
    assert not outcome.whole


def tagged(tags: tuple[str, ...]) -> Dataset:
    return Dataset("create", [Item("a", ("a",), split="train", title="狗", tags=tags, duration=8.0)], [])


def test_an_uploaders_tags_are_learnt_from_and_a_person_overrules_them(
    tmp_path: Path, catalog: Catalog
) -> None:
    folder = filmed(tmp_path / "videos", "a.mp4")
    import_dataset(catalog, tagged(("Dogs", "cute", "cute", "wrong")), folder)
    ((video_id, upload),) = uploads(catalog)
    assert upload.split == "train"
    assert (upload.dataset, upload.key, upload.title) == ("create", "a", "狗")
    assert sorted(upload.tags) == ["cute", "dog", "wrong"]
    held = catalog.tags(video_id)
    assert {(tag.modality, tag.source, tag.end) for tag in held} == {(Modality.HUMAN, UPLOADER, 8.0)}
    assert catalog.verdicts.all() == []  # nobody here said so

    catalog.decide.reject(video_id, "wrong")
    catalog.decide.add(video_id, "mine")
    import_dataset(catalog, tagged(("Dogs", "wrong", "new")), folder)
    ((_, again),) = uploads(catalog)
    assert sorted(again.tags) == ["dog", "mine", "new"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The playhouse's smallest set with its real truth; the files are called like its videos."""
    from tagline.benchmarks.playhouse.truth import sets
    from tagline.benchmarks.playhouse.truth.truth import to_json, truth

    specs = sets.videos("tiny")
    videos = [to_json(truth(spec.seed)) for spec in specs]
    folder = filmed(tmp_path_factory.mktemp("tiny"), *(spec.name for spec in specs))
    content = {"version": sets.VERSION, "set": "tiny", "seed": 0, "videos": videos}
    (folder / sets.TRUTH).write_text(json.dumps(content))
    return folder


def test_the_playhouse_brings_what_people_write_and_never_the_truth(tiny: Path, catalog: Catalog) -> None:
    made = playhouse.read(tiny)
    assert all(count.ok is not False for count in made.counts)
    assert import_dataset(catalog, made, tiny).whole
    known = json.loads((tiny / "truth.json").read_text())["videos"]
    for (video_id, upload), one in zip(uploads(catalog), known, strict=True):
        assert upload.split == one["split"]
        written = [Caption(c["text"], c["start"], c["end"], one["split"]) for c in one["captions"]]
        assert catalog.captions(video_id) == written
        assert {tag.source for tag in catalog.tags(video_id)} == {UPLOADER}
        assert {tag.text for tag in catalog.tags(video_id, raw=True)} == set(one["user_tags"])
        assert (catalog.words(video_id), catalog.sightings(video_id)) == ([], [])


def test_a_stand_in_for_msrvtt_goes_the_whole_way_to_what_training_reads(
    tiny: Path, tmp_path: Path, catalog: Catalog
) -> None:
    from tagline.table.config import TagChoice
    from tagline.table.rows import rows

    annotations, videos = standin.write_msrvtt_standin(tiny, tmp_path / "vtt")
    made = msrvtt.read(annotations)
    assert import_dataset(catalog, made, videos).whole
    learnt, asked = rows(catalog, TagChoice(), "train"), rows(catalog, TagChoice(), "test")
    assert {len(row.texts) for row in learnt} == {20}
    assert [len(row.texts) for row in asked] == [1, 1]
    assert (len(learnt), rows(catalog, TagChoice(), "val")) == (6, [])
    assert not {row.key for row in learnt} & {row.key for row in asked}
    found = {count.what: count.found for count in made.counts}
    assert found["test sentences as an annotator wrote them"] == 2


def test_tagging_takes_an_imported_file_for_known(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    from tagline.tagging.pipeline.plan import plan

    folder = filmed(tmp_path / "videos", "video0.mp4", "video3.mp4")
    import_dataset(catalog, msrvtt.read(vtt), folder)
    made = plan(catalog, [folder], [])
    assert (made.found, made.unchanged, made.jobs) == (2, 2, [])


# -- the command -----------------------------------------------------------------------------------------


def prepare(*arguments: object) -> tuple[int, str]:
    answer = CliRunner().invoke(cli, ["bench", "prepare", *map(str, arguments)])
    return answer.exit_code, answer.output


def test_without_videos_it_only_counts(vtt: Path) -> None:
    code, said = prepare("msrvtt", "--annotations", vtt)
    assert code == 0
    assert "10,000" in said
    assert "nothing was imported" in said
    assert not list(vtt.rglob("catalog.sqlite"))


def test_missing_videos_are_named_and_not_fatal(vtt: Path, tmp_path: Path) -> None:
    folder = filmed(tmp_path / "videos", "video0.mp4")
    arguments = ("msrvtt", "--annotations", vtt, "--videos", folder)
    code, said = prepare(*arguments)
    assert code == 3
    assert "1 of 5 videos" in said
    assert "video1, video2, video3 and 1 more" in said.replace("\n", " ")
    code, said = prepare(*arguments, "--json")
    assert code == 3
    assert json.loads(said)["missing"] == ["video1", "video2", "video3", "video4"]
    filmed(folder, *(f"video{n}.mp4" for n in range(5)))
    assert prepare(*arguments)[0] == 0
    with Catalog.open(folder, create=False) as catalog:
        assert sum(1 for _ in catalog.all_captions()) == 11


def test_a_folder_with_none_of_the_videos_is_nothing_found(vtt: Path, tmp_path: Path) -> None:
    folder = filmed(tmp_path / "videos", "other.mp4")
    assert prepare("msrvtt", "--annotations", vtt, "--videos", folder)[0] == 4


def test_the_library_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = filmed(tmp_path / "videos", "a.mp4", "trip/b.mov")
    (folder / "captions.csv").write_text(CSV)
    assert prepare("plain", "--videos", folder, "--library", tmp_path / "library")[0] == 0
    assert not (folder / ".tagline").exists()
    with Catalog.open(tmp_path / "library", create=False) as catalog:
        assert sum(1 for _ in catalog.all_captions("train")) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("msvd",), 2, "say with --annotations"),
        (("plain", "--videos", "{tmp}", "--split", "7k"), 2, "--split is for msrvtt alone"),
        (("msvd", "--annotations", "{tmp}"), 1, "there is no"),
        (("msvd", "--annotations", "{tmp}", "--videos", "{tmp}/nowhere"), 2, "is not there"),
        (("playhouse", "--videos", "{tmp}"), 1, "has no truth.json"),
    ],
)
def test_mistakes_end_in_a_sentence(tmp_path: Path, arguments: Sequence[str], code: int, why: str) -> None:
    (tmp_path / "captions_msvd.json").write_text("{}")
    answer = prepare(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert answer[0] == code
    assert why in " ".join(answer[1].split())

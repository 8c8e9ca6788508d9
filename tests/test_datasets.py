"""Data sets: each format read, its counts checked, and what is said of a video found in the catalog."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.datasets import (
    create,
    didemo,
    lsmdc,
    msrvtt,
    msvd,
    pexel,
    plain,
    playhouse,
    standin,
    webdataset,
)
from benchmarks.datasets.importer import bring_in, prepared
from benchmarks.datasets.shared import BadAnnotations, Count, Dataset, Item
from experts.tags import Modality
from retrieval.cli import cli
from tagging.catalog import Caption, Catalog
from tagging.uploads import UPLOADER, upload_of, uploads

# -- a small MSR-VTT -------------------------------------------------------------------------------------

SPLIT = {"video0": "train", "video1": "train", "video2": "validate", "video3": "test", "video4": "test"}
JSFUSION = """key,vid_key,video_id,sentence
ret0,msr3,video3,a dog video3 catches
ret1,msr4,video4,its a t shirt
"""


def videodatainfo(splits: Sequence[str]) -> str:
    keys = [key for key, split in SPLIT.items() if split in splits]
    videos = [
        {"id": n, "video_id": key, "category": n, "split": SPLIT[key], "start time": 2.0, "end time": 14.5}
        for n, key in enumerate(keys)
    ]
    sentences = [
        {"sen_id": 100 * n + m, "video_id": key, "caption": text}
        for n, key in enumerate(keys)
        for m, text in enumerate((f"a dog, {key} catches", "It's a t-shirt", "nobody asks with this"))
    ]
    return json.dumps({"info": {}, "videos": videos, "sentences": sentences})


@pytest.fixture
def vtt(tmp_path: Path) -> Path:
    """The original two files, one zipped with a folder in it, and the lists."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    with zipfile.ZipFile(folder / "train_val_annotation.zip", "w") as archive:
        archive.writestr("inside/train_val_videodatainfo.json", videodatainfo(("train", "validate")))
        archive.writestr("inside/readme.txt", "nothing")
    (folder / "test_videodatainfo.json").write_text(videodatainfo(("test",)))
    (folder / "MSRVTT_JSFUSION_test.csv").write_text(JSFUSION)
    (folder / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo1\nvideo2\n")
    (folder / "MSRVTT_train.7k.csv").write_text("video_id\nvideo0\n")
    return folder


def filmed(folder: Path, *names: str) -> Path:
    """Files that are called like videos; an import reads their bytes and nothing more."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"video of {name}".encode())
    return folder


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path / "library") as opened:
        yield opened


def by_key(dataset: Dataset) -> dict[str, Item]:
    return {item.key: item for item in dataset.items}


def texts(item: Item) -> list[str]:
    return [caption.text for caption in item.captions]


def test_msrvtt_asks_with_the_lists_sentence_and_learns_from_all(vtt: Path) -> None:
    items = by_key(msrvtt.read(vtt))
    assert len(items) == 5
    assert texts(items["video0"]) == ["a dog, video0 catches", "It's a t-shirt", "nobody asks with this"]
    assert {caption.split for caption in items["video2"].captions} == {"train"}
    assert items["video3"].captions == (Caption("a dog video3 catches", split="test"),)
    assert items["video3"].category == "music"
    assert items["video3"].duration == 12.5


def test_the_official_split_of_msrvtt_asks_with_every_sentence(vtt: Path) -> None:
    items = by_key(msrvtt.read(vtt, "full"))
    assert [items[f"video{n}"].split for n in range(5)] == ["train", "train", "val", "test", "test"]
    assert all(len(item.captions) == 3 for item in items.values())


def test_what_a_split_does_not_use_brings_no_captions(vtt: Path) -> None:
    items = by_key(msrvtt.read(vtt, "7k"))
    assert (items["video1"].split, items["video1"].captions) == ("", ())
    assert items["video0"].split == "train"


def test_one_merged_file_gives_the_same_as_the_two(vtt: Path, tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    merged.mkdir()
    (merged / "MSRVTT_data.json").write_text(videodatainfo(("train", "validate", "test")))
    for name in ("MSRVTT_JSFUSION_test.csv", "MSRVTT_train.9k.csv"):
        (merged / name).write_text((vtt / name).read_text())
    one, other = by_key(msrvtt.read(merged)), by_key(msrvtt.read(vtt))
    assert {key: item.captions for key, item in one.items()} == {k: i.captions for k, i in other.items()}


def test_an_unpacked_file_beside_its_zip_is_read_once(vtt: Path) -> None:
    (vtt / "train_val_videodatainfo.json").write_text(videodatainfo(("train", "validate")))
    assert len(texts(by_key(msrvtt.read(vtt))["video0"])) == 3


@pytest.mark.parametrize(
    ("sentence", "way"),
    [
        ("a man, walking", "exact"),
        ("A man walking", "loose"),
        ("a man  walking", "loose"),
        ("apply make up", "letters"),
        ("a man running", "none"),
    ],
)
def test_how_a_listed_sentence_agrees_with_an_annotators(sentence: str, way: str) -> None:
    assert msrvtt.matched(["a man, walking", "apply make-up/"], sentence) == way


def test_a_test_video_in_the_training_list_is_refused(vtt: Path) -> None:
    (vtt / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo3\n")
    with pytest.raises(BadAnnotations, match=r"trains on videos of the test set: video3"):
        msrvtt.read(vtt)


def test_genuine_msrvtt_has_the_published_counts(data: Path) -> None:
    made = msrvtt.read(data / "annotations/msrvtt")
    found = {count.what: count.found for count in made.counts}
    assert (found["videos"], found["captions"]) == (10_000, 200_000)
    assert (found["train videos"], found["test videos"]) == (9000, 1000)
    assert found["test sentences as an annotator wrote them"] == 965
    assert found["... but for case, commas and spaces"] == 988
    assert "12 test sentences differ" in made.notes[0]
    assert all(count.ok for count in made.counts)
    assert sum(len(item.captions) for item in made.items) == 181_000


def test_the_other_splits_of_genuine_msrvtt_have_theirs(data: Path) -> None:
    shelf = msrvtt.Shelf(data / "annotations/msrvtt")
    assert sum(len(video.sentences) == 20 for video in msrvtt.videos_of(shelf).values()) == 10_000
    made = msrvtt.read(data / "annotations/msrvtt", "full")
    assert all(count.ok for count in made.counts)
    assert {item.category for item in made.items} == set(msrvtt.CATEGORIES)


# -- MSVD, LSMDC, DiDeMo -----------------------------------------------------------------------------


@pytest.fixture
def msvd_folder(tmp_path: Path) -> Path:
    captions = {"-a_1_2": ["a cat eats", "a cat eats"], "b_0_9": ["a dog"], "c_1_2": ["x"], "d_1_2": ["y"]}
    (tmp_path / "captions_msvd.json").write_text(json.dumps(captions))
    for split, keys in {"train": "-a_1_2", "val": "b_0_9", "test": "c_1_2\nmissing_0_1"}.items():
        (tmp_path / f"{split}_list.txt").write_text(keys)
    return tmp_path


def test_msvd(msvd_folder: Path) -> None:
    made = msvd.read(msvd_folder)
    items = by_key(made)
    assert {key: item.split for key, item in items.items()} == {
        "-a_1_2": "train",
        "b_0_9": "val",
        "c_1_2": "test",
    }
    assert texts(items["-a_1_2"]) == ["a cat eats", "a cat eats"]  # annotators agree; each one counts
    assert made.notes == [
        "the lists name videos that have no sentences, left out: missing_0_1",
        "1 videos with sentences are in none of the lists, left out",
    ]


def test_msvds_original_text_file_and_its_pickle(msvd_folder: Path) -> None:
    (msvd_folder / "captions_msvd.json").unlink()
    (msvd_folder / "raw-captions.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(BadAnnotations, match="is a pickle, which could run anything"):
        msvd.read(msvd_folder)
    (msvd_folder / "AllVideoDescriptions.txt").write_text("# about\n\n-a_1_2 A cat eats.\nb_0_9 A dog.\n")
    assert texts(by_key(msvd.read(msvd_folder))["-a_1_2"]) == ["A cat eats."]


def test_genuine_msvd_has_the_published_counts(data: Path) -> None:
    made = msvd.read(data / "annotations/msvd")
    assert all(count.ok for count in made.counts), made.counts
    assert {count.what: count.found for count in made.counts}["train videos"] == 1200


LSMDC = "{}\t00.00.46.777\t00.00.50.448\t00.00.46.777\t00.00.50.448\tSOMEONE {}.\n"


def test_lsmdc(tmp_path: Path) -> None:
    name = "3009_BATTLE_LOS_ANGELES_00.03.07.170-00.03.09.675"
    (tmp_path / "LSMDC16_annos_training.csv").write_text(
        LSMDC.format(name, "runs") + LSMDC.format(name, 'says "yes')
    )
    # Not UTF-8, and a seventh column as in the challenge's own files.
    line = LSMDC.format("0001_Film_00.00.01.000-00.00.02.000", "drinks café").rstrip("\n") + "\tagain\r\n"
    (tmp_path / "LSMDC16_challenge_1000_publictect.csv").write_bytes(line.encode("latin-1"))
    made = lsmdc.read(tmp_path)
    first, second = made.items
    assert texts(first) == ["SOMEONE runs.", 'SOMEONE says "yes.']
    assert (first.split, second.split) == ("train", "test")
    assert texts(second) == ["SOMEONE drinks café."]
    assert first.captions[0].start is None  # its file is the stretch itself
    assert first.names == (name, f"3009_BATTLE_LOS_ANGELES/{name}")
    assert made.notes == ["there is no LSMDC16_annos_val.csv"]


@pytest.mark.parametrize("line", ["name only\n", "n\t1\t2\t3\t4\tno times\n"])
def test_a_line_of_lsmdc_that_is_cut_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "LSMDC16_annos_val.csv").write_text(line)
    with pytest.raises(BadAnnotations, match="line 1 should have a name, four times and a sentence"):
        lsmdc.read(tmp_path)


def didemo_row(video: str, sentence: str, *times: tuple[int, int]) -> dict[str, object]:
    return {"annotation_id": 1, "video": video, "description": sentence, "times": times, "num_segments": 6}


def test_didemo_groups_rows_to_videos_and_steps_to_seconds(tmp_path: Path) -> None:
    rows = [
        didemo_row("1@N00_22_ab.mov", "later", (3, 4), (3, 4), (0, 5), (3, 3)),
        didemo_row("1@N00_22_ab.mp4", "first", (0, 0), (0, 0), (0, 0), (0, 0)),
        didemo_row("2@N01_33_cd.", "other", (1, 1), (2, 2), (1, 1), (1, 1)),
    ]
    (tmp_path / "test_data.json").write_text(json.dumps(rows))
    made = didemo.read(tmp_path)
    items = by_key(made)
    assert items.keys() == {"1@N00_22", "2@N01_33"}
    assert items["1@N00_22"].captions == (
        Caption("later", 15.0, 25.0, "test"),
        Caption("first", 0.0, 5.0, "test"),
    )
    assert "1@N00_22_ab" in items["1@N00_22"].names
    assert "2@N01_33_cd" in items["2@N01_33"].names
    assert "3 rows, 2 videos, 3 file names" in made.notes[0]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(2, 2), (1, 2), (1, 1), (2, 2)], (10.0, 15.0)),  # most said so
        ([(0, 0), (1, 1), (2, 2), (5, 5)], (5.0, 10.0)),  # nobody agrees: the lower medians
        ([(0, 3), (0, 3), (2, 4), (2, 4)], (0.0, 20.0)),  # two against two
        ([(4, 4)], (20.0, 25.0)),
    ],
)
def test_the_time_of_a_sentence(steps: list[tuple[int, int]], expected: tuple[float, float]) -> None:
    assert didemo.moment(steps) == expected


def test_genuine_didemo_has_1004_test_videos_under_1037_names(data: Path) -> None:
    made = didemo.read(data / "annotations/didemo")
    found = {count.what: count.found for count in made.counts}
    assert (found["test rows"], found["test videos"]) == (4021, 1004)
    assert (found["val rows"], found["val videos"]) == (4180, 1065)
    assert found["train rows"] is None
    assert any("1,037 file names" in note for note in made.notes)
    for item in made.items:
        for caption in item.captions:
            assert caption.start is not None
            assert caption.end is not None
            assert 0 <= caption.start < caption.end <= 30


# -- titles and tags -----------------------------------------------------------------------------------


def test_the_form_of_creates_sample(tmp_path: Path) -> None:
    row = {
        "caption": "一只狗在跑",
        "ann_title": "看，狗！",
        "tag": ["宠物", "狗", "宠物"],
        "class": ["宠物"],
        "url": "https://v.example/x/page/m3230z5ynl3.html",
    }
    (tmp_path / "demo.json").write_text(f"getJson({json.dumps({'宠物': [row]}, indent=1)})\n", "utf-8")
    (item,) = create.read(tmp_path).items
    assert (item.key, item.title, item.category) == ("m3230z5ynl3", "看，狗！", "宠物")
    assert item.tags == ("宠物", "狗")
    assert item.captions == (Caption("一只狗在跑"),)


def test_lists_of_create_have_their_split_in_the_name(tmp_path: Path) -> None:
    for split, tags in {"train": ["狗", "猫"], "test": ["狗"]}.items():
        row = {"caption": "x", "ann_title": "t", "tag": tags, "class": ["a"], "url": f"u/{split}1.html"}
        (tmp_path / f"create_{split}.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    made = create.read(tmp_path)
    assert {item.key: item.split for item in made.items} == {"train1": "train", "test1": "test"}
    found = {count.what: count.found for count in made.counts}
    assert (found["unique tags in either"], found["unique tags in both"]) == (2, 1)


@pytest.mark.parametrize(
    ("name", "split"), [("create_test.json", "test"), ("latest.json", ""), ("Training.csv", "train")]
)
def test_the_split_that_a_files_name_tells(name: str, split: str) -> None:
    assert create.split_of_file(name) == split


def test_genuine_sample_of_create(data: Path) -> None:
    made = create.read(data / "annotations/create")
    assert (made.counts[0].found, made.counts[1].found) == (240, 12)
    assert all(item.title and item.captions and item.tags and item.category for item in made.items)


def test_pexel_is_pictures_with_titles_and_tags(tmp_path: Path, catalog: Catalog) -> None:
    (tmp_path / "train.jsonl").write_text(
        '{"image": "1005.jpeg", "title": "woman playing", "tags": ["tennis", "tennis court"]}\n'
    )
    (tmp_path / "test.csv").write_text('image,title,tags\n7.png,a dress,"dress, young"\n')
    made = pexel.read(tmp_path)
    items = by_key(made)
    assert items["1005.jpeg"].tags == ("tennis", "tennis court")
    assert items["1005.jpeg"].captions == ()
    assert (items["7.png"].tags, items["7.png"].split) == (("dress", "young"), "test")
    folder = filmed(tmp_path / "pictures", "1005.jpeg", "7.mp4")
    assert bring_in(catalog, made, folder).missing == ["7.png"]  # a video of that name is no picture


def test_published_figures_that_were_rounded() -> None:
    assert Count("train", 162_000, 162_340, 1000).ok
    assert Count("train", 162_000, 163_000, 1000).ok is False
    assert Count("train", None, 5).ok is None
    assert Count("train", 5, None).ok is False


# -- folders of one's own ------------------------------------------------------------------------------

CSV = "\n".join(
    [
        "file,caption,split,start,end,title,tags",
        'a.mp4,"a dog, running",train,0,2.5,My dog,dog|my pet',
        "a.mp4,it jumps,train,2.5,4,,jump",
        "trip/b,a cat,test,,,,",
    ]
)


def test_a_plain_folder(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("\ufeff" + CSV + "\n", "utf-8")
    items = by_key(plain.read(tmp_path))
    assert items["a.mp4"].captions == (
        Caption("a dog, running", 0.0, 2.5, "train"),
        Caption("it jumps", 2.5, 4.0, "train"),
    )
    assert items["a.mp4"].tags == ("dog", "my pet", "jump")
    assert items["a.mp4"].title == "My dog"
    assert items["trip/b"].split == "test"


def test_lines_of_json_say_the_same(tmp_path: Path) -> None:
    rows = [
        {"video": "a.mp4", "captions": ["one", "two"], "split": "validation", "tags": ["x"]},
        {"video": "b.mp4", "text": "three"},
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    items = by_key(plain.read(tmp_path))
    assert items["a.mp4"].captions == (Caption("one", split="val"), Caption("two", split="val"))
    assert items["b.mp4"].captions == (Caption("three"),)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("a.mp4,x,tset,,,,", "names a split 'tset'"),
        ("a.mp4,x,,2,1,,", "ends at 1 s before it starts at 2 s"),
        ("a.mp4,x,,nan,,,", "has the time 'nan'"),
        ("a.mp4,x,,-1,,,", "times are seconds from 0 on"),
        (",x,,,,,", "names no video"),
        ("a.mp4,x", "has more or fewer columns"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(tmp_path: Path, row: str, why: str) -> None:
    (tmp_path / "captions.csv").write_text(CSV.splitlines()[0] + "\n" + row + "\n")
    with pytest.raises(BadAnnotations, match=f"captions.csv, line 2.*{why}"):
        plain.read(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff\xfe\x00"])
def test_files_that_are_no_json_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "captions.jsonl").write_bytes(content)
    with pytest.raises(BadAnnotations, match=r"captions.jsonl.* is not JSON"):
        plain.read(tmp_path)


def test_a_zip_that_is_none_is_named(vtt: Path) -> None:
    (vtt / "train_val_annotation.zip").write_bytes(b"PK\x03\x04 and nothing")
    with pytest.raises(BadAnnotations, match="is no zip that can be read"):
        msrvtt.read(vtt)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
KEYS = "video video_id url caption sentences videos times split tags title start image seed captions sen_id"
ROW = st.dictionaries(st.sampled_from([*KEYS.split(), "start time", "category", "description"]), ANYTHING)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        ANYTHING,
        st.lists(ROW, max_size=3),
        st.fixed_dictionaries({"videos": st.lists(ROW, max_size=3), "sentences": st.lists(ROW, max_size=3)}),
    )
)
def test_whatever_stands_in_a_json_file_is_read_or_refused_in_a_sentence(
    tmp_path: Path, content: object
) -> None:
    said = []
    for name, reader in {
        "captions.json": plain,
        "train.json": create,
        "test.json": pexel,
        "test_data.json": didemo,
        "MSRVTT_data.json": msrvtt,
        "captions_msvd.json": msvd,
        "truth.json": playhouse,
    }.items():
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir(exist_ok=True)
        (folder / "MSRVTT_JSFUSION_test.csv").write_text(JSFUSION)
        (folder / name).write_text(json.dumps(content))
        for split in ("train", "val", "test"):
            (folder / f"{split}_list.txt").write_text("")
        try:
            reader.read(folder, **({"variant": "full"} if reader is msrvtt else {}))
        except BadAnnotations as refused:
            said.append(str(refused))
    assert not any("\n" in sentence for sentence in said)


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
    assert bring_in(catalog, made, into).found == 2
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
    outcome = bring_in(catalog, msrvtt.read(vtt), folder)
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
    bring_in(catalog, msrvtt.read(vtt), folder)
    before = state(catalog)
    assert bring_in(catalog, msrvtt.read(vtt), folder).changed == 0
    assert state(catalog) == before
    filmed(folder, "video4.mp4")
    outcome = bring_in(catalog, msrvtt.read(vtt), folder)
    assert (outcome.found, outcome.changed) == (2, 1)
    assert state(catalog)[:1] == before


def test_another_split_takes_the_place_of_the_first(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    folder = filmed(tmp_path / "videos", *(f"video{n}.mp4" for n in range(5)))
    bring_in(catalog, msrvtt.read(vtt, "full"), folder)
    bring_in(catalog, msrvtt.read(vtt, "7k"), folder)
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
    outcome = bring_in(catalog, msrvtt.read(vtt), folder)
    (video,) = catalog.videos()
    assert {caption.split for caption in catalog.captions(video.id)} == {"test"}
    assert "one and the same file" in outcome.notes[0]
    assert len(video.paths) == 2


def test_a_renamed_or_copied_library_is_known_by_content(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    folder = filmed(tmp_path / "videos", "video0.mp4")
    bring_in(catalog, msrvtt.read(vtt), folder)
    moved = folder.rename(tmp_path / "moved")
    assert bring_in(catalog, msrvtt.read(vtt), moved).changed == 0
    (video,) = catalog.videos()
    assert video.paths == [str(moved / "video0.mp4")]


def test_an_empty_file_is_no_video(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    folder = filmed(tmp_path / "videos", "video0.mp4")
    (folder / "video1.mp4").touch()
    (folder / "video3.mp4").touch()
    outcome = bring_in(catalog, msrvtt.read(vtt), folder)
    assert outcome.found == 1
    assert [line.endswith("is empty") for line in outcome.unreadable] == [True, True]
    assert not outcome.whole


def tagged(tags: tuple[str, ...]) -> Dataset:
    return Dataset("create", [Item("a", ("a",), split="train", title="狗", tags=tags, duration=8.0)], [])


def test_an_uploaders_tags_are_learnt_from_and_a_person_overrules_them(
    tmp_path: Path, catalog: Catalog
) -> None:
    folder = filmed(tmp_path / "videos", "a.mp4")
    bring_in(catalog, tagged(("Dogs", "cute", "cute", "wrong")), folder)
    ((video_id, upload),) = uploads(catalog, "train")
    assert (upload.dataset, upload.key, upload.title) == ("create", "a", "狗")
    assert sorted(upload.tags) == ["cute", "dog", "wrong"]
    held = catalog.tags(video_id)
    assert {(tag.modality, tag.source, tag.end) for tag in held} == {(Modality.HUMAN, UPLOADER, 8.0)}
    assert catalog.verdicts() == []  # nobody here said so

    catalog.decide.reject(video_id, "wrong")
    catalog.decide.add(video_id, "mine")
    bring_in(catalog, tagged(("Dogs", "wrong", "new")), folder)
    ((_, again),) = uploads(catalog)
    assert sorted(again.tags) == ["dog", "mine", "new"]
    assert list(uploads(catalog, "test")) == []


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The playhouse's smallest set with its real truth; the files are called like its videos."""
    from benchmarks.playhouse import sets
    from benchmarks.playhouse.truth import to_json, truth

    specs = sets.videos("tiny")
    videos = [to_json(truth(spec.seed)) for spec in specs]
    folder = filmed(tmp_path_factory.mktemp("tiny"), *(spec.name for spec in specs))
    content = {"version": sets.VERSION, "set": "tiny", "seed": 0, "videos": videos}
    (folder / sets.TRUTH).write_text(json.dumps(content))
    return folder


def test_the_playhouse_brings_what_people_write_and_never_the_truth(tiny: Path, catalog: Catalog) -> None:
    made = playhouse.read(tiny)
    assert all(count.ok is not False for count in made.counts)
    assert bring_in(catalog, made, tiny).whole
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
    from table.batches import rows
    from table.config import TagChoice

    annotations, videos = standin.write(tiny, tmp_path / "vtt")
    made = msrvtt.read(annotations)
    assert bring_in(catalog, made, videos).whole
    learnt, asked = rows(catalog, TagChoice(), "train"), rows(catalog, TagChoice(), "test")
    assert {len(row.texts) for row in learnt} == {20}
    assert [len(row.texts) for row in asked] == [1, 1]
    assert (len(learnt), rows(catalog, TagChoice(), "val")) == (6, [])
    assert not {row.key for row in learnt} & {row.key for row in asked}
    found = {count.what: count.found for count in made.counts}
    assert found["test sentences as an annotator wrote them"] == 2


def test_tagging_takes_an_imported_file_for_known(vtt: Path, tmp_path: Path, catalog: Catalog) -> None:
    from tagging.planning import plan

    folder = filmed(tmp_path / "videos", "video0.mp4", "video3.mp4")
    bring_in(catalog, msrvtt.read(vtt), folder)
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

"""Data sets: each genuine format read, its counts checked, odd content refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from annotations import CSV, JSFUSION, by_key, filmed, texts, videodatainfo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagline.benchmarks.datasets import create_pexel, didemo, lsmdc, msrvtt, msvd, plain, playhouse
from tagline.benchmarks.datasets.dataset import BadAnnotations, PublishedCount
from tagline.benchmarks.datasets.importer import import_dataset
from tagline.tagging.catalog.records import Caption
from tagline.tagging.catalog.write import Catalog


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
    shelf = msrvtt.Annotations(data / "annotations/msrvtt")
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
        "left out, because they are in none of the lists: 1 with sentences",
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


def test_what_is_learnt_from_is_never_asked_for(tmp_path: Path) -> None:
    (tmp_path / "LSMDC16_annos_training.csv").write_text(
        LSMDC.format("a", "runs") + LSMDC.format("b", "sits")
    )
    (tmp_path / "LSMDC16_challenge_1000_publictect.csv").write_text(LSMDC.format("a", "jumps"))
    made = lsmdc.read(tmp_path)
    items = by_key(made)
    assert (items["a"].split, texts(items["a"])) == ("test", ["SOMEONE jumps."])
    assert "in two lists, kept in the later of train, val, test alone: a" in made.notes

    for split in ("train", "test"):
        rows = [
            didemo_row("1@N00_22_ab.mov", split, (0, 0)),
            didemo_row(f"1@N00_{split}_ab.mov", "x", (0, 0)),
        ]
        (tmp_path / f"{split}_data.json").write_text(json.dumps(rows))
    items = by_key(didemo.read(tmp_path))
    assert (items["1@N00_22"].split, texts(items["1@N00_22"])) == ("test", ["test"])
    assert items["1@N00_train"].split == "train"


@pytest.mark.parametrize("line", ["name only\n", "\t1\t2\t3\t4\tno name\n"])
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
    (item,) = create_pexel.read_create(tmp_path).items
    assert (item.key, item.title, item.category) == ("m3230z5ynl3", "看，狗！", "宠物")
    assert item.tags == ("宠物", "狗")
    assert item.captions == (Caption("一只狗在跑"),)


def test_lists_of_create_have_their_split_in_the_name(tmp_path: Path) -> None:
    for split, tags in {"train": ["狗", "猫"], "test": ["狗"]}.items():
        row = {"caption": "x", "ann_title": "t", "tag": tags, "class": ["a"], "url": f"u/{split}1.html"}
        (tmp_path / f"create_{split}.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    made = create_pexel.read_create(tmp_path)
    assert {item.key: item.split for item in made.items} == {"train1": "train", "test1": "test"}
    found = {count.what: count.found for count in made.counts}
    assert (found["unique tags in either"], found["unique tags in both"]) == (2, 1)


@pytest.mark.parametrize(
    ("name", "split"), [("create_test.json", "test"), ("latest.json", ""), ("Training.csv", "train")]
)
def test_the_split_that_a_files_name_tells(name: str, split: str) -> None:
    assert create_pexel.split_of_file(name) == split


def test_genuine_sample_of_create(data: Path) -> None:
    made = create_pexel.read_create(data / "annotations/create")
    assert (made.counts[0].found, made.counts[1].found) == (240, 12)
    assert all(item.title and item.captions and item.tags and item.category for item in made.items)


def test_pexel_is_pictures_with_titles_and_tags(tmp_path: Path, catalog: Catalog) -> None:
    (tmp_path / "train.jsonl").write_text(
        '{"image": "1005.jpeg", "title": "woman playing", "tags": ["tennis", "tennis court"]}\n'
    )
    (tmp_path / "test.csv").write_text('image,title,tags\n7.png,a dress,"dress, young"\n')
    made = create_pexel.read_pexel(tmp_path)
    items = by_key(made)
    assert items["1005.jpeg"].tags == ("tennis", "tennis court")
    assert items["1005.jpeg"].captions == ()
    assert (items["7.png"].tags, items["7.png"].split) == (("dress", "young"), "test")
    folder = filmed(tmp_path / "pictures", "1005.jpeg", "7.mp4")
    assert import_dataset(catalog, made, folder).missing == ["7.png"]  # a video of that name is no picture


def test_published_figures_that_were_rounded() -> None:
    assert PublishedCount("train", 162_000, 162_340, 1000).ok
    assert PublishedCount("train", 162_000, 163_000, 1000).ok is False
    assert PublishedCount("train", None, 5).ok is None
    assert PublishedCount("train", 5, None).ok is False


# -- folders of one's own ------------------------------------------------------------------------------


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
        "train.json": create_pexel,
        "test.json": create_pexel,
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
            read = create_pexel.read_create if reader is create_pexel else reader.read
            read(folder, **({"variant": "full"} if reader is msrvtt else {}))
        except BadAnnotations as refused:
            said.append(str(refused))
    assert not any("\n" in sentence for sentence in said)

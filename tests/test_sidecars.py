"""Sidecars: what goes out comes back the same, what is somebody else's stays, in every format."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import ANNA, CAT, DOG, EVERY, HASH, LOSSLESS, nasty, one, sheet, sheets, texts

from tagline.experts.tags import Modality, Sighting, Tag, Word
from tagline.tagging.formats import coco, csvs, jsons, merging, nfo, parquet, transcript, webvtt
from tagline.tagging.formats.sheet import BadFile, VideoExport
from tagline.tagging.vocabulary import clean


@pytest.mark.parametrize("module", LOSSLESS)
@settings(max_examples=60, deadline=None)
@given(said=sheets)
def test_what_goes_out_comes_back_the_same(module: Any, said: VideoExport) -> None:
    merge, read = one(module)
    found = read(merge(said, None))
    by_time = sorted(said.tags, key=lambda tag: tag.start) if module is webvtt else list(said.tags)
    assert (found.tags if found else []) == by_time
    assert found is None or (found.keywords, found.removed) == ([], [])


@settings(max_examples=60, deadline=None)
@given(said=sheets)
def test_an_nfo_keeps_texts_alone(said: VideoExport) -> None:
    data = nfo.merge(said, None)
    written = [element.text for element in ElementTree.fromstring(data).iter("tag")]
    assert written == list(dict.fromkeys(text for tag in said.tags if (text := clean(tag.text))))
    found = nfo.read(data)
    assert (found.video, found.keywords, found.removed) == (HASH, [], [])


@pytest.mark.parametrize("module", EVERY)
@settings(max_examples=40, deadline=None)
@given(first=sheets, second=sheets)
def test_merging_twice_is_merging_once(module: Any, first: VideoExport, second: VideoExport) -> None:
    merge, _ = one(module)
    once = merge(second, merge(first, None))
    assert merge(second, once) == once


@given(st.lists(texts), st.lists(texts), st.lists(texts))
def test_the_merge_rule(present: list[str], written: list[str], wanted: list[str]) -> None:
    def apply(here: list[str], before: list[str]) -> tuple[list[str], tuple[str, ...]]:
        change = merging.merge_keywords(here, before, wanted)
        return [text for text in here if text not in change.drop] + list(change.append), change.ours

    after, ours = apply(present, written)
    theirs = set(present) - set(written)
    assert theirs <= set(after), "what is not ours stays"
    assert set(wanted) <= set(after) | set(written), "what is wanted is there, unless somebody took it out"
    assert not (set(after) - theirs - set(wanted)), "ours that nobody wants any more are gone"
    assert apply(after, list(ours)) == (after, ours), "twice is once"


# ---- WebVTT

SUBTITLES = """WEBVTT - Our holiday

STYLE
::cue { color: yellow }

NOTE by hand

intro
00:00:01.000 --> 00:00:04.000 align:start
Hello, Grandma!

00:10.000 --> 00:12.000
<v Anna>Look at the dog
"""
WORDS = tuple(
    Word(text, i * 0.5, i * 0.5 + 0.4, 0.9)
    for i, text in enumerate(["look", "at", "<that>", "&", "this", "dog", "over", "there"])
)


def test_a_transcript_is_subtitles_with_the_time_of_each_word() -> None:
    data = transcript.merge(sheet(words=WORDS), None).decode()
    track = webvtt.parse(data.encode())
    assert [(cue.start, cue.end) for cue in track.cues] == [(0.0, 3.9)]
    assert "look <00:00:00.500>at <00:00:01.000>&lt;that&gt; <00:00:01.500>&amp; <00:00:02.000>this" in data


def test_subtitles_of_somebody_win_over_what_a_machine_heard() -> None:
    later = tuple(replace(word, start=word.start + 20, end=word.end + 20) for word in WORDS)
    data = transcript.merge(sheet(words=WORDS + later), SUBTITLES.encode()).decode()
    for block in SUBTITLES.strip().split("\n\n"):
        assert block in data
    track = webvtt.parse(data.encode())
    assert [cue.start for cue in track.cues] == [1.0, 10.0, 20.0]
    assert transcript.merge(sheet(words=WORDS + later), data.encode()).decode() == data


def test_a_corrected_cue_is_kept() -> None:
    data = transcript.merge(sheet(words=WORDS), None).replace(b"look", b"LOOK")
    again = transcript.merge(sheet(words=WORDS), data)
    assert again == data
    assert again.count(b" --> ") == 1


def test_long_speech_is_cut_into_lines_that_can_be_read() -> None:
    words = [Word("word", i * 0.3, i * 0.3 + 0.2, 0.9) for i in range(200)]
    groups = list(transcript.caption_lines(words))
    assert [word for group in groups for word in group] == words
    for group in groups:
        assert group[-1].end - group[0].start <= transcript.LONGEST
        assert len(transcript.line_text(group)) <= transcript.WIDEST


def test_cues_of_others_stay_in_a_metadata_track() -> None:
    data = webvtt.merge(sheet(DOG, CAT), SUBTITLES.encode())
    track = webvtt.parse(data)
    assert [cue.start for cue in track.cues] == [0.0, 1.0, 1.5, 10.0]
    assert b"<v Anna>Look at the dog" in data
    assert b"::cue { color: yellow }" in data
    assert sorted(webvtt.read(data).tags, key=lambda t: t.start) == [CAT, DOG]
    assert [cue.payload for cue in webvtt.parse(webvtt.merge(sheet(), data)).cues] == [
        "Hello, Grandma!",
        "<v Anna>Look at the dog",
    ]


def test_a_tag_that_somebody_wrote_into_the_track_is_a_persons_word() -> None:
    data = webvtt.merge(sheet(DOG), None) + b'\n00:05.000 --> 00:06.500\n{"text": "Anna"}\n'
    assert webvtt.read(data).tags == [DOG, Tag("Anna", Modality.HUMAN, 1.0, 5.0, 6.5, "human")]
    assert webvtt.read(webvtt.merge(sheet(DOG, ANNA), data)).tags[1:] == [
        DOG,
        Tag("Anna", Modality.HUMAN, 1.0, 5.0, 6.5, "human"),
    ]


# ---- rows: CSV, JSON, Parquet


@given(nasty | texts)
def test_no_cell_is_a_formula_and_each_reads_back(text: str) -> None:
    cell = csvs.cell(text)
    assert csvs.unguard(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


@settings(max_examples=40, deadline=None)
@given(sheets)
def test_csv_of_transcripts_runs_nothing_in_a_spreadsheet(said: VideoExport) -> None:
    merge, _ = one(csvs)
    table = list(csv.reader(io.StringIO(merge(said, None).decode(), newline="")))
    for cells in table[1:]:
        for cell in cells:
            assert cell == "" or cell[0] not in "=+-@\t\r\n＝＋－＠"


def test_rows_of_a_person_stay_and_count_as_theirs() -> None:
    merge, read = one(csvs)
    lines = merge(sheet(DOG, CAT), None).decode().splitlines()
    lines[1] = lines[1].replace("0.875", "0.88")  # changed by hand
    lines.append(f"{HASH},,Anna,human,,3,4,,,")
    lines.append(f"{HASH},,Oslo,,,,,,,")
    data = ("\n".join(lines) + "\n").encode()
    found = read(data)
    assert found.tags == [
        replace(DOG, score=0.88, source="human"),
        CAT,
        Tag("Anna", Modality.HUMAN, 1.0, 3.0, 4.0, "human"),
    ]
    assert found.keywords == [("Oslo", Modality.HUMAN)]
    again = read(merge(sheet(CAT), data))
    assert {tag.text for tag in again.tags} == {"dog", "cat", "Anna"}
    assert again.keywords == found.keywords


def test_other_videos_and_further_columns_stay() -> None:
    other = VideoExport("cd" * 32, "/films/other.mp4", tags=(CAT,))
    for module in (csvs, parquet, jsons):
        out = io.BytesIO()
        module.write(out, iter([sheet(DOG), other]), frozenset([HASH, other.video]), None)
        data = out.getvalue()
        if module is csvs:
            table = [*csv.reader(io.StringIO(data.decode()))]
            table = [[*line, "my note" if n == 0 else f"note {n}"] for n, line in enumerate(table)]
            text = io.StringIO()
            csv.writer(text).writerows(table)
            data = text.getvalue().encode()
        if module is jsons:
            content = json.loads(data)
            content["mine"] = 1
            content["videos"][0]["mine"] = content["videos"][0]["tags"][0]["mine"] = 2
            data = json.dumps(content).encode()
        if module is parquet:
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pq.read_table(io.BytesIO(data))
            out = io.BytesIO()
            pq.write_table(table.append_column("mine", pa.array([7, 8], pa.int16())), out)
            data = out.getvalue()
        merge, _ = one(module)
        merged = merge(sheet(DOG), data)
        assert {f.video: f.tags for f in module.read(io.BytesIO(merged))} == {HASH: [DOG], other.video: [CAT]}
        if module is csvs:
            kept = list(csv.DictReader(io.StringIO(merged.decode())))
            assert {row["text"]: row["my note"] for row in kept} == {"dog": "note 1", "cat": "note 2"}
        if module is jsons:
            content = json.loads(merged)
            entry = next(video for video in content["videos"] if video["video"] == HASH)
            assert (content["mine"], entry["mine"], entry["tags"][0]["mine"]) == (1, 2, 2)
        if module is parquet:
            kept_rows = pq.read_table(io.BytesIO(merged)).to_pylist()
            assert {row["text"]: row["mine"] for row in kept_rows} == {"dog": 7, "cat": 8}
        assert merge(sheet(DOG), merged) == merged or module is parquet


def test_a_spreadsheets_own_spelling_breaks_no_checksum() -> None:
    merge, read = one(csvs)
    data = merge(sheet(DOG, replace(CAT, score=0.5, end=1.0)), None).decode("utf-8")
    respelt = data.replace(",1.0,", ",1,").replace(",0.5,", ",0.50,").replace(",0.0,", ",0,")
    assert respelt != data
    semicolons = "\ufeff" + "\n".join(
        ";".join(cell.replace(".", ",") if re.fullmatch(r"[\d.]+", cell) else cell for cell in line)
        for line in csv.reader(io.StringIO(respelt))
    )
    for text in (respelt, semicolons):
        assert read(text.encode()).tags == [DOG, CAT]


def as_json(tag: bytes) -> bytes:
    return b'{"format": "tagline tags", "version": 1, "videos": [{"tags": [' + tag + b"]}]}"


@pytest.mark.parametrize(
    ("module", "data"),
    [
        (jsons, b"[" * 100_000),
        (jsons, b'{"format": "tagline tags", "version": 99, "videos": []}'),
        (jsons, b'{"format": "tagline tags", "version": 1, "videos": [3]}'),
        (jsons, as_json(b"7")),
        (jsons, as_json(b'{"text": "a", "start": NaN}')),
        (jsons, as_json(b'{"text": "a", "start": 1e999}')),
        (jsons, as_json(b'{"text": "a", "start": 1' + b"0" * 5000 + b"}")),
        (jsons, as_json(b'{"text": "a", "start": 3, "end": 2}')),
        (jsons, as_json(b'{"text": "a", "score": 7}')),
        (jsons, as_json(b'{"text": "a", "modality": "x"}')),
        (jsons, as_json(b'{"text": "' + b"a" * 2000 + b'"}')),
        (csvs, b"name,when\nx,1\n"),
        (csvs, b"text,start\ndog,soon\n"),
        (csvs, b"\xff\xfe\x00text"),
        (csvs, b'text\n"open'),
        (parquet, b"PAR1 not really PAR1"),
        (parquet, b""),
    ],
)
def test_broken_files_are_refused_in_a_sentence(module: Any, data: bytes) -> None:
    with pytest.raises(BadFile) as caught:
        module.read(io.BytesIO(data))
    assert len(str(caught.value)) < 200


def test_names_that_are_not_utf8_go_out_as_text() -> None:
    seen = (Sighting("dog", 0.9, 1.0, (0, 0, 1, 1)),)
    odd = VideoExport(HASH, os.fsdecode(b"/films/caf\xe9\x1b[2J.mp4"), None, 9.0, 4, 4, (DOG,), (), seen)
    for module in EVERY:
        data = one(module)[0](odd, None)
        if module is not parquet:
            assert b"\x1b" not in data
            data.decode("utf-8")


# ---- COCO


def test_coco_boxes_are_pixels_inside_the_picture() -> None:
    seen = (
        Sighting("dog", 0.9, 2.0, (0.25, 0.5, 0.5, 0.25)),
        Sighting("dog", 0.8, 1.0, (-0.1, 0.9, 0.5, 0.5)),
        Sighting("cat", 0.7, 2.0, (0.0, 0.0, 1.0, 1.0)),
        Sighting("cloud", 0.7, 2.0, None),
    )
    merge, _ = one(coco)
    data = json.loads(merge(sheet(width=640, height=360, sightings=seen), None))
    assert [image["file_name"] for image in data["images"]] == [
        "/films/holiday.mp4#t=1.000",
        "/films/holiday.mp4#t=2.000",
    ]
    assert [box["bbox"] for box in data["annotations"]] == [
        [0.0, 324.0, 256.0, 36.0],
        [160.0, 180.0, 320.0, 90.0],
        [0.0, 0.0, 640.0, 360.0],
    ]
    names = {category["id"]: category["name"] for category in data["categories"]}
    assert [names[box["category_id"]] for box in data["annotations"]] == ["dog", "dog", "cat"]


def test_coco_keeps_what_others_have_drawn() -> None:
    theirs: dict[str, Any] = {
        "info": {},
        "images": [{"id": 40, "file_name": "a.jpg", "width": 2, "height": 2}],
        "annotations": [{"id": 9, "image_id": 40, "category_id": 3, "bbox": [0, 0, 1, 1]}],
        "categories": [{"id": 3, "name": "dog"}],
        "licenses": [{"id": 1}],
    }
    merge, _ = one(coco)
    said = sheet(width=10, height=10, sightings=(Sighting("dog", 0.9, 2.0, (0.0, 0.0, 1.0, 1.0)),))
    data = json.loads(merge(said, json.dumps(theirs).encode()))
    assert data["images"][0] == theirs["images"][0]
    assert data["annotations"][0] == theirs["annotations"][0]
    assert (data["annotations"][1]["image_id"], data["annotations"][1]["category_id"]) == (41, 3)
    assert data["licenses"] == theirs["licenses"]
    twice = merge(said, json.dumps(data).encode())
    assert json.loads(twice) == data

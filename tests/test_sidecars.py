"""Sidecars: what goes out comes back the same, what is somebody else's stays, and nothing hostile gets in."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experts.tags import Modality, Sighting, Tag, Word
from tagging.sidecars import (
    FORMATS,
    coco,
    csvs,
    files,
    jsons,
    merging,
    nfo,
    parquet,
    rows,
    safexml,
    transcript,
    webvtt,
    xmp,
)
from tagging.sidecars.sheet import Sheet, Unusable
from tagging.vocabulary import clean

HASH = "ab" * 32
seconds = st.floats(0, 90_000, allow_nan=False)
texts = st.text(min_size=1, max_size=30).filter(str.strip)
nasty = st.sampled_from(
    [
        "=cmd|' /C calc'!A0",
        "+1",
        "-1+2",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "'=1",
        "''",
        "]]>",
        "<svg onload=alert(1)>",
        "a & b",
        "--> now",
        "a\n\nb",
        "a|b/c",
        "\x00\x1b[2J",
        "\ufffe\uffff",
        "\u202ereversed",
        "\u2028line",
        "＝1",
        "NOTE tagline {}",
        '"quoted", and; more',
    ]
)


@st.composite
def tags(draw: Any) -> Tag:
    start = draw(seconds)
    end = start + draw(seconds)
    best = draw(st.none() | st.floats(0, 200_000, allow_nan=False))
    return Tag(
        draw(nasty | texts),
        draw(st.sampled_from(Modality)),
        draw(st.floats(0, 1, allow_nan=False)),
        start,
        end,
        draw(st.sampled_from(["object", "speech", "person", "somebody's expert"])),
        best,
    )


def sheet(*some: Tag, **more: Any) -> Sheet:
    return Sheet(HASH, "/films/holiday.mp4", tags=some, **more)


sheets = st.lists(tags(), max_size=6).map(lambda some: sheet(*some))
DOG = Tag("dog", Modality.OBJECT, 0.875, 1.5, 4.25, "object", 2.0)
CAT = Tag("cat", Modality.OBJECT, 0.5, 0.0, 1.0, "object", 0.5)
ANNA = Tag("Anna", Modality.HUMAN, 1.0, 0.0, 9.0, "person")


def one(module: Any) -> tuple[Callable[[Sheet, bytes | None], bytes], Callable[[bytes], Any]]:
    """`merge` and `read` of one video, also for formats in which a file holds many."""
    if hasattr(module, "merge"):
        return module.merge, module.read

    def merge(said: Sheet, old: bytes | None) -> bytes:
        out = io.BytesIO()
        before = io.BytesIO(old) if old is not None else None
        module.write(out, iter([said]), frozenset([said.video]), before)
        return out.getvalue()

    def read(data: bytes) -> Any:
        return next(iter(module.read(io.BytesIO(data))), None)

    return merge, read


LOSSLESS = [xmp, webvtt, jsons, csvs, parquet]
EVERY = [*LOSSLESS, nfo, transcript, coco]


@pytest.mark.parametrize("module", LOSSLESS)
@settings(max_examples=60, deadline=None)
@given(said=sheets)
def test_what_goes_out_comes_back_the_same(module: Any, said: Sheet) -> None:
    merge, read = one(module)
    found = read(merge(said, None))
    by_time = sorted(said.tags, key=lambda tag: tag.start) if module is webvtt else list(said.tags)
    assert (found.tags if found else []) == by_time
    if found:
        assert (found.keywords, found.removed) == ([], [])


@settings(max_examples=60, deadline=None)
@given(said=sheets)
def test_an_nfo_keeps_texts_alone(said: Sheet) -> None:
    data = nfo.merge(said, None)
    written = [element.text for element in ElementTree.fromstring(data).iter("tag")]
    assert written == list(dict.fromkeys(text for tag in said.tags if (text := clean(tag.text))))
    found = nfo.read(data)
    assert (found.video, found.keywords, found.removed) == (HASH, [], [])


@pytest.mark.parametrize("module", EVERY)
@settings(max_examples=40, deadline=None)
@given(first=sheets, second=sheets)
def test_merging_twice_is_merging_once(module: Any, first: Sheet, second: Sheet) -> None:
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


# ---- XMP

FOREIGN = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<!-- made by hand -->
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Some Program 1.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"
   xmp:Label="a&#10;b &quot;c&quot;">
   <my:thing xmlns:my="https://example.com/mine/" my:kind="&lt;odd&gt;">kept &amp; whole<my:deep/></my:thing>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:d="http://purl.org/dc/elements/1.1/">
   <d:subject>
    <rdf:Bag>
     <rdf:li>dog</rdf:li>
     <rdf:li>Grandma</rdf:li>
    </rdf:Bag>
   </d:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def shape(data: bytes) -> Any:
    """A document as nested tuples, without what belongs to us and without white space between elements."""
    mine = {f"{{{uri}}}{name}" for uri, _, name, *_ in xmp.LISTS}

    def visit(element: ElementTree.Element) -> Any:
        theirs = [e for e in element if not e.tag.startswith(f"{{{xmp.OURS}}}") and e.tag not in mine]
        children = [visit(e) for e in theirs]
        return element.tag, sorted(element.attrib.items()), (element.text or "").strip(), children

    return visit(ElementTree.fromstring(data))


def keywords(data: bytes, uri: str = xmp.DC, name: str = "subject") -> list[str]:
    root = ElementTree.fromstring(data)
    return [li.text or "" for found in root.iter(f"{{{uri}}}{name}") for li in found.iter(f"{{{xmp.RDF}}}li")]


@settings(max_examples=40, deadline=None)
@given(sheets)
def test_an_xmp_sidecar_of_somebody_keeps_everything_of_theirs(said: Sheet) -> None:
    data = xmp.merge(said, FOREIGN.encode())
    assert shape(data) == shape(FOREIGN.encode())
    assert keywords(data)[:2] == ["dog", "Grandma"]
    assert b"made by hand" in data
    assert b"W5M0MpCehiHzreSzNTczkc9d" in data
    emptied = xmp.merge(sheet(), data)
    assert keywords(emptied) == ["dog", "Grandma"]
    assert shape(emptied) == shape(FOREIGN.encode())


def test_xmp_holds_what_photo_programs_look_for() -> None:
    data = xmp.merge(sheet(DOG, ANNA, replace(DOG, text="a|b/c")), None)
    assert keywords(data) == ["dog", "Anna", "a|b/c"]
    assert keywords(data, xmp.LR, "hierarchicalSubject") == ["object|dog", "Anna", "object|a∣b/c"]
    assert keywords(data, xmp.DIGIKAM, "TagsList") == ["object/dog", "Anna", "object/a|b∕c"]
    assert ElementTree.fromstring(data).find(f".//{{{xmp.DIGIKAM}}}TagsList/{{{xmp.RDF}}}Seq") is not None


def test_a_keyword_taken_out_elsewhere_stays_out_and_is_told() -> None:
    data = xmp.merge(sheet(DOG, CAT), None)
    one_left = b"<dc:subject><rdf:Bag><rdf:li>cat</rdf:li></rdf:Bag></dc:subject>"
    without = re.sub(rb"<dc:subject>.*?</dc:subject>", one_left, data, flags=re.S)
    assert xmp.read(without).removed == ["dog"]
    again = xmp.merge(sheet(DOG, CAT), without)
    assert keywords(again) == ["cat"]
    assert xmp.read(again).removed == ["dog"]
    # Once the tag has been rejected there is nothing left to remember, and a later one comes in again.
    assert keywords(xmp.merge(sheet(DOG, CAT), xmp.merge(sheet(CAT), again))) == ["cat", "dog"]


def test_keywords_of_others_are_read_with_their_kind() -> None:
    data = FOREIGN.replace("<rdf:li>dog</rdf:li>", "<rdf:li>dog</rdf:li><rdf:li>Paris</rdf:li>").replace(
        "</rdf:RDF>",
        '<rdf:Description xmlns:k="http://www.digikam.org/ns/1.0/"><k:TagsList><rdf:Seq><rdf:li>object/dog</rdf:li>'
        "<rdf:li>Places/France/Paris</rdf:li></rdf:Seq></k:TagsList></rdf:Description></rdf:RDF>",
    )
    found = xmp.read(data.encode())
    assert found.video is None
    assert dict(found.keywords) == {
        "dog": Modality.OBJECT,
        "Paris": Modality.HUMAN,
        "Grandma": Modality.HUMAN,
    }


def test_the_short_form_that_other_programs_rewrite_it_to_is_understood() -> None:
    """exiv2 turns simple properties into attributes, renames the lists and puts a Seq where a Bag was."""
    data = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{xmp.RDF}">
      <rdf:Description rdf:about="" xmlns:t="{xmp.OURS}" xmlns:dc="{xmp.DC}" t:video="{HASH}">
      <t:wroteSubject><rdf:Bag><rdf:li>dog</rdf:li></rdf:Bag></t:wroteSubject>
      <dc:subject><rdf:Seq><rdf:li>dog</rdf:li><rdf:li>mine</rdf:li></rdf:Seq></dc:subject>
      </rdf:Description></rdf:RDF></x:xmpmeta>""".encode()
    found = xmp.read(data)
    assert (found.video, found.keywords, found.removed) == (HASH, [("mine", Modality.HUMAN)], [])
    assert keywords(xmp.merge(sheet(CAT), data)) == ["mine", "cat"]
    assert xmp.read(xmp.merge(sheet(CAT), data)).video == HASH


def test_a_plain_subject_and_an_empty_packet_are_understood() -> None:
    subject = f'<s:subject xmlns:s="{xmp.DC}"> Oslo </s:subject>'
    plain = f'<r:RDF xmlns:r="{xmp.RDF}"><r:Description>{subject}</r:Description></r:RDF>'
    assert xmp.read(plain.encode()).keywords == [("Oslo", Modality.HUMAN)]
    assert keywords(xmp.merge(sheet(DOG), plain.encode())) == ["Oslo", "dog"]
    empty = f'<r:RDF xmlns:r="{xmp.RDF}"/>'
    assert xmp.read(xmp.merge(sheet(DOG), empty.encode())).tags == [DOG]


# ---- NFO

KODI = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<!-- created by a scraper -->
<movie>
    <title>Our &amp; their holiday</title>
    <tag>dog</tag>
    <tag>beach</tag>
    <set><name>Trips</name></set>
    <plot><![CDATA[We <3 it]]></plot>
</movie>
"""


def test_an_nfo_of_somebody_keeps_everything_of_theirs() -> None:
    data = nfo.merge(sheet(DOG, CAT), KODI.encode())
    root = ElementTree.fromstring(data)
    assert [e.text for e in root.findall("tag")] == ["dog", "beach", "cat"]
    assert (root.findtext("title"), root.findtext("plot")) == ("Our & their holiday", "We <3 it")
    assert root.findtext("set/name") == "Trips"
    assert b"created by a scraper" in data
    assert nfo.read(data).keywords == [("dog", Modality.HUMAN), ("beach", Modality.HUMAN)]
    emptied = ElementTree.fromstring(nfo.merge(sheet(), data))
    assert [e.text for e in emptied.findall("tag")] == ["dog", "beach"]


def test_an_address_below_the_nfo_stays() -> None:
    tail = b"\nhttps://www.themoviedb.org/movie/18\n"
    data = nfo.merge(sheet(DOG), KODI.strip().encode() + tail)
    assert data.endswith(tail)
    assert nfo.merge(sheet(DOG), data) == data


@pytest.mark.parametrize(
    "text", ["https://www.imdb.com/title/tt0119116/", "<html><body/></html>", "", "<movie>"]
)
def test_what_is_no_nfo_is_refused(text: str) -> None:
    with pytest.raises(Unusable):
        nfo.merge(sheet(DOG), text.encode())


# ---- hostile XML (A22)

BOMB = '<!DOCTYPE l [<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
)
HOSTILE = {
    "a DOCTYPE": "<!DOCTYPE movie><movie/>",
    "an external entity": '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><movie><tag>&x;</tag></movie>',
    "a remote DTD": '<!DOCTYPE m SYSTEM "http://127.0.0.1:9/x.dtd"><movie/>',
    "a parameter entity": '<!DOCTYPE m [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><movie/>',
    "a billion laughs": BOMB + "]><movie><tag>&j;</tag></movie>",
    "an undeclared entity": "<movie><tag>&nbsp;</tag></movie>",
    "a control character": "<movie><tag>\x01</tag></movie>",
    "a numbered control character": "<movie><tag>&#1;</tag></movie>",
    "a bottomless nest": "<movie>" + "<a>" * 300 + "</a>" * 300 + "</movie>",
    "a bare ]]>": "<movie><tag>]]></tag></movie>",
    "half a file": "<movie><tag>do",
    "an encoding that is none": '<?xml version="1.0" encoding="no-such"?><movie/>',
}


@pytest.mark.parametrize("name", list(HOSTILE))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_hostile_xml_is_refused(name: str, encoding: str) -> None:
    data = HOSTILE[name].encode(encoding)
    for module in (nfo, xmp):
        with pytest.raises(Unusable) as caught:
            module.read(data)
        assert "\n" not in str(caught.value)
        with pytest.raises(Unusable):
            module.merge(sheet(DOG), data)


def test_giants_are_refused() -> None:
    data = b"<movie>" + b" " * safexml.MOST_BYTES + b"</movie>"
    with pytest.raises(Unusable, match="larger than 16 MB"):
        nfo.read(data)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda t: f"<movie>{t}</movie>".encode("utf-8", "replace"))
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for module in (nfo, xmp, webvtt, jsons, csvs):
        _, read = one(module)
        with suppress(Unusable):
            read(data)


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text())
def test_written_xml_is_always_well_formed(text: str, value: str) -> None:
    root = safexml.new("r")
    root.add("t", text)
    root.attributes.append(("a", value))
    parsed = ElementTree.fromstring(safexml.write(safexml.Document(root)))
    allowed = "".join(c if safexml._allowed(c) else "\ufffd" for c in value)
    assert parsed.attrib["a"] == allowed


def test_sixteen_bit_and_latin_files_are_read() -> None:
    for encoding in ("utf-16", "iso-8859-1"):
        text = f'<?xml version="1.0" encoding="{encoding}"?><movie><tag>Café</tag></movie>'
        assert nfo.read(text.encode(encoding)).keywords == [("Café", Modality.HUMAN)]
        assert "Café" in nfo.merge(sheet(DOG), text.encode(encoding)).decode("utf-8")


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
    groups = list(transcript.lines(words))
    assert [word for group in groups for word in group] == words
    for group in groups:
        assert group[-1].end - group[0].start <= transcript.LONGEST
        assert len(transcript.spoken(group)) <= transcript.WIDEST


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
    assert webvtt.read(data).tags == [DOG, Tag("Anna", Modality.HUMAN, 1.0, 5.0, 6.5, "person")]
    assert webvtt.read(webvtt.merge(sheet(DOG, ANNA), data)).tags[1:] == [
        DOG,
        Tag("Anna", Modality.HUMAN, 1.0, 5.0, 6.5, "person"),
    ]


# ---- rows: CSV, JSON, Parquet


@given(nasty | texts)
def test_no_cell_is_a_formula_and_each_reads_back(text: str) -> None:
    cell = csvs.cell(text)
    assert csvs.unguard(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


@settings(max_examples=40, deadline=None)
@given(sheets)
def test_csv_of_transcripts_runs_nothing_in_a_spreadsheet(said: Sheet) -> None:
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
        replace(DOG, score=0.88, source="person"),
        CAT,
        Tag("Anna", Modality.HUMAN, 1.0, 3.0, 4.0, "person"),
    ]
    assert found.keywords == [("Oslo", Modality.HUMAN)]
    again = read(merge(sheet(CAT), data))
    assert {tag.text for tag in again.tags} == {"dog", "cat", "Anna"}
    assert again.keywords == found.keywords


def test_other_videos_and_further_columns_stay() -> None:
    other = Sheet("cd" * 32, "/films/other.mp4", tags=(CAT,))
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


def test_a_spreadsheets_own_spelling_breaks_no_seal() -> None:
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
    with pytest.raises(Unusable) as caught:
        module.read(io.BytesIO(data))
    assert len(str(caught.value)) < 200


def test_names_that_are_not_utf8_go_out_as_text() -> None:
    seen = (Sighting("dog", 0.9, 1.0, (0, 0, 1, 1)),)
    odd = Sheet(HASH, os.fsdecode(b"/films/caf\xe9\x1b[2J.mp4"), None, 9.0, 4, 4, (DOG,), (), seen)
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
    theirs = {
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


# ---- files (A28)


def fill(data: bytes) -> Callable[[Any], None]:
    return lambda out: out.write(data) and None


def test_links_pipes_and_folders_are_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    (tmp_path / "link.xmp").symlink_to(outside)
    (tmp_path / "dead.xmp").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.xmp").mkdir()
    os.mkfifo(tmp_path / "pipe.xmp")
    for name in ("link.xmp", "dead.xmp", "folder.xmp", "pipe.xmp"):
        with pytest.raises(files.Refused):
            files.open_old(tmp_path / name, 100)
        with pytest.raises(files.Refused):
            files.replace(tmp_path / name, fill(b"x"), None)
    assert outside.read_text() == "secret"
    assert not (tmp_path / "nowhere").exists()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"dead.xmp", "folder.xmp", "link.xmp", "outside", "pipe.xmp"}


def test_a_protected_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_text("mine")
    path.chmod(0o444)
    old = files.open_old(path, 100)
    assert old is not None
    old.handle.close()
    with pytest.raises(files.Refused, match="write-protected"):
        files.replace(path, fill(b"x"), old.state)
    assert path.read_text() == "mine"


def test_a_file_that_changes_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_text("mine")
    old = files.open_old(path, 100)
    assert old is not None
    old.handle.close()

    def meddle(out: Any) -> None:
        out.write(b"x")
        path.write_text("mine, and more")

    with pytest.raises(files.Refused, match="changed by another program"):
        files.replace(path, meddle, old.state)
    assert path.read_text() == "mine, and more"
    with pytest.raises(files.Refused, match="changed by another program"):
        files.replace(path, fill(b"x"), None)
    assert [p.name for p in tmp_path.iterdir()] == ["a.xmp"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_text("mine")
    path.chmod(0o640)
    old = files.open_old(path, 100)
    assert old is not None
    old.handle.close()

    def break_off(out: Any) -> None:
        out.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(files.Refused, match="no space left"):
        files.replace(path, break_off, old.state)
    assert path.read_text() == "mine"
    files.replace(path, fill(b"whole"), old.state)
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["a.xmp"]


def test_names_of_sidecars(tmp_path: Path) -> None:
    video = tmp_path / "holiday.mp4"
    video.touch()
    assert files.beside(video, FORMATS["xmp"]).name == "holiday.mp4.xmp"
    assert files.beside(video, FORMATS["xmp"], short=True).name == "holiday.xmp"
    assert files.beside(video, FORMATS["nfo"]).name == "holiday.nfo"
    assert files.beside(video, FORMATS["vtt-tags"]).name == "holiday.tags.vtt"
    (tmp_path / "holiday.xmp").touch()
    assert files.beside(video, FORMATS["xmp"]).name == "holiday.xmp", "the one that is there"
    (tmp_path / "holiday.cr2").touch()
    assert files.beside(video, FORMATS["xmp"]).name == "holiday.mp4.xmp", "that one may be the photo's"
    with pytest.raises(files.Refused, match=r"holiday\.cr2"):
        files.beside(video, FORMATS["nfo"])


def test_every_format_has_what_the_table_says() -> None:
    for form in FORMATS.values():
        module = form.load()
        assert callable(module.read)
        assert callable(module.merge if form.beside else module.write)
    assert rows.FIELDS[0] == "video"

"""XMP and NFO: everything of theirs stays, photo programs find ours, and nothing hostile gets in."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sheets import ANNA, CAT, DOG, HASH, one, sheet, sheets

from tagline.experts.tags import Modality
from tagline.tagging.formats import csvs, jsons, nfo, safexml, webvtt, xmp
from tagline.tagging.formats.sheet import BadFile, VideoExport

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
def test_an_xmp_sidecar_of_somebody_keeps_everything_of_theirs(said: VideoExport) -> None:
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
    with pytest.raises(BadFile):
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
        with pytest.raises(BadFile) as caught:
            module.read(data)
        assert "\n" not in str(caught.value)
        with pytest.raises(BadFile):
            module.merge(sheet(DOG), data)


def test_giants_are_refused() -> None:
    data = b"<movie>" + b" " * safexml.MOST_BYTES + b"</movie>"
    with pytest.raises(BadFile, match="larger than 16 MB"):
        nfo.read(data)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda t: f"<movie>{t}</movie>".encode("utf-8", "replace"))
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for module in (nfo, xmp, webvtt, jsons, csvs):
        _, read = one(module)
        with suppress(BadFile):
            read(data)


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text())
def test_written_xml_is_always_well_formed(text: str, value: str) -> None:
    root = safexml.new("r")
    root.add("t", text)
    root.attributes.append(("a", value))
    parsed = ElementTree.fromstring(safexml.write(safexml.XmlDocument(root)))
    allowed = safexml.FORBIDDEN.sub("\ufffd", value)
    assert parsed.attrib["a"] == allowed


def test_sixteen_bit_and_latin_files_are_read() -> None:
    for encoding in ("utf-16", "iso-8859-1"):
        text = f'<?xml version="1.0" encoding="{encoding}"?><movie><tag>Café</tag></movie>'
        assert nfo.read(text.encode(encoding)).keywords == [("Café", Modality.HUMAN)]
        assert "Café" in nfo.merge(sheet(DOG), text.encode(encoding)).decode("utf-8")

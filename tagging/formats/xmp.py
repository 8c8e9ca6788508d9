"""XMP sidecars: keywords as photo programs read them, times and scores in our own namespace.

`holiday.mp4.xmp` is the name that digiKam and darktable look for, `holiday.xmp` the one of Adobe's programs
(digiKam reads that as well if told so in its settings). Both are found; see `files.beside`.

What is written, in the `rdf:Description` of the video:

- `dc:subject`, a Bag of keywords; `lr:hierarchicalSubject`, a Bag of `object|dog`; `digiKam:TagsList`, a Seq
  of `object/dog`. What is not ours in these lists stays;
- `tagline:tags`, a Bag of tags as JSON: everything that is known of each, exactly;
- `tagline:video`, the hash of the video's content; `tagline:wrote…`, which keywords came from us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tagline.experts.tags import Modality, Tag
from tagline.tagging.formats import safexml
from tagline.tagging.formats.merging import merge_keywords, removed_keywords
from tagline.tagging.formats.safexml import OtherNode, XmlDocument, XmlElement
from tagline.tagging.formats.sheet import (
    BadFile,
    ImportedVideo,
    VideoExport,
    compact_json,
    parse_json,
    tag_from_dict,
)
from tagline.tagging.vocabulary import clean

X = "adobe:ns:meta/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
LR = "http://ns.adobe.com/lightroom/1.0/"
DIGIKAM = "http://www.digikam.org/ns/1.0/"
OURS = "urn:x-tagline:tags:1.0/"

# Tags of these say nothing of a group that people would look under.
UNGROUPED = frozenset({Modality.HUMAN, Modality.TITLE})


def _path(separator: str, stand_in: str) -> Callable[[Tag], str]:
    """object|dog. A text that holds the separator itself gets a character that looks like it."""

    def spell(tag: Tag) -> str:
        text = clean(tag.text).replace(separator, stand_in)
        return text if tag.modality in UNGROUPED or not text else f"{tag.modality}{separator}{text}"

    return spell


# (namespace, prefix, name, kind of list, separator of groups, how a tag is spelt, where we note what is ours)
LISTS: tuple[tuple[str, str, str, str, str, Callable[[Tag], str], str], ...] = (
    (DC, "dc", "subject", "Bag", "", lambda tag: clean(tag.text), "wroteSubject"),
    (LR, "lr", "hierarchicalSubject", "Bag", "|", _path("|", "∣"), "wroteHierarchicalSubject"),
    (DIGIKAM, "digiKam", "TagsList", "Seq", "/", _path("/", "∕"), "wroteTagsList"),
)


def merge(sheet: VideoExport, old: bytes | None) -> bytes:
    """The sidecar of one video: `old` with our part brought up to date, or a new one."""
    document = safexml.read(old) if old is not None else _empty()
    packet = Packet(document)
    for uri, prefix, name, kind, _, spell, note in LISTS:
        wanted = list(dict.fromkeys(text for tag in sheet.tags if (text := spell(tag))))
        change = merge_keywords(packet.items(uri, name), packet.items(OURS, note), wanted)
        packet.change(uri, prefix, name, kind, change.drop, change.append)
        packet.replace(note, change.ours)
    packet.replace("tags", [compact_json(sheet.row_of(tag)) for tag in sheet.tags])
    packet.set_text("video", sheet.video)
    return safexml.write(document)


def read(data: bytes) -> ImportedVideo:
    """What a sidecar says: our tags as they went out, keywords of others, and ours that were taken out."""
    packet = Packet(safexml.read(data))
    found = ImportedVideo(video=packet.text("video") or None)
    for item in packet.items(OURS, "tags"):
        values = parse_json(item)
        if not isinstance(values, dict):
            raise BadFile("holds tagline:tags that are no tags")
        found.tags.append(tag_from_dict(values))

    # Hierarchies first: they say what kind of thing a keyword is.
    taken: set[str] = set()
    for uri, _, name, _, separator, _, note in reversed(LISTS):
        written = set(packet.items(OURS, note))
        for item in packet.items(uri, name):
            *groups, text = [part.strip() for part in (item.split(separator) if separator else [item])]
            if item not in written and text and text not in taken:
                taken.add(text)
                found.keywords.append((text, _modality(groups)))
    found.removed = removed_keywords(packet.items(DC, "subject"), packet.items(OURS, "wroteSubject"))
    return found


def _modality(groups: Sequence[str]) -> Modality:
    """`object|dog` is an object; `Places|Paris` is what a person says."""
    named = groups[0].casefold() if len(groups) == 1 else ""
    return Modality(named) if named in set(Modality) else Modality.HUMAN


def _empty() -> XmlDocument:
    root = safexml.new("x:xmpmeta", {"x": X})
    about = root.add("RDF", uri=RDF, prefix="rdf").add("Description", uri=RDF)
    spaces = {**{prefix: uri for uri, prefix, *_ in LISTS}, "tagline": OURS}
    about.attributes += [("rdf:about", ""), *((f"xmlns:{prefix}", uri) for prefix, uri in spaces.items())]
    about.scope = {**about.scope, **spaces}
    # The identifier is XMP's own: programs that scan a file for a packet look for it.
    opening = OtherNode('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    return XmlDocument(root, [opening], [OtherNode('<?xpacket end="w"?>')], declared=False)


class Packet:
    """The properties of an XMP document, wherever in it they stand."""

    def __init__(self, document: XmlDocument) -> None:
        rdf = next((e for e in document.root.walk() if e.local == "RDF" and e.uri == RDF), None)
        if rdf is None:
            raise BadFile("is XML, but not XMP")
        self.about = [e for e in rdf if e.local == "Description" and e.uri == RDF]
        if not self.about:
            self.about = [rdf.add("Description", uri=RDF)]
            self.about[0].attributes.append((self.about[0].name.replace("Description", "about"), ""))

    def items(self, uri: str, name: str) -> list[str]:
        """The texts of a list; a plain value counts as a list of one."""
        _, found = self._find(uri, name)
        if found is None:
            return []
        items = _list_in(found)
        if items is None:
            return [alone] if (alone := found.text.strip()) else []
        return [text for item in items if item.local == "li" and (text := item.text.strip())]

    def change(
        self, uri: str, prefix: str, name: str, kind: str, drop: frozenset[str], append: Sequence[str]
    ) -> None:
        """Take texts out of a list that others share, and append texts to it."""
        about, found = self._find(uri, name)
        if not drop and not append:
            return
        if found is None:
            found = about.add(name, uri=uri, prefix=prefix)
        items = _list_in(found)
        if items is None:
            alone = found.text.strip()
            found.children.clear()
            items = found.add(kind, uri=RDF, prefix="rdf")
            append = [alone, *append] if alone and alone not in drop else append
        for item in [item for item in items if item.text.strip() in drop]:
            items.remove(item)
        for text in append:
            items.add("li", text, uri=RDF, prefix="rdf")
        if not any(True for _ in items):
            about.remove(found)

    def replace(self, name: str, texts: Sequence[str]) -> None:
        """Set a list that is ours alone."""
        if self.items(OURS, name) == list(texts):
            return
        about, found = self._find(OURS, name)
        if found is not None:
            about.remove(found)
        if texts:
            items = about.add(name, uri=OURS, prefix="tagline").add("Bag", uri=RDF, prefix="rdf")
            for text in texts:
                items.add("li", text, uri=RDF, prefix="rdf")

    def text(self, name: str) -> str:
        """A simple property of ours: an element, or an attribute, as other programs like to write it."""
        _, found = self._find(OURS, name)
        if found is not None:
            return found.text.strip()
        return next((about.attributes[at][1] for about, at in self._attributes(name)), "")

    def set_text(self, name: str, text: str) -> None:
        if self.text(name) == text:
            return
        about, found = self._find(OURS, name)
        for owner, at in self._attributes(name):
            owner.attributes[at] = (owner.attributes[at][0], text)
            return
        if found is None:
            about.add(name, text, uri=OURS, prefix="tagline")
        else:
            found.children[:] = [text]

    def _find(self, uri: str, name: str) -> tuple[XmlElement, XmlElement | None]:
        """The property and the description that it stands in; the first one where it stands in none."""
        for about in self.about:
            if (found := about.find(uri, name)) is not None:
                return about, found
        return self.about[0], None

    def _attributes(self, name: str) -> Iterator[tuple[XmlElement, int]]:
        for about in self.about:
            for at, (key, _) in enumerate(about.attributes):
                prefix, _, local = key.rpartition(":")
                if local == name and about.scope.get(prefix) == OURS:
                    yield about, at


def _list_in(found: XmlElement) -> XmlElement | None:
    return next((e for e in found if e.uri == RDF and e.local in ("Bag", "Seq", "Alt")), None)

"""XML of strangers: read without DTDs, entities or surprises; written so that it is always well-formed.

Names keep their prefixes and everything that is not ours keeps its place: comments, processing
instructions, attributes and their order. Only character references and quoting may be spelled anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from xml.parsers import expat

from tagline.tagging.formats.sheet import BadFile

MOST_BYTES = 16 * 1024 * 1024
MOST_DEPTH = 200

# What XML 1.0 does not have at all.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(slots=True)
class OtherNode:
    """A comment or a processing instruction, written back as it was."""

    text: str


@dataclass(slots=True, eq=False)
class XmlElement:
    """One element. `name` is written as the file has it; `uri` and `local` are what it means."""

    name: str
    attributes: list[tuple[str, str]] = field(default_factory=list)
    children: list[XmlElement | OtherNode | str] = field(default_factory=list)
    scope: dict[str, str] = field(default_factory=dict)  # prefix: namespace; shared where nothing is declared
    depth: int = 0

    @property
    def uri(self) -> str | None:
        return self.scope.get(self.name.rpartition(":")[0])

    @property
    def local(self) -> str:
        return self.name.rpartition(":")[2]

    @property
    def text(self) -> str:
        return "".join(child for child in self.children if isinstance(child, str))

    def __iter__(self) -> Iterator[XmlElement]:
        return (child for child in self.children if isinstance(child, XmlElement))

    def find(self, uri: str, local: str) -> XmlElement | None:
        """The first child of this meaning."""
        return next((child for child in self if child.local == local and child.uri == uri), None)

    def walk(self) -> Iterator[XmlElement]:
        """This element and everything under it, in the order of the file."""
        todo = [self]
        while todo:
            element = todo.pop()
            yield element
            todo.extend(reversed(list(element)))

    def add(self, local: str, text: str = "", *, uri: str | None = None, prefix: str = "") -> XmlElement:
        """Append a child on a line of its own; its namespace is declared where it is not yet."""
        child = XmlElement(local, scope=self.scope, depth=self.depth + 1)
        if uri is not None:
            child.name, declared = _qualified(self.scope, uri, prefix, local)
            if declared:
                child.attributes.append((f"xmlns:{declared}", uri))
                child.scope = {**self.scope, declared: uri}
        if text:
            child.children.append(text)
        lead = self._lead()
        at = len(self.children)
        while at and isinstance(self.children[at - 1], str):
            at -= 1
        if at == 0:  # nothing here yet but, perhaps, white space
            self.children[:] = [c for c in self.children if isinstance(c, str) and c.strip()]
            at = len(self.children)
        self.children[at:at] = [lead, child]
        if at + 2 == len(self.children):
            self.children.append(lead[:-2] or "\n")
        return child

    def remove(self, child: XmlElement) -> None:
        """Take a child out, with the white space before it."""
        at = next(i for i, c in enumerate(self.children) if c is child)
        before = self.children[at - 1] if at else None
        start = at - 1 if isinstance(before, str) and not before.strip() else at
        del self.children[start : at + 1]

    def _lead(self) -> str:
        """The line break and indentation before a child: as its siblings have it, else two deeper."""
        for before, child in pairwise(self.children):
            if not isinstance(child, XmlElement) or not isinstance(before, str):
                continue
            if "\n" in before and not before.strip():
                return before[before.rfind("\n") :]
        return "\n" + "  " * (self.depth + 1)


@dataclass(slots=True)
class XmlDocument:
    root: XmlElement
    before: list[OtherNode] = field(default_factory=list)
    after: list[OtherNode] = field(default_factory=list)
    declared: bool = True  # has an <?xml …?> line


def new(name: str, namespaces: dict[str, str] | None = None) -> XmlElement:
    """A root element that declares `namespaces` (prefix: uri)."""
    scope = dict(namespaces or {})
    return XmlElement(name, [(f"xmlns:{p}", uri) for p, uri in scope.items()], scope=scope)


def read(data: bytes) -> XmlDocument:
    """Parse, or raise Unusable: over 16 MB, nested over 200 deep, any DOCTYPE, not well-formed."""
    if len(data) > MOST_BYTES:
        raise BadFile(f"is larger than {MOST_BYTES // 2**20} MB")
    reader = _Handler()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        raise BadFile(f"is not well-formed XML ({what}, line {error.lineno})") from None
    except (LookupError, ValueError) as error:  # an encoding that there is not
        if isinstance(error, BadFile):
            raise
        raise BadFile(f"is not readable as XML ({error})") from None
    if reader.root is None:
        raise BadFile("is not well-formed XML (no element found)")
    return XmlDocument(reader.root, reader.before, reader.after, reader.declared)


def end_of_root(data: bytes) -> int | None:
    """Where the XML ends, in bytes, if something that is no XML follows it; else None."""
    reader = _Handler()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError:
        if reader.closed is not None and (end := data.find(b">", reader.closed)) >= 0:
            return end + 1
    except (LookupError, ValueError):
        pass  # `read` says what is wrong
    return None


def write(document: XmlDocument) -> bytes:
    """The document as UTF-8."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n'] if document.declared else []
    parts += [f"{other.text}\n" for other in document.before]
    _write_element(document.root, parts)
    parts.append("\n")
    parts += [f"{other.text}\n" for other in document.after]
    return "".join(parts).encode("utf-8", "replace")


def _write_element(element: XmlElement, parts: list[str]) -> None:
    parts.append(f"<{element.name}")
    parts += [f' {name}="{_escape(value, attribute=True)}"' for name, value in element.attributes]
    if not element.children:
        parts.append("/>")
        return
    parts.append(">")
    for child in element.children:
        if isinstance(child, XmlElement):
            _write_element(child, parts)
        else:
            parts.append(child.text if isinstance(child, OtherNode) else _escape(child))
    parts.append(f"</{element.name}>")


def _escape(text: str, *, attribute: bool = False) -> str:
    text = FORBIDDEN.sub("\ufffd", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    if attribute:
        text = text.replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
    return text


def _qualified(scope: dict[str, str], uri: str, prefix: str, local: str) -> tuple[str, str]:
    """The name to write for (uri, local), and the prefix that has to be declared for it, if any."""
    known = next((p for p, u in scope.items() if u == uri), None)
    if known is not None:
        return (f"{known}:{local}" if known else local), ""
    while prefix in scope:
        prefix += "_"
    return f"{prefix}:{local}", prefix


class _Handler:
    """Expat's handlers. Whatever could reach outside the file or blow it up is refused where it begins."""

    def __init__(self) -> None:
        self.root: XmlElement | None = None
        self.before: list[OtherNode] = []
        self.after: list[OtherNode] = []
        self.declared = False
        self.closed: int | None = None  # the byte at which the root's end begins
        self.open: list[XmlElement] = []
        self.parser = expat.ParserCreate()
        self.parser.ordered_attributes = True
        self.parser.buffer_text = True
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype
        self.parser.ExternalEntityRefHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.CommentHandler = self._comment
        self.parser.ProcessingInstructionHandler = self._instruction

    def _declaration(self, *_: object) -> None:
        self.declared = True

    def _doctype(self, *_: object) -> int:
        raise BadFile("declares a DOCTYPE or entities, which are refused")

    def _start(self, name: str, attributes: list[str]) -> None:
        if len(self.open) >= MOST_DEPTH:
            raise BadFile(f"is nested more than {MOST_DEPTH} deep")
        pairs = list(zip(attributes[::2], attributes[1::2], strict=True))
        scope = self.open[-1].scope if self.open else {}
        declared = {key[6:]: value for key, value in pairs if key == "xmlns" or key.startswith("xmlns:")}
        if declared:
            scope = {**scope, **declared}
        element = XmlElement(name, pairs, scope=scope, depth=len(self.open))
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def _end(self, _: str) -> None:
        self.open.pop()
        if not self.open:
            self.closed = self.parser.CurrentByteIndex

    def _characters(self, text: str) -> None:
        self.open[-1].children.append(text)

    def _comment(self, text: str) -> None:
        self._other(f"<!--{text}-->")

    def _instruction(self, target: str, text: str) -> None:
        self._other(f"<?{target} {text}?>" if text else f"<?{target}?>")

    def _other(self, text: str) -> None:
        place = self.open[-1].children if self.open else (self.after if self.root else self.before)
        place.append(OtherNode(text))

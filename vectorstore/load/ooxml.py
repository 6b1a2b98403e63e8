"""What DOCX, PPTX and XLSX have in common: parts of XML in a zip archive, tied together by relationships.

The parts are read with lxml and not through python-docx, python-pptx or openpyxl: those do not show tracked changes,
footnotes, text boxes or merged cells of a sheet that is read as it comes, have no limits of their own, and openpyxl
imports NumPy. Elements are known by their local names, for the strict form of the standard has other namespaces.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from lxml import etree

from llmops.errors import InvalidInput
from vectorstore.load.archive import Archive, Entry
from vectorstore.load.parsed import TextBuilder

MOST_OF_A_TREE = 20 * 2**20
"""Bytes of XML that are held as a tree, which takes ten times as much memory."""
LONGEST_REPEATED = 200
"""Characters of a merged cell that are written again in each row that it spans."""
_DOCTYPES = [b"<!DOCTYPE", "<!DOCTYPE".encode("utf-16-le"), "<!DOCTYPE".encode("utf-16-be")]
_SAFE = {"resolve_entities": False, "load_dtd": False, "no_network": True, "huge_tree": False, "remove_comments": True, "remove_pis": True}
_FAMILIES = {"wordprocessingml": "DOCX", "presentationml": "PPTX", "spreadsheetml": "XLSX", "sheet.binary": "XLSB", "visio": "Visio drawing"}
_NO_TITLE = re.compile(
    r"untitled|無題|microsoft (?:word|powerpoint|excel)|powerpoint[- ]|プレゼンテーション\d*$|\.(?:docx?|pptx?|xlsx?)$|^\W*$", re.IGNORECASE
)


class Relation(NamedTuple):
    """A tie from one part to another. `kind` is the last word of its type; `target` the name of a part, or an address."""

    kind: str
    target: str
    external: bool


class _Guarded:
    """A part's bytes on their way to the parser. A document type is refused: no Office file has one, and entities need it."""

    def __init__(self, entry: Entry, name: str, most: int) -> None:
        self._entry, self._name, self._left, self._tail = entry, name, most, b""

    def read(self, size: int = -1) -> bytes:
        piece = self._entry.read(min(size, 2**16) if size > 0 else 2**16)
        self._left -= len(piece)
        if self._left < 0:
            raise InvalidInput(f"its part {self._name[:100]!r} is too large", hint="split the document")
        seen = self._tail + piece
        if any(mark in seen for mark in _DOCTYPES):
            raise InvalidInput(f"its part {self._name[:100]!r} has a document type, which no Office file may have", hint="save the document again")
        self._tail = seen[-20:]
        return piece


class Package:
    """An Office file, open. `kind` is what its name promises: DOCX, PPTX or XLSX."""

    def __init__(self, content: bytes, kind: str) -> None:
        self.archive = Archive(content, kind)
        self._check_kind(kind)
        mains = [relation.target for relation in self.relations("").values() if relation.kind == "officeDocument" and not relation.external]
        if not mains:
            raise InvalidInput(f"is a broken {kind}: it does not say which part is the document", hint="save the document again")
        self.main = mains[0]

    def _check_kind(self, kind: str) -> None:
        if "[Content_Types].xml" not in self.archive:
            if "mimetype" in self.archive and b"opendocument" in self.archive.read("mimetype", 2**16):
                raise InvalidInput(f"is an OpenDocument file, not a {kind}", hint=f"save it as {kind}")
            raise InvalidInput(f"is a zip archive, not a {kind}", hint="hand in the files in it")
        types = [element.get("ContentType") or "" for element in self.tree("[Content_Types].xml").iter("{*}Override", "{*}Default")]
        mains = [name for found in types if ".main+xml" in found or found.endswith(".main") for word, name in _FAMILIES.items() if word in found]
        if mains and kind not in mains:
            raise InvalidInput(
                f"is an {mains[0]}, not a {kind}" if mains[0][0] == "X" else f"is a {mains[0]}, not a {kind}", hint=f"save it as {kind}"
            )

    def tree(self, name: str) -> Any:
        """The root element of a part."""
        parser = etree.XMLParser(**_SAFE)
        with self.archive.open(name) as entry:
            try:
                return etree.parse(_Guarded(entry, name, MOST_OF_A_TREE), parser).getroot()
            except etree.XMLSyntaxError as error:
                raise _unsound(name, error) from error

    def elements(self, name: str, *names: str) -> Iterator[tuple[str, Any]]:
        """(event, element) at the start and end of each element of these local names, in a part of any size. Who reads them clears them."""
        with self.archive.open(name) as entry:
            try:
                tags = [f"{{*}}{local}" for local in names]
                yield from etree.iterparse(_Guarded(entry, name, 2**40), events=("start", "end"), tag=tags, **_SAFE)
            except etree.XMLSyntaxError as error:
                raise _unsound(name, error) from error

    def outermost(self, name: str, *names: str) -> Iterator[Any]:
        """The elements of these local names that stand in no other of them, one after the other, in a part of any size."""
        depth = 0
        for event, element in self.elements(name, *names):
            depth += 1 if event == "start" else -1
            if event == "end" and not depth:
                yield element
                forget(element)

    def relations(self, name: str) -> dict[str, Relation]:
        """What a part is tied to, by id; of the package itself where the name is empty. Nothing outside of the file is ever fetched."""
        folder, base = posixpath.split(name)
        where = posixpath.join(folder, "_rels", f"{base}.rels")
        found: dict[str, Relation] = {}
        if where not in self.archive:
            return found
        for element in self.tree(where).iter("{*}Relationship"):
            target, external = unquote(element.get("Target") or ""), element.get("TargetMode") == "External"
            if not external:
                target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
            found[element.get("Id") or ""] = Relation((element.get("Type") or "").rsplit("/", 1)[-1], target, external)
        return found

    def part(self, kind: str, relations: dict[str, Relation]) -> Any | None:
        """The root element of the first part of a kind, or None where there is none."""
        for relation in relations.values():
            if relation.kind == kind and not relation.external and relation.target in self.archive:
                return self.tree(relation.target)
        return None

    def core(self) -> dict[str, str]:
        """The core properties that say something of the document: title, author, created, modified, subject, keywords."""
        root = self.part("core-properties", self.relations(""))
        names = {"title": "title", "creator": "author", "created": "created", "modified": "modified", "subject": "subject", "keywords": "keywords"}
        found: dict[str, str] = {}
        for element in root if root is not None else ():
            value = " ".join((element.text or "").split())
            if value and (name := names.get(local(element))):
                found[name] = value[:1000]
        return found


def title_of(core: dict[str, str], builder: TextBuilder, name: str) -> str:
    """The title in the properties, taken out of them, if it is one; else the first heading, else the file's stem."""
    title = core.pop("title", "")
    return (title if title and not _NO_TITLE.search(title) else "") or builder.first_heading or PurePosixPath(name).stem


def local(element: Any) -> str:
    """An element's name without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any | None, name: str) -> str | None:
    """The value of the attribute of this local name."""
    if element is None:
        return None
    for key, value in element.attrib.items():
        if key == name or key.endswith("}" + name):
            return str(value)
    return None


def link(element: Any, name: str = "id") -> str:
    """The relationship that an element names: its attribute `r:id`, `r:embed`, ..., never a plain `id`."""
    for key, value in element.attrib.items():
        if key.endswith("/relationships}" + name):
            return str(value)
    return ""


def child(element: Any | None, *path: str) -> Any | None:
    """The first element down a path of local names, or None."""
    for name in path:
        if element is None:
            return None
        element = next(element.iterchildren(f"{{*}}{name}"), None)
    return element


def forget(element: Any) -> None:
    """Free an element that has been read, and what stands before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def chosen(element: Any) -> Any:
    """Of `mc:AlternateContent` the branch that is read: the newest, for the others say the same again."""
    choice = child(element, "Choice")
    return choice if choice is not None else child(element, "Fallback")


def _unsound(name: str, error: etree.XMLSyntaxError) -> InvalidInput:
    return InvalidInput(f"its part {name[:100]!r} is not sound XML: {str(error.msg)[:200]}", hint="save the document again")

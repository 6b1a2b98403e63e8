"""Mails to documents: the mail itself, and each thing attached to it that some loader reads.

`eml.py` and `msg.py` bring a mail into the one form `Mail`; here it becomes documents. A part is named by what it was
called in the mail, behind the names of the mails that it was attached to: `forwarded.eml#report.pdf`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from llmops.errors import InvalidInput
from llmops.types import Json
from vectorstore.load import loader_for, parse
from vectorstore.load.decode import clean
from vectorstore.load.html import add_html
from vectorstore.load.parsed import NO_TEXT, Failed, Fields, Parsed, TextBuilder
from vectorstore.load.plain import add_paragraphs

DEEPEST = 3
"""Mails attached to mails, the first one counted."""
MOST_PARTS = 100
LONGEST_PART = 80
"""Code points of a part's name with those before it: with a path and a row's number it must fit into an external id."""
_LONGEST_NAME = 50
_MAILS = {"eml", "msg"}
_LONGEST_LIST = 1000


@dataclass(slots=True)
class Mail:
    """A mail as its reader gives it. `bodies` are of one kind each, "text" or "html", in their order; `headers` are plain."""

    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[tuple[str, str]] = field(default_factory=list)
    attached: list[Attached] = field(default_factory=list)
    problem: str = ""
    """Why there is no body, where there should be one."""


@dataclass(slots=True)
class Attached:
    """A thing in a mail: bytes with a name, or another mail."""

    name: str
    content: bytes | Mail


def documents(mail: Mail, name: str) -> Iterator[Parsed | Failed]:
    """The mail, then what is attached to it, and what is attached to that."""
    yield from _Parts().all_of(mail, name, "", 1)


class _Parts:
    """What is in one file: names that are taken, and how many parts there are."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._count = 0

    def all_of(self, mail: Mail, name: str, path: str, depth: int) -> Iterator[Parsed | Failed]:
        unread = [one.name for one in mail.attached if isinstance(one.content, bytes) and loader_for(one.name) is None]
        try:
            yield _document(mail, name, path or None, unread)
        except InvalidInput as error:
            if not mail.attached:
                raise
            yield Failed(str(error), part=path or None)
        for one in mail.attached:
            if isinstance(one.content, bytes) and loader_for(one.name) is None:
                continue
            self._count += 1
            part = self._named(path, one.name)
            if self._count > MOST_PARTS:
                if self._count == MOST_PARTS + 1:
                    yield Failed(f"this part and all behind it: a mail of more than {MOST_PARTS} parts is not read to its end", part=part)
                return
            yield from self._part(one, part, depth)

    def _part(self, one: Attached, part: str, depth: int) -> Iterator[Parsed | Failed]:
        try:
            is_mail = isinstance(one.content, Mail) or loader_for(one.name) in _MAILS
            if not is_mail:
                assert isinstance(one.content, bytes)
                for found in parse(one.content, one.name, Fields()):  # fields that were named are those of files of rows
                    yield replace(found, part=part)
                return
            if depth == DEEPEST:
                raise InvalidInput(f"is attached more than {DEEPEST - 1} mails deep")
            mail = one.content if isinstance(one.content, Mail) else _read(one.name, one.content)
            yield from self.all_of(mail, one.name, part, depth + 1)
        except InvalidInput as error:
            yield Failed(str(error), part=part)

    def _named(self, path: str, name: str) -> str:
        """A name for a part that no other part of the file has."""
        stem, suffix = PurePosixPath(name).stem[: _LONGEST_NAME - 10], PurePosixPath(name).suffix[:10]
        number, part = 1, ""
        while not part or part in self._taken:
            told = f"{stem} ({number}){suffix}" if number > 1 else f"{stem}{suffix}"
            part = f"{path}#{told}" if path else told
            if len(part) > LONGEST_PART:
                part = f"{part[: LONGEST_PART - 30]}...{hashlib.sha256(part.encode()).hexdigest()[:12]}{suffix}"
            number += 1
        self._taken.add(part)
        return part


def _document(mail: Mail, name: str, part: str | None, unread: list[str]) -> Parsed:
    """The mail's own text; where it has none, its subject, so that the mail can be found at all."""
    builder = TextBuilder()
    for kind, body in mail.bodies:
        if kind == "html":
            add_html(builder, body)
        else:
            add_paragraphs(builder, clean(body))
    subject = mail.headers.get("subject", "")
    metadata: Json = dict(mail.headers)
    if mail.attached:
        metadata["attachments"] = ", ".join(one.name for one in mail.attached)[:_LONGEST_LIST]
    if unread:
        metadata["attachments_not_read"] = ", ".join(unread)[:_LONGEST_LIST]
    title = subject or PurePosixPath(name).stem
    try:
        found = builder.finish(title, metadata)
    except InvalidInput:
        if mail.problem or not subject:
            raise InvalidInput(mail.problem or NO_TEXT) from None
        builder.add("paragraph", subject)
        found = builder.finish(title, metadata)
    return replace(found, part=part)


def plain_name(name: str, default: str) -> str:
    """What an attachment is called, without any folders and on one line."""
    name = " ".join(clean(name).replace("\\", "/").replace("#", "_").rsplit("/", 1)[-1].split())
    return name.strip(". ")[:200] or default


def _read(name: str, content: bytes) -> Mail:
    from vectorstore.load import eml, msg

    return eml.read(content) if loader_for(name) == "eml" else msg.read(content)

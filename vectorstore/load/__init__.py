"""From bytes to reading text: a loader for each kind of file, found by the file's extension.

A loader is a part of kind `loaders`: `load(content: bytes, name: str, fields: Fields) -> Iterable[Parsed | Failed]`. It
raises `InvalidInput` where nothing more of the file can be used. It runs in a process of its own (vectorstore/load/pool.py),
so it is an entry point of its package, and a file of another package's loader has that loader's name as its extension.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import PurePosixPath

from llmops import plugins
from llmops.errors import InvalidInput
from vectorstore.load.parsed import LONGEST_ID, LONGEST_ID_BYTES, Block, Failed, Fields, Parsed, is_too_long

__all__ = ["EXTENSIONS", "LONGEST_ID", "LONGEST_ID_BYTES", "Block", "Failed", "Fields", "Parsed", "is_too_long", "loader_for", "parse"]

_log = logging.getLogger(__name__)
EXTENSIONS = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".qmd": "markdown",
    ".txt": "text",
    ".text": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".docm": "docx",
    ".pptx": "pptx",
    ".pptm": "pptx",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".eml": "eml",
    ".msg": "msg",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}


def loader_for(name: str) -> str | None:
    """The name of the loader for a file, by its extension; None for a kind that no loader reads."""
    extension = PurePosixPath(name).suffix.lower()
    return EXTENSIONS.get(extension) or (extension[1:] if extension[1:] in plugins.names("loaders") else None)


def parse(content: bytes, name: str, fields: Fields) -> Iterator[Parsed | Failed]:
    """The documents in a file, as they are read: one, or one for each row, or one for a mail and for each thing attached to it.

    Raises `InvalidInput` with the reason where the file, or the rest of it, cannot be read; a bad row is a `Failed` among
    the others. Only for files that do no harm: others are parsed by a `ParserPool`.
    """
    kind = loader_for(name)
    if kind is None:
        raise InvalidInput(f"unknown kind of file: {PurePosixPath(name).suffix or name!r}", hint="known: " + " ".join(EXTENSIONS))
    try:
        yield from plugins.find("loaders", kind)(content, name, fields)
    except RecursionError as error:
        raise InvalidInput("nested too deeply to be read") from error
    except (InvalidInput, MemoryError):
        raise
    except Exception as error:  # a parser of other people's files: whatever goes wrong in it is wrong with this file
        _log.info("a loader failed", exc_info=True)
        raise InvalidInput(f"cannot be read: {type(error).__name__}: {error}") from error

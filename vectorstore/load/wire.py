"""Parsed documents as lines of JSON, between a parser's process and ours.

What comes over the line was made beside a hostile file, so it is taken as data and checked, never trusted: a parser
that was taken over can say what it likes of its own file, and nothing else.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any, get_args

from llmops.types import Json
from vectorstore.load.parsed import Block, BlockKind, Failed, Parsed

_KINDS = frozenset(get_args(BlockKind))
_PARSED, _FAILED = ([field.name for field in fields(kind)] for kind in (Parsed, Failed))


class Garbled(ValueError):
    """A line that no parser of ours writes."""


def line_of(one: Parsed | Failed) -> bytes:
    """A document as one line."""
    if isinstance(one, Failed):
        return line({"failed": {name: getattr(one, name) for name in _FAILED}})
    told = {name: getattr(one, name) for name in _PARSED}
    paths: dict[tuple[str, ...], int] = {}  # many blocks stand under the same headings, which may be long
    told["blocks"] = [[block.start, block.end, block.kind, paths.setdefault(block.headings, len(paths)), block.page] for block in one.blocks]
    told["headings"] = list(paths)
    return line({"parsed": told})


def line(message: Json) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read(told: bytes) -> Json:
    """A line as the object that it is; `Garbled` for anything else."""
    try:
        message = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise Garbled(str(error)) from None
    if not isinstance(message, dict):
        raise Garbled("no object")
    return message


def document_of(message: Json) -> Parsed | Failed:
    """The document in a message of `line_of`."""
    try:
        told = message.get("failed") or message["parsed"]
        which = {"id": _optional(told.get("id"), str), "row": _optional(told.get("row"), int), "part": _optional(told.get("part"), str)}
        if "failed" in message:
            return Failed(_string(told["error"]), **which)
        text = _string(told["text"])
        headings = [tuple(map(_string, path)) for path in told["headings"]]
        blocks = tuple(_block(block, len(text), headings) for block in told["blocks"])
        metadata = {_string(name): _plain(value) for name, value in told["metadata"].items()}
        return Parsed(_string(told["title"]), text, blocks, metadata, **which)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Garbled(f"{type(error).__name__}: {error}") from None


def _block(told: Any, length: int, headings: list[tuple[str, ...]]) -> Block:
    start, end, kind, path, page = told
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= length and kind in _KINDS):
        raise Garbled("a block outside of its text")
    if not (isinstance(path, int) and 0 <= path < len(headings)):
        raise Garbled("a block under no headings")
    return Block(start, end, kind, headings[path], _optional(page, int))


def _string(value: Any) -> str:
    """Text that every store can hold."""
    if not isinstance(value, str) or "\x00" in value:
        raise Garbled("no text")
    value.encode()
    return value


def _optional(value: Any, kind: type) -> Any:
    if value is None:
        return None
    if kind is str:
        return _string(value)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise Garbled(f"no {kind.__name__}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise Garbled("metadata that nest")

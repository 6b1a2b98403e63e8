"""One table of named parts by kind, so that a room finds what it may not import.

Built-in parts and those of other packages use the same door: an entry point `NAME = "module:attribute"` in the group
`llmops.KIND`. It is loaded when it is first asked for. `register` adds a part at run time.

Kinds: commands, tables, jobs, deliveries (topics of the outbox), actors (what runs on a Ray worker), retention (what
[retention] names), providers, loaders, chains, scorers, guards, targets, checks, erasers, backups.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from llmops.errors import UnknownName

Part = TypeVar("Part")
_registered: dict[tuple[str, str], Any] = {}


@cache
def _entry_points(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"llmops.{kind}")}


def register(kind: str, name: str) -> Callable[[Part], Part]:
    """Decorator that puts a part into the table; it wins over an entry point of that name."""

    def keep(part: Part) -> Part:
        _registered[kind, name] = part
        return part

    return keep


def names(kind: str) -> list[str]:
    """Every name of a kind, sorted."""
    return sorted({name for registered, name in _registered if registered == kind} | set(_entry_points(kind)))


def find(kind: str, name: str) -> Any:
    """The part of that kind and name; `UnknownName`, with near names, where there is none."""
    if (kind, name) in _registered:
        return _registered[kind, name]
    if name not in _entry_points(kind):
        raise UnknownName(kind.removesuffix("s"), name, names(kind))
    return _entry_points(kind)[name].load()

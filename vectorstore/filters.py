"""Filters on metadata: `{field: value}` or `$eq $ne $in $nin $gt $gte $lt $lte $and $or`. A missing field never matches."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from llmops.errors import InvalidInput, near_names

Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]
_DEEPEST = 20
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$in": lambda value, options: value in options,
    "$nin": lambda value, options: value not in options,
}
_JOIN: dict[str, Callable[..., bool]] = {"$and": all, "$or": any}


def compile_filter(spec: Any, depth: int = 0) -> Predicate:
    """A function that says whether a document's metadata match. `{}` lets all match, an `$or` of nothing none.

    Raises `InvalidInput` that names what is wrong.
    """
    if not isinstance(spec, Mapping) or not all(isinstance(key, str) for key in spec):
        raise _wrong(f"a filter is an object, not {type(spec).__name__}")
    if depth > _DEEPEST:
        raise _wrong(f"a filter nests deeper than {_DEEPEST} levels")
    parts = [_join(key, value, depth) if key.startswith("$") else _field(key, value) for key, value in spec.items()]
    return lambda metadata: all(part(metadata) for part in parts)


def _join(key: str, value: Any, depth: int) -> Predicate:
    if key not in _JOIN:
        raise _wrong(f"unknown operator {key!r} in place of a field", near_names(key, [*_JOIN, *_COMPARE]))
    if not isinstance(value, list):
        raise _wrong(f"{key} takes a list of filters")
    parts = [compile_filter(part, depth + 1) for part in value]
    return lambda metadata: _JOIN[key](part(metadata) for part in parts)


def _field(name: str, value: Any) -> Predicate:
    conditions = value if isinstance(value, Mapping) else {"$eq": value}
    if not conditions:
        raise _wrong(f"field {name!r} has no operator", f"one of {' '.join(_COMPARE)}")
    for key, option in conditions.items():
        if key not in _COMPARE:
            raise _wrong(f"unknown operator {key!r} on field {name!r}", near_names(key, _COMPARE))
        if key in ("$in", "$nin") and not isinstance(option, list):
            raise _wrong(f"{key} on field {name!r} takes a list")
    tests = [(_COMPARE[key], option) for key, option in conditions.items()]

    def matches(metadata: Mapping[str, Any]) -> bool:
        return name in metadata and all(_holds(test, metadata[name], option) for test, option in tests)

    return matches


def _holds(test: Callable[[Any, Any], bool], value: Any, option: Any) -> bool:
    """Values of different kinds, as a number and a text, are neither greater nor less."""
    try:
        return test(value, option)
    except TypeError:
        return False


def _wrong(message: str, hint: str = "") -> InvalidInput:
    return InvalidInput(message, hint=hint or 'for example {"year": {"$gte": 2024}}', param="filter")

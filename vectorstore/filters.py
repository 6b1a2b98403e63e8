"""Filters on metadata: `{field: value}` or `$eq $ne $in $nin $gt $gte $lt $lte $and $or`. A missing field never matches."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, TypeAlias

from llmops.errors import InvalidInput, near_names

Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]
_DEEPEST = 20
MOST_CONDITIONS, MOST_OPTIONS = 200, 10_000
"""Of one filter: each condition is asked of every document."""


def _equal(value: Any, option: Any) -> bool:
    """Whether two values are the same; `true` is no number."""
    return isinstance(value, bool) == isinstance(option, bool) and bool(value == option)


def _among(value: Any, options: frozenset[Any]) -> bool:
    return (isinstance(value, bool), value) in options


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda value, option: not _equal(value, option),
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$in": _among,
    "$nin": lambda value, options: not _among(value, options),
}
_JOIN: dict[str, Callable[..., bool]] = {"$and": all, "$or": any}


def compile_filter(spec: Any) -> Predicate:
    """A function that says whether a document's metadata match. `{}` lets all match, an `$or` of nothing none.

    Raises `InvalidInput` that names what is wrong.
    """
    if _conditions(spec) > MOST_CONDITIONS:
        raise _wrong(f"a filter has more than {MOST_CONDITIONS} conditions", "`$in` takes a list of values as one condition")
    return _compile(spec, 0)


def _conditions(spec: Any) -> int:
    """How many conditions a filter has, counted no further than is asked for."""
    waiting, count = [spec], 0
    while waiting and count <= MOST_CONDITIONS:
        found = waiting.pop()
        parts = found.values() if isinstance(found, Mapping) else found if isinstance(found, list) else ()
        inner = [part for part in islice(parts, MOST_CONDITIONS + 1) if isinstance(part, Mapping | list)]
        count += len(found) if isinstance(found, Mapping) else 0
        waiting += inner
        if isinstance(found, list) and len(inner) > MOST_CONDITIONS:
            return len(inner)
    return count


def _compile(spec: Any, depth: int) -> Predicate:
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
    parts = [_compile(part, depth + 1) for part in value]
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
        if isinstance(option, list) and len(option) > MOST_OPTIONS:
            raise _wrong(f"{key} on field {name!r} lists more than {MOST_OPTIONS:,} values")
    tests = [(_COMPARE[key], _options(option) if key in ("$in", "$nin") else option) for key, option in conditions.items()]

    def matches(metadata: Mapping[str, Any]) -> bool:
        return name in metadata and all(_holds(test, metadata[name], option) for test, option in tests)

    return matches


def _options(values: list[Any]) -> frozenset[Any]:
    """Plain values, for no other is in a document's metadata."""
    return frozenset((isinstance(value, bool), value) for value in values if isinstance(value, str | int | float))


def _holds(test: Callable[[Any, Any], bool], value: Any, option: Any) -> bool:
    """Values of different kinds, as a number and a text, are neither greater nor less."""
    try:
        return test(value, option)
    except TypeError:
        return False


def _wrong(message: str, hint: str = "") -> InvalidInput:
    return InvalidInput(message, hint=hint or 'for example {"year": {"$gte": 2024}}', param="filter")

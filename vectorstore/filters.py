"""Filters on metadata: `{field: value}` or `$eq $ne $in $nin $gt $gte $lt $lte $and $or`. A missing field never matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from llmops.errors import InvalidInput, near_names
from vectorstore.index.columns import Column, Columns
from vectorstore.index.postings import Mask

Filter: TypeAlias = Callable[[Columns], Mask]
"""Of each of some versions, whether it is let through."""
_DEEPEST = 20
MOST_CONDITIONS, MOST_OPTIONS = 200, 10_000
"""Of one filter: each condition is asked of every document."""
# Of each value of a field, whether a condition holds.
_TESTS: dict[str, Callable[[Column, Any], Mask]] = {
    "$eq": lambda column, option: column.among([option]),
    "$ne": lambda column, option: ~column.among([option]),
    "$gt": lambda column, option: column.between(option, above=True, with_it=False),
    "$gte": lambda column, option: column.between(option, above=True, with_it=True),
    "$lt": lambda column, option: column.between(option, above=False, with_it=False),
    "$lte": lambda column, option: column.between(option, above=False, with_it=True),
    "$in": lambda column, options: column.among(options),
    "$nin": lambda column, options: ~column.among(options),
}
_JOIN = {"$and": np.logical_and, "$or": np.logical_or}


def compile_filter(spec: Any) -> Filter:
    """A function that says which documents' metadata match. `{}` lets all match, an `$or` of nothing none.

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


def _compile(spec: Any, depth: int) -> Filter:
    if not isinstance(spec, Mapping) or not all(isinstance(key, str) for key in spec):
        raise _wrong(f"a filter is an object, not {type(spec).__name__}")
    if depth > _DEEPEST:
        raise _wrong(f"a filter nests deeper than {_DEEPEST} levels")
    return _joined("$and", [_join(key, value, depth) if key.startswith("$") else _field(key, value) for key, value in spec.items()])


def _join(key: str, value: Any, depth: int) -> Filter:
    if key not in _JOIN:
        raise _wrong(f"unknown operator {key!r} in place of a field", near_names(key, [*_JOIN, *_TESTS]))
    if not isinstance(value, list):
        raise _wrong(f"{key} takes a list of filters")
    return _joined(key, [_compile(part, depth + 1) for part in value])


def _joined(key: str, parts: list[Filter]) -> Filter:
    def matches(columns: Columns) -> Mask:
        of_none = np.full(len(columns), key == "$and")
        return reduce(_JOIN[key], (part(columns) for part in parts), of_none)

    return matches


def _field(name: str, value: Any) -> Filter:
    conditions = value if isinstance(value, Mapping) else {"$eq": value}
    if not conditions:
        raise _wrong(f"field {name!r} has no operator", f"one of {' '.join(_TESTS)}")
    for key, option in conditions.items():
        if key not in _TESTS:
            raise _wrong(f"unknown operator {key!r} on field {name!r}", near_names(key, _TESTS))
        if key in ("$in", "$nin") and not isinstance(option, list):
            raise _wrong(f"{key} on field {name!r} takes a list")
        if isinstance(option, list) and len(option) > MOST_OPTIONS:
            raise _wrong(f"{key} on field {name!r} lists more than {MOST_OPTIONS:,} values")

    def matches(columns: Columns) -> Mask:
        column = columns.fields.get(name)
        if column is None:
            return np.zeros(len(columns), dtype=np.bool_)
        accepted = reduce(np.logical_and, (_TESTS[key](column, option) for key, option in conditions.items()))
        return column.present(accepted, len(columns))

    return matches


def _wrong(message: str, hint: str = "") -> InvalidInput:
    return InvalidInput(message, hint=hint or 'for example {"year": {"$gte": 2024}}', param="filter")

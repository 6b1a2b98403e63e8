"""What filters look at, by field: which value each document's version has, so that a condition is asked once of a value.

A field's values are numbered as they come. Numbers and texts are kept in their order too: a range is found by bisection, and which
versions it lets through is then one lookup in an array.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vectorstore.index.postings import Mask

Version: TypeAlias = tuple[int, int]
"""A version of a document: the document's row and its number."""
_NOTHING = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True)
class Column:
    """A field: for each version the number of its value, or -1, int32 (n,); and the values by which they are known."""

    codes: NDArray[np.int32]
    values: Mapping[Hashable, int]

    def among(self, options: Iterable[Any]) -> Mask:
        """Of each value, whether it is one of these; bool (values + 1,), the last for none. `true` is no number."""
        found = (self.values.get(_known(option)) for option in options if _is_plain(option))
        return self._table(np.array([code for code in found if code is not None], dtype=np.int32))

    def between(self, option: Any, *, above: bool, with_it: bool) -> Mask:
        """Of each value, whether it is above (else below) an option of its kind: a number, or a text. `true` counts 1 here."""
        order, codes = self._texts if isinstance(option, str) else self._numbers if isinstance(option, int | float) else ([], _NOTHING)
        if option != option:  # NaN is neither above nor below
            return self._table(_NOTHING)
        place = (bisect_left if above == with_it else bisect_right)(order, option)
        return self._table(codes[place:] if above else codes[:place])

    def present(self, accepted: Mask) -> Mask:
        """Of each version, whether its value is accepted."""
        return np.asarray(accepted[self.codes], dtype=np.bool_)

    def _table(self, codes: NDArray[np.int32]) -> Mask:
        table = np.zeros(len(self.values) + 1, dtype=np.bool_)
        table[codes] = True
        return table

    @cached_property
    def _numbers(self) -> tuple[list[Any], NDArray[np.int32]]:
        return self._ordered(lambda value: isinstance(value, int | float) and value == value)

    @cached_property
    def _texts(self) -> tuple[list[Any], NDArray[np.int32]]:
        return self._ordered(lambda value: isinstance(value, str))

    def _ordered(self, is_kind: Any) -> tuple[list[Any], NDArray[np.int32]]:
        pairs = sorted(((known[1], code) for known, code in self.values.items() if isinstance(known, tuple) and is_kind(known[1])), key=_value)
        return [value for value, _ in pairs], np.array([code for _, code in pairs], dtype=np.int32)


@dataclass(frozen=True)
class Columns:
    """The fields of some versions, each of which has its place: what is known of them never changes."""

    places: Mapping[Version, int] = field(default_factory=dict)
    fields: Mapping[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    def with_versions(self, new: Mapping[Version, Mapping[str, Any]]) -> Columns:
        """These and other versions with their metadata."""
        new = {version: metadata for version, metadata in new.items() if version not in self.places}
        names = {*self.fields, *(name for metadata in new.values() for name in metadata)}
        places = {**self.places, **{version: len(self.places) + place for place, version in enumerate(new)}}
        return Columns(places, {name: self._grown(name, list(new.values())) for name in names})

    def _grown(self, name: str, new: Sequence[Mapping[str, Any]]) -> Column:
        before = self.fields.get(name)
        values: dict[Hashable, int] = dict(before.values) if before else {}
        codes = before.codes if before else np.full(len(self.places), -1, dtype=np.int32)
        added = [values.setdefault(_known(metadata[name]), len(values)) if name in metadata else -1 for metadata in new]
        return Column(np.concatenate([codes, np.array(added, dtype=np.int32)]), values)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _known(value: Any) -> Hashable:
    """What a value is known by: 1 and 1.0 are the same, `true` is another. No option is what is no plain value."""
    return (isinstance(value, bool), value) if _is_plain(value) else json.dumps(value, sort_keys=True, default=str)


def _value(pair: tuple[Any, int]) -> Any:
    return pair[0]

"""What filters look at, by field: which value each document's version has, so that a condition is asked once of a value.

A field's values are numbered as they come. Numbers and texts are kept in their order too: a range is found by bisection, and which
versions it lets through is then one lookup in an array.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
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
    """A field: the places of the versions that have it and the numbers of their values, both int32 (n,); and the numbers by value."""

    places: NDArray[np.int32]
    codes: NDArray[np.int32]
    values: Mapping[Hashable, int]

    def among(self, options: Iterable[Any]) -> Mask:
        """Of each value, whether it is one of these. `true` is no number."""
        found = (self.values.get(_known(option)) for option in options if _is_plain(option))
        return self._table(np.array([code for code in found if code is not None], dtype=np.int32))

    def between(self, option: Any, *, above: bool, with_it: bool) -> Mask:
        """Of each value, whether it is above (else below) an option of its kind: a number, or a text. `true` counts 1 here."""
        order, codes = self._texts if isinstance(option, str) else self._numbers if isinstance(option, int | float) else ([], _NOTHING)
        if option != option:  # NaN is neither above nor below
            return self._table(_NOTHING)
        place = (bisect_left if above == with_it else bisect_right)(order, option)
        return self._table(codes[place:] if above else codes[:place])

    def present(self, accepted: Mask, count: int) -> Mask:
        """Of each of so many versions, whether it has the field and its value is accepted."""
        mask = np.zeros(count, dtype=np.bool_)
        mask[self.places[accepted[self.codes]]] = True
        return mask

    def with_values(self, added: Sequence[tuple[int, Any]]) -> Column:
        """This field and the values that other versions have, by their places."""
        values = dict(self.values)
        places = np.array([place for place, _ in added], dtype=np.int32)
        codes = np.array([values.setdefault(_known(value), len(values)) for _, value in added], dtype=np.int32)
        return Column(np.concatenate([self.places, places]), np.concatenate([self.codes, codes]), values)

    def _table(self, codes: NDArray[np.int32]) -> Mask:
        table = np.zeros(len(self.values), dtype=np.bool_)
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
        places = dict(self.places)
        added: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        for version, metadata in new.items():
            if version not in places:
                places[version] = place = len(places)
                for name, value in metadata.items():
                    added[name].append((place, value))
        grown = {name: self.fields.get(name, Column(_NOTHING, _NOTHING, {})).with_values(values) for name, values in added.items()}
        return Columns(places, {**self.fields, **grown})


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _known(value: Any) -> Hashable:
    """What a value is known by: 1 and 1.0 are the same, `true` is another. No option is what is no plain value."""
    return (isinstance(value, bool), value) if _is_plain(value) else json.dumps(value, sort_keys=True, default=str)


def _value(pair: tuple[Any, int]) -> Any:
    return pair[0]

"""Rows as JSON Lines that both stores read: a line holds a row's values in the order of the columns that the backup names.

Bytes are base64. A JSON value is a list of one, so that SQL's NULL and JSON's null stay apart. Floats come back to the bit.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Connection, LargeBinary, Table, Text, cast, column, func, insert, inspect, null, select, table

from llmops.store.metadata import metadata
from llmops.store.migrate import load_tables

AT_ONCE = 500
"""Rows in memory; a table whose rows are large says in its `info["at_once"]` how many of them are."""
Columns = Mapping[str, str]
"""The kind of every column by its name: bytes, json, bool or plain."""
_TYPES: dict[str, Any] = {"bytes": LargeBinary, "json": JSON, "bool": Boolean}


def tables() -> list[Table]:
    """Every table of every room, those that others refer to first."""
    load_tables()
    return metadata.sorted_tables


def columns_of(described: Table) -> dict[str, str]:
    return {one.name: _kind(one) for one in described.columns}


def _kind(one: Column[Any]) -> str:
    return next((kind for kind, type_ in _TYPES.items() if isinstance(one.type, type_)), "plain")


def lines(connection: Connection, dumped: Table) -> Iterator[bytes]:
    """The rows of a table by their primary key, each with its line's end."""
    kinds = list(columns_of(dumped).values())
    wanted = [cast(one, Text) if kind == "json" else one for one, kind in zip(dumped.columns, kinds, strict=True)]
    at_once = int(dumped.info.get("at_once", AT_ONCE))
    query = select(*wanted).order_by(*dumped.primary_key.columns).execution_options(stream_results=True, yield_per=at_once)
    for row in connection.execute(query):
        yield json.dumps([_plain(value, kind) for value, kind in zip(row, kinds, strict=True)], separators=(",", ":")).encode() + b"\n"


def _plain(value: Any, kind: str) -> Any:
    if value is None or kind in ("plain", "bool"):
        return value
    return base64.b64encode(value).decode() if kind == "bytes" else [json.loads(value)]


def fill(connection: Connection, name: str, columns: Columns, found: Iterable[bytes]) -> int:
    """Write lines into the table of that name, at whatever revision it is; returns how many there were."""
    target = table(name, *(column(one, _TYPES[kind]() if kind in _TYPES else None) for one, kind in columns.items()))
    known = next((one for one in tables() if one.name == name), None)
    at_once = int(known.info.get("at_once", AT_ONCE)) if known is not None else AT_ONCE
    count, rest = 0, iter(found)
    while part := list(islice(rest, at_once)):
        rows = [dict(zip(columns, map(_value, json.loads(line), columns.values()), strict=True)) for line in part]
        connection.execute(insert(target), rows)
        count += len(rows)
    return count


def _value(plain: Any, kind: str) -> Any:
    if kind == "json":
        return null() if plain is None else plain[0]
    return base64.b64decode(plain, validate=True) if kind == "bytes" and plain is not None else plain


def number_on(connection: Connection, name: str, columns: Columns) -> None:
    """Let PostgreSQL number new rows after those that were written with their numbers; SQLite does so by itself."""
    if connection.dialect.name != "postgresql" or "row" not in columns:
        return
    sequence = connection.execute(select(func.pg_get_serial_sequence(name, "row"))).scalar()
    last = connection.execute(select(func.max(column("row"))).select_from(table(name))).scalar()
    if sequence is not None and last is not None:
        connection.execute(select(func.setval(sequence, last)))


def count(connection: Connection) -> int:
    """How many rows there are in our tables, in those that the store has."""
    there = set(inspect(connection).get_table_names())
    found = [connection.execute(select(func.count()).select_from(one)).scalar_one() for one in tables() if one.name in there]
    return sum(found)

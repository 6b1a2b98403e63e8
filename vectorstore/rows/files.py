"""Files that were ingested: an unchanged one costs a hash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from vectorstore.tables import files


class Ingested(NamedTuple):
    fingerprint: str
    external_ids: list[str]


def known(connection: Connection, collection_row: int, source: str) -> dict[str, Ingested]:
    """Every file of a source, by its path."""
    found = connection.execute(
        select(files.c.path, files.c.fingerprint, files.c.external_ids).where(files.c.collection_row == collection_row, files.c.source == source)
    )
    return {row.path: Ingested(row.fingerprint, row.external_ids) for row in found}


def remember(connection: Connection, collection_row: int, source: str, path: str, ingested: Ingested) -> None:
    forget(connection, collection_row, source, [path])
    connection.execute(insert(files).values(collection_row=collection_row, source=source, path=path, **ingested._asdict()))


def forget(connection: Connection, collection_row: int, source: str, paths: Iterable[str]) -> None:
    for path in paths:
        connection.execute(delete(files).where(files.c.collection_row == collection_row, files.c.source == source, files.c.path == path))

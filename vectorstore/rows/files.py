"""Files that were ingested: an unchanged one costs a hash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from vectorstore.tables import files

UNFINISHED = ""
"""The fingerprint of a file that must be read again: its last rows are still to come, or it could not be read."""


class Ingested(NamedTuple):
    """A file as it was last read: the hash of what shaped the result, the documents that it holds, and the hash of its bytes."""

    fingerprint: str
    external_ids: list[str]
    blob_hash: str | None = None


def known(connection: Connection, collection_row: int, source: str, path: str | None = None) -> dict[str, Ingested]:
    """Every file of a source, by its path; or only the one at `path`."""
    wanted = select(files.c.path, files.c.fingerprint, files.c.external_ids, files.c.blob_hash).where(
        files.c.collection_row == collection_row, files.c.source == source
    )
    if path is not None:
        wanted = wanted.where(files.c.path == path)
    found: dict[str, Ingested] = {}
    for path, fingerprint, external_ids, blob_hash in connection.execute(wanted.order_by(files.c.path, files.c.part)):
        if path in found:
            found[path].external_ids.extend(external_ids)
        else:
            found[path] = Ingested(fingerprint, list(external_ids), blob_hash)
    return found


def remember(connection: Connection, collection_row: int, source: str, path: str, ingested: Ingested) -> None:
    """Write down a file that was read to its end."""
    forget(connection, collection_row, source, [path])
    connection.execute(insert(files).values(collection_row=collection_row, source=source, path=path, part=0, **ingested._asdict()))


def add(connection: Connection, collection_row: int, source: str, path: str, external_ids: list[str]) -> None:
    """Write down documents that a file under way holds too; until its end it counts as unfinished."""
    here = (files.c.collection_row == collection_row) & (files.c.source == source) & (files.c.path == path)
    connection.execute(update(files).where(here, files.c.fingerprint != UNFINISHED).values(fingerprint=UNFINISHED))
    part = connection.execute(select(func.coalesce(func.max(files.c.part), -1) + 1).where(here)).scalar_one()
    values = {"collection_row": collection_row, "source": source, "path": path, "part": part}
    connection.execute(insert(files).values(**values, fingerprint=UNFINISHED, external_ids=external_ids))


def forget_sources(connection: Connection, collection_row: int, sources: Iterable[str]) -> None:
    """Read every file of these sources again the next time: their documents were changed by something else than an ingestion."""
    for source in sources:
        connection.execute(delete(files).where(files.c.collection_row == collection_row, files.c.source == source))


def forget(connection: Connection, collection_row: int, source: str, paths: Iterable[str]) -> None:
    for path in paths:
        connection.execute(delete(files).where(files.c.collection_row == collection_row, files.c.source == source, files.c.path == path))

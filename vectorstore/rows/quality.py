"""The rows that a report of quality is made from: of documents that the asker may read, and of no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, true, tuple_

from llmops.types import Asker
from vectorstore.rows.documents import in_parts
from vectorstore.rows.hits import only_readable
from vectorstore.tables import FOREVER, documents, profiles, versions

Key = tuple[int, int]
"""A version: the document's row and the number."""


class Row(NamedTuple):
    """A version that is live now or was before. What its profile says is None where it has none."""

    document_row: int
    version: int
    seq_from: int
    seq_to: int
    document_id: str
    source: str
    external_id: str
    untitled: bool
    metadata: Mapping[str, Any]
    characters: int | None
    tokens: int
    language: str
    text_hash: bytes
    signature: bytes
    vocabulary: bytes
    pii: Mapping[str, int]

    def is_live(self, at: int) -> bool:
        return self.seq_from <= at < self.seq_to

    @property
    def key(self) -> Key:
        return self.document_row, self.version


class Scope(NamedTuple):
    """Which documents a report is about: all of a collection, or those of one source; and for whom."""

    collection_row: int
    asker: Asker
    source: str | None = None

    def narrowed(self, wanted: Select[Any]) -> Select[Any]:
        here = documents.c.collection_row == self.collection_row
        if self.source is not None:
            here &= documents.c.source == self.source
        return only_readable(wanted.where(here), self.asker)


_SHOWN = (
    *(versions.c.document_row, versions.c.version, versions.c.seq_from, versions.c.seq_to),
    *(documents.c.id, documents.c.source, documents.c.external_id, versions.c.title == "", versions.c.metadata),
    *(profiles.c.characters, profiles.c.tokens, profiles.c.language, profiles.c.text_hash, profiles.c.signature),
    *(profiles.c.vocabulary, profiles.c.pii),
)


def _live(at: int) -> ColumnElement[bool]:
    return and_(versions.c.seq_from <= at, versions.c.seq_to > at)


def live(connection: Connection, scope: Scope, moments: Iterable[int]) -> list[Row]:
    """The versions that are live at one of these sequence numbers, in the order of their documents' rows."""
    wanted = _of_versions(select(*_SHOWN)).where(or_(*map(_live, moments)))
    return _rows(connection, scope.narrowed(wanted).order_by(versions.c.document_row, versions.c.version))


def begun(connection: Connection, scope: Scope, since: int, most: int) -> tuple[int, list[Row]]:
    """How many versions came after `since` and are live now, and about `most` of them at most."""
    came = and_(versions.c.seq_from > since, versions.c.seq_to == FOREVER)
    count = int(connection.execute(scope.narrowed(_of_versions(select(func.count())).where(came))).scalar_one())
    wanted = _of_versions(select(*_SHOWN)).where(came, _drawn(count, most))
    return count, _rows(connection, scope.narrowed(wanted).order_by(versions.c.document_row))


def sample(connection: Connection, scope: Scope, moments: Sequence[int], most: int) -> list[Row]:
    """As `live`, but of about `most` documents at most, the same ones at every moment."""
    count = int(connection.execute(scope.narrowed(select(func.count()).select_from(documents))).scalar_one())
    wanted = _of_versions(select(*_SHOWN)).where(or_(*map(_live, moments)), _drawn(count, most))
    return _rows(connection, scope.narrowed(wanted).order_by(versions.c.document_row, versions.c.version))


def _drawn(count: int, most: int) -> ColumnElement[bool]:
    """One in so many documents that about `most` of `count` are left. By a hash of the row: documents that come in turns have rows in step.

    The hash is the row times the golden ratio of 32 bits (Knuth, The Art of Computer Programming 3, section 6.4); both stores
    compute it in 64 bits without overflow.
    """
    step = -(-count // most) or 1
    return documents.c.row % 2**31 * 0x9E3779B1 % 2**32 // 2**12 % step == 0 if step > 1 else true()


def changes(connection: Connection, scope: Scope, since: int, at: int) -> dict[str, int]:
    """How many documents were added, changed and withdrawn between two sequence numbers."""
    was = _of_versions(select(versions.c.document_row)).where(_live(since), versions.c.seq_to <= at)
    came = _of_versions(select(versions.c.document_row)).where(_live(at), versions.c.seq_from > since)
    gone, new = (set(connection.execute(scope.narrowed(wanted)).scalars()) for wanted in (was, came))
    return {"added": len(new - gone), "changed": len(new & gone), "withdrawn": len(gone - new)}


def last_run(connection: Connection, scope: Scope, at: int) -> int | None:
    """Where the collection stood when the last run began that brought one of these versions; None where no run is known."""
    wanted = select(func.max(profiles.c.before_seq)).select_from(
        profiles.join(documents, documents.c.row == profiles.c.document_row).join(
            versions, and_(versions.c.document_row == profiles.c.document_row, versions.c.version == profiles.c.version)
        )
    )
    found: int | None = connection.execute(scope.narrowed(wanted.where(versions.c.seq_from <= at))).scalar()
    return found


def failures(connection: Connection, scope: Scope) -> list[tuple[str, int]]:
    """Why documents failed, and how many for each reason as it is written."""
    wanted = select(documents.c.error, func.count(documents.c.row)).where(documents.c.state == "failed")
    return [(row[0] or "", row[1]) for row in connection.execute(scope.narrowed(wanted).group_by(documents.c.error))]


def same_texts(connection: Connection, scope: Scope, hashes: Sequence[bytes]) -> dict[bytes, int]:
    """How many live documents have each of these texts."""
    found: dict[bytes, int] = {}
    for part in in_parts(hashes):
        wanted = _of_versions(select(profiles.c.text_hash, func.count())).where(profiles.c.text_hash.in_(part), versions.c.seq_to == FOREVER)
        found.update(connection.execute(scope.narrowed(wanted).group_by(profiles.c.text_hash)).all())
    return found


def texts(connection: Connection, keys: Sequence[Key]) -> Iterator[tuple[Key, str]]:
    """The texts of versions, which the caller has from rows that the asker may read."""
    place = tuple_(versions.c.document_row, versions.c.version)
    for part in in_parts(keys, 200):
        for row in connection.execute(select(versions.c.document_row, versions.c.version, versions.c.text).where(place.in_(part))):
            yield (row.document_row, row.version), row.text


def _of_versions(wanted: Select[Any]) -> Select[Any]:
    """A query over versions with their documents, and with their profiles where they have one."""
    mine = and_(profiles.c.document_row == versions.c.document_row, profiles.c.version == versions.c.version)
    return wanted.select_from(versions.join(documents, documents.c.row == versions.c.document_row).outerjoin(profiles, mine))


def _rows(connection: Connection, wanted: Select[Any]) -> list[Row]:
    return [Row(*row) for row in connection.execute(wanted)]

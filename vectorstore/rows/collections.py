"""Collections: names in a workspace, each with its encoder and its place in time."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update

from llmops.errors import Conflict, InvalidInput, UnknownName, near_names
from llmops.output import iso_time
from llmops.store.upsert import upsert
from llmops.types import Asker
from vectorstore.rows import acls
from vectorstore.rows.hits import only_readable
from vectorstore.tables import collections, documents

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Collection:
    row: int
    id: str
    workspace: str
    name: str
    encoder: str
    seq: int
    rights_seq: int
    acl_id: str
    created_at: float


def find(connection: Connection, workspace: str, name: str) -> Collection:
    """The collection of that name; `UnknownName` with near names where there is none."""
    row = connection.execute(select(collections).where(collections.c.workspace == workspace, collections.c.name == name)).first()
    if row is None:
        known = connection.execute(select(collections.c.name).where(collections.c.workspace == workspace)).scalars()
        hint = near_names(name, known) or f"workspace {workspace!r} has none yet; `llmops ingest PATH --collection {name}` makes one"
        raise UnknownName("collection", name, hint=hint)
    return Collection(*row)


def lock(connection: Connection, row: int) -> Collection:
    """The collection as it is now, which nobody changes until this transaction ends: what is read after it stays true."""
    found = connection.execute(select(collections).where(collections.c.row == row).with_for_update()).one()
    return Collection(*found)


def ensure(connection: Connection, workspace: str, name: str, encoder: str) -> Collection:
    """The collection of that name, made if need be, readable by its workspace. Raises `Conflict` where it was made with another encoder."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"not a name for a collection: {name!r}", hint="up to 100 letters, digits, '.', '_' and '-', a letter or digit first", param="collection"
        )
    now = {"seq": 0, "rights_seq": 0, "acl_id": acls.intern(connection, acls.workspace_only(workspace)), "created_at": time.time()}
    values = {"id": f"col_{uuid.uuid4().hex}", "workspace": workspace, "name": name, "encoder": encoder, **now}
    connection.execute(upsert(connection, collections).values(values).on_conflict_do_nothing())
    collection = find(connection, workspace, name)
    check_encoder(collection, encoder)
    return collection


def check_encoder(collection: Collection, encoder: str) -> None:
    """Raise `Conflict` if the collection's vectors come from another encoder: they could not be compared."""
    if collection.encoder != encoder:
        raise Conflict(
            f"collection {collection.name!r} was embedded with {collection.encoder}, the configuration says {encoder}",
            hint="ingest into a new collection, or put the former [encoder] back",
        )


def check_seq(collection: Collection, seq: int, param: str = "at") -> int:
    """`seq`, if the collection has come so far; else `InvalidInput` that names the parameter."""
    if not 0 <= seq <= collection.seq:
        raise InvalidInput(f"no sequence {seq} in collection {collection.name!r}", hint=f"it is at {collection.seq}", param=param)
    return seq


def next_seq(connection: Connection, row: int) -> int:
    """Move the collection's sequence by one. The row stays locked until the commit, so writers of one collection queue up here."""
    moved = update(collections).where(collections.c.row == row).values(seq=collections.c.seq + 1)
    return int(connection.execute(moved.returning(collections.c.seq)).scalar_one())


def next_rights_seq(connection: Connection, row: int) -> int:
    moved = update(collections).where(collections.c.row == row).values(rights_seq=collections.c.rights_seq + 1)
    return int(connection.execute(moved.returning(collections.c.rights_seq)).scalar_one())


def inherited(connection: Connection, row: int) -> str:
    """The access list that a new document of the collection gets."""
    return str(connection.execute(select(collections.c.acl_id).where(collections.c.row == row)).scalar_one())


def set_acl(connection: Connection, row: int, acl_id: str) -> None:
    connection.execute(update(collections).where(collections.c.row == row).values(acl_id=acl_id))


def exists(connection: Connection, workspace: str, name: str) -> bool:
    here = (collections.c.workspace == workspace) & (collections.c.name == name)
    return connection.execute(select(collections.c.row).where(here)).first() is not None


def listing(connection: Connection, asker: Asker) -> list[dict[str, Any]]:
    """Every collection of the asker's workspace with its counts, by name."""
    found = connection.execute(select(collections).where(collections.c.workspace == asker.workspace).order_by(collections.c.name))
    return [describe(connection, Collection(*row), asker) for row in found.all()]


def describe(connection: Connection, collection: Collection, asker: Asker) -> dict[str, Any]:
    """A collection as the asker sees it: only documents that may be read are counted."""
    here = select(documents.c.state, func.count(), func.sum(documents.c.chunks)).where(documents.c.collection_row == collection.row)
    states = {state: (count, chunks) for state, count, chunks in connection.execute(only_readable(here, asker).group_by(documents.c.state))}
    return {
        "name": collection.name,
        "workspace": collection.workspace,
        "encoder": collection.encoder,
        "seq": collection.seq,
        "documents": {state: states.get(state, (0, 0))[0] for state in ("ready", "failed")},
        "chunks": int(sum(chunks for _, chunks in states.values())),
        "created_at": iso_time(collection.created_at),
    }

"""The transactions in which an ingestion changes what can be read.

Whether somebody may change a document is certain only here, once the collection's row is held: until then it may be
shared otherwise, or come from somewhere else.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Iterable
from dataclasses import dataclass, field

from llmops.failpoints import failpoint
from llmops.store.store import Connection
from vectorstore.rows import acls, collections, documents, files
from vectorstore.rows.documents import Batch, State


@dataclass(frozen=True, slots=True)
class Place:
    """Where an ingestion writes, and on whose behalf: `principals` None is the owner, who may change everything."""

    collection: collections.Collection
    source: str
    principals: Iterable[str] | None


@dataclass(slots=True)
class Step:
    """What one transaction does: a batch, documents that get another list, files read to their end and files begun."""

    batch: Batch = field(default_factory=Batch)
    shared: dict[str, list[str]] = field(default_factory=dict)
    files_done: dict[str, files.Ingested] = field(default_factory=dict)
    files_begun: list[tuple[str, list[str]]] = field(default_factory=list)

    def is_empty(self) -> bool:
        return not (self.batch.external_ids() or self.shared or self.files_done or self.files_begun)


def publish(connection: Connection, place: Place, step: Step) -> tuple[dict[str, State], set[str]]:
    """Make a step visible. Returns the documents that it touched as they are now, and those that were left for they are another's."""
    collections.lock(connection, place.collection.row)
    touched = step.batch.external_ids() | step.shared.keys()
    before = documents.states_of(connection, place.collection.row, place.source, touched)
    others = _anothers(connection, place, before)
    _share(connection, place, {name: acl for name, acl in step.shared.items() if name in before and name not in others}, before)
    kept = step.batch.without(others)
    if kept.external_ids():
        documents.publish(connection, place.collection, place.source, kept)
    for path, ingested in step.files_done.items():
        files.remember(connection, place.collection.row, place.source, path, ingested)
    for path, external_ids in step.files_begun:
        files.add(connection, place.collection.row, place.source, path, external_ids)
    failpoint("ingest.publishing")
    return documents.states_of(connection, place.collection.row, place.source, touched), others


def prune(connection: Connection, place: Place, gone: Names[str], paths: Iterable[str]) -> list[str]:
    """Withdraw documents that the source has no more, but for those that are another's, and forget files; returns what went."""
    collections.lock(connection, place.collection.row)
    there = documents.states_of(connection, place.collection.row, place.source, gone)
    others = _anothers(connection, place, there)
    rows = {name: state.row for name, state in there.items() if name not in others and state.state != "withdrawn"}
    if rows:
        documents.withdraw(connection, place.collection, list(rows.values()))
    files.forget(connection, place.collection.row, place.source, paths)
    return list(rows)


def _anothers(connection: Connection, place: Place, there: dict[str, State]) -> set[str]:
    """Which of these documents the ingestion may not change, for who ordered it may not even read them."""
    if place.principals is None:
        return set()
    readable = acls.readable(connection, {state.acl_id for state in there.values()}, place.principals)
    return {name for name, state in there.items() if state.acl_id not in readable}


def _share(connection: Connection, place: Place, shared: dict[str, list[str]], there: dict[str, State]) -> None:
    by_list: dict[tuple[str, ...], list[int]] = {}
    for name, acl in shared.items():
        by_list.setdefault(tuple(acl), []).append(there[name].row)
    for principals, rows in by_list.items():
        documents.set_rights(connection, place.collection, rows, list(principals))

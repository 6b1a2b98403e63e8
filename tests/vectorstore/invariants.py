"""What must hold of a collection after anything that may have happened to it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from sqlalchemy import func, select

from llmops.home import Home
from llmops.types import Asker
from vectorstore.index.postings import Statistics
from vectorstore.index.view import View
from vectorstore.legs import candidates
from vectorstore.rows import collections
from vectorstore.search import Searcher
from vectorstore.tables import FOREVER, chunks, documents, vectors, versions

OWNER = Asker("poc", owner=True, role="admin")


def check_collection(home: Home, name: str, queries: list[str], workspace: str = "poc") -> None:
    """Rows agree with each other, the index finds every single chunk, and a search finds what brute force over the rows finds."""
    collection = home.store.read(lambda c: collections.find(c, workspace, name))
    home.store.read(lambda c: _check_rows(c, collection))
    home.store.read(lambda c: _check_index(c, View(home, collection), collection))
    for query in queries:
        _check_search(home, collection, query)


def _check_rows(connection, collection) -> None:
    live = (chunks.c.collection_row == collection.row) & (chunks.c.seq_to == FOREVER)
    open_versions, held = defaultdict(list), defaultdict(list)
    here = (versions.c.collection_row == collection.row) & (versions.c.seq_to == FOREVER)
    for row, version in connection.execute(select(versions.c.document_row, versions.c.version).where(here)):
        open_versions[row].append(version)
    for row, *place in connection.execute(select(chunks.c.document_row, chunks.c.version, chunks.c.ordinal).where(live).order_by(chunks.c.ordinal)):
        held[row].append(tuple(place))
    for document in connection.execute(select(documents).where(documents.c.collection_row == collection.row)):
        its_versions, its_chunks = open_versions.pop(document.row, []), held.pop(document.row, [])
        assert len(its_chunks) == document.chunks, f"{document.external_id}: {len(its_chunks)} chunks, {document.chunks} promised"
        if document.state == "ready" or its_chunks:  # a document that failed may still have its last good version
            assert its_versions == [document.version], f"{document.external_id}: live versions {its_versions}"
            assert its_chunks == [(document.version, ordinal) for ordinal in range(document.chunks)], document.external_id
        if document.state == "withdrawn":
            assert not its_versions and not its_chunks
    assert not open_versions and not held, "versions or chunks of no document"
    without_vector = connection.execute(
        select(func.count()).select_from(chunks.outerjoin(vectors, vectors.c.text_hash == chunks.c.text_hash)).where(live, vectors.c.vector.is_(None))
    ).scalar_one()
    assert without_vector == 0


def _check_index(connection, view, collection) -> None:
    """What a reader that begins now sees, in segments and tail: every live chunk once, each the nearest to its own vector."""
    moment = view.refresh(connection, collection)
    masks = moment.masks(collection.seq, np.ones(len(moment.slots), dtype=np.bool_))
    seen = np.concatenate([np.zeros(0, dtype=np.int64), *(part.segment.rows[mask] for part, mask in zip(moment.parts, masks, strict=True))])
    found = connection.execute(
        select(chunks.c.row, chunks.c.text_hash, vectors.c.vector)
        .join(vectors, (vectors.c.text_hash == chunks.c.text_hash) & (vectors.c.encoder == collection.encoder))
        .where(chunks.c.collection_row == collection.row, chunks.c.seq_to == FOREVER)
        .order_by(chunks.c.row)
    ).all()
    assert sorted(seen.tolist()) == [row.row for row in found], "the index holds other chunks than the rows"
    same_text = defaultdict(set)
    for row in found:
        same_text[row.text_hash].add(row.row)
    for row in {row.text_hash: row for row in found}.values():
        vector, as_many = np.frombuffer(row.vector, "<f4"), len(same_text[row.text_hash])
        nearest = candidates(moment.parts, masks, vector, Statistics(0, 0.0, {}), as_many).legs()["dense"]
        best = max(nearest.values())
        lost = [one for one in same_text[row.text_hash] if nearest.get(one, -1.0) < best - 1e-5]
        assert not lost, f"chunks {lost} are not found by their own vectors"


def _check_search(home: Home, collection, query: str) -> None:
    """The dense leg's best ten are those of a plain scan over the vectors in rows."""
    found = Searcher(home).search(query, collection=collection.name, asker=Asker(collection.workspace, owner=True), k=1000)
    by_text = {(hit.passage.document_id, hit.passage.start): hit.legs["dense"] for hit in found.hits if "dense" in hit.legs}

    def brute(connection):
        rows = connection.execute(
            select(documents.c.id, chunks.c.start, vectors.c.vector)
            .join(documents, documents.c.row == chunks.c.document_row)
            .join(vectors, (vectors.c.text_hash == chunks.c.text_hash) & (vectors.c.encoder == found.encoder))
            .where(chunks.c.seq_to == FOREVER, documents.c.workspace == collection.workspace, chunks.c.collection_row == collection.row)
        ).all()
        return {(row.id, row.start): float(np.frombuffer(row.vector, "<f4") @ found.query_vector) for row in rows}

    expected = home.store.read(brute)
    best = sorted(expected, key=lambda key: -expected[key])[:10]
    assert all(key in by_text for key in best)
    assert all(abs(by_text[key] - expected[key]) < 1e-5 for key in best)

"""What must hold of a collection after anything that may have happened to it."""

from __future__ import annotations

import numpy as np
from sqlalchemy import func, select

from llmops.home import Home
from llmops.types import Asker
from vectorstore.rows import collections
from vectorstore.search import Searcher
from vectorstore.tables import FOREVER, chunks, documents, vectors, versions

OWNER = Asker("poc", owner=True)


def check_collection(home: Home, name: str, queries: list[str]) -> None:
    """Rows agree with each other, and a search finds what brute force over the rows finds."""
    home.store.read(lambda c: _check_rows(c, collections.find(c, "poc", name)))
    for query in queries:
        _check_search(home, name, query)


def _check_rows(connection, collection) -> None:
    live = (chunks.c.collection_row == collection.row) & (chunks.c.seq_to == FOREVER)
    for document in connection.execute(select(documents).where(documents.c.collection_row == collection.row)):
        mine = (versions.c.document_row == document.row) & (versions.c.seq_to == FOREVER)
        open_versions = connection.execute(select(versions.c.version).where(mine)).scalars().all()
        count = connection.execute(select(func.count()).where(live, chunks.c.document_row == document.row)).scalar_one()
        if document.state == "ready":
            assert open_versions == [document.version], f"{document.external_id}: live versions {open_versions}"
            assert count == document.chunks, f"{document.external_id}: {count} chunks, {document.chunks} promised"
        elif document.state == "withdrawn":
            assert not open_versions and not count
    without_vector = connection.execute(
        select(func.count()).select_from(chunks.outerjoin(vectors, vectors.c.text_hash == chunks.c.text_hash)).where(live, vectors.c.vector.is_(None))
    ).scalar_one()
    assert without_vector == 0


def _check_search(home: Home, name: str, query: str) -> None:
    """The dense leg's best ten are those of a plain scan over the vectors in rows."""
    found = Searcher(home).search(query, collection=name, asker=OWNER, k=1000)
    by_text = {(hit.passage.document_id, hit.passage.start): hit.legs["dense"] for hit in found.hits if "dense" in hit.legs}

    def brute(connection):
        rows = connection.execute(
            select(documents.c.id, chunks.c.start, vectors.c.vector)
            .join(documents, documents.c.row == chunks.c.document_row)
            .join(vectors, (vectors.c.text_hash == chunks.c.text_hash) & (vectors.c.encoder == found.encoder))
            .where(
                chunks.c.seq_to == FOREVER, documents.c.workspace == "poc", chunks.c.collection_row == collections.find(connection, "poc", name).row
            )
        ).all()
        return {(row.id, row.start): float(np.frombuffer(row.vector, "<f4") @ found.query_vector) for row in rows}

    expected = home.store.read(brute)
    best = sorted(expected, key=lambda key: -expected[key])[:10]
    assert all(key in by_text for key in best)
    assert all(abs(by_text[key] - expected[key]) < 1e-5 for key in best)

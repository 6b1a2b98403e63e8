"""An encoder that breaks, and a neighbour that floods: neither changes what others find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from llmops.encoder.sound import BadVector, embed
from llmops.home import Home
from llmops.jobs import worker
from llmops.testing import HashEncoder
from llmops.types import Asker, TextKind, Vectors
from vectorstore import documents
from vectorstore.documents import Handed
from vectorstore.search import Searcher

OWNER = {workspace: Asker(workspace, owner=True) for workspace in ("poc", "dev")}
BAD = "poison"


class BreakingEncoder(HashEncoder):
    """Right but for texts that say `poison`."""

    def __init__(self, how: str) -> None:
        self.how = how

    def embed(self, texts: Sequence[str], kind: TextKind = "passage") -> Vectors:
        vectors = super().embed(texts, kind)
        for row, text in enumerate(texts):
            if BAD in text:
                if self.how == "dimension":
                    return np.zeros((len(texts), self.dimension + 1), dtype=np.float32)
                if self.how == "count":
                    return vectors[:-1]
                if self.how == "integers":
                    return vectors.astype(np.int64)
                vectors[row] = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "huge": 1e6, "tiny": 1e-6}[self.how]
                vectors[row, 1:] = 0
        return vectors


HOWS = ["nan", "inf", "-inf", "huge", "tiny", "dimension", "count", "integers"]


def hand_in(home: Home, *texts: str, workspace: str = "poc", first: int = 0) -> dict[str, Any]:
    """The result of ingesting the texts as documents `d0`, `d1` ..."""
    handed = [Handed(f"d{first + n}", f"d{first + n}.txt", text.encode()) for n, text in enumerate(texts)]
    job_id = documents.accept(home, OWNER[workspace], "docs", handed)
    job = worker.finish(home, workspace, job_id)
    assert job.state == "done" and job.result is not None, job.error
    return dict(job.result)


@pytest.mark.parametrize("how", HOWS)
def test_t46_a_document_that_the_encoder_breaks_at_fails_alone_and_leaves_nothing(home: Home, how: str) -> None:
    home._encoder = BreakingEncoder(how)
    result = hand_in(home, "boats are blue", f"boats are {BAD}", "boats are green")
    assert result["ready"] == 2 and [one["external_id"] for one in result["failed"]] == ["d1"]
    assert "the encoder 'hash' gave" in result["failed"][0]["error"]
    listed = home.store.read(lambda c: documents.listed(c, OWNER["poc"], "docs"))
    assert {one["external_id"]: one["state"] for one in listed} == {"d0": "ready", "d1": "failed", "d2": "ready"}
    found = Searcher(home).search("boats", collection="docs", asker=OWNER["poc"])
    assert {hit.passage.external_id for hit in found.hits} == {"d0", "d2"} and all(np.isfinite(hit.score) for hit in found.hits)
    kept = home.store.read(lambda c: c.exec_driver_sql("select count(*), min(length(vector)), max(length(vector)) from vectors").one())
    assert tuple(kept) == (2, 4 * HashEncoder.dimension, 4 * HashEncoder.dimension)


def test_t46_with_a_sound_encoder_the_document_becomes_ready(home: Home) -> None:
    home._encoder = BreakingEncoder("nan")
    assert hand_in(home, f"boats are {BAD}")["failed"]
    home._encoder = HashEncoder()
    assert hand_in(home, f"boats are {BAD}")["ready"] == 1, "it was not the document's fault, so it is not remembered as such"


@pytest.mark.parametrize("how", HOWS)
def test_t46_a_query_that_the_encoder_breaks_at_is_one_clear_error(home: Home, how: str) -> None:
    home._encoder = BreakingEncoder(how)
    hand_in(home, "boats are blue")
    with pytest.raises(BadVector) as failed:
        Searcher(home).search(f"blue {BAD}", collection="docs", asker=OWNER["poc"])
    assert failed.value.hint and failed.value.status == 503
    assert Searcher(home).search("blue", collection="docs", asker=OWNER["poc"]).hits


def test_the_zero_vector_of_a_text_without_tokens_is_sound() -> None:
    class Mute(HashEncoder):
        def embed(self, texts: Sequence[str], kind: TextKind = "passage") -> Vectors:
            return np.zeros((len(texts), self.dimension), dtype=np.float32)

    assert not embed(Mute(), ["a", "b"]).any()


def test_t46_a_flood_of_near_duplicates_changes_nothing_in_another_workspace(home: Home) -> None:
    home._encoder = HashEncoder()
    texts = [f"The harbour of town {n} has {n} boats, and its master is called Anna{n}." for n in range(12)]
    hand_in(home, *texts)
    queries = ["harbour boats", "the master Anna7", "town 3", "nothing of it"]
    searcher = Searcher(home)

    def seen() -> list[list[tuple[str, float, dict[str, float]]]]:
        hits = [searcher.search(query, collection="docs", asker=OWNER["poc"], k=5).hits for query in queries]
        return [[(hit.passage.external_id, hit.score, dict(hit.legs)) for hit in found] for found in hits]

    before = seen()
    for first in range(0, 400, 200):
        flood = [f"{texts[n % 12]} {'harbour ' * (n % 5)}{n}" for n in range(first, first + 200)]
        hand_in(home, *flood, workspace="dev", first=first)
        assert seen() == before, "the same documents with the same scores, to the last bit"
    searcher = Searcher(home)
    assert seen() == before
    assert len(searcher.search("harbour", collection="docs", asker=OWNER["dev"], k=50).hits) == 50

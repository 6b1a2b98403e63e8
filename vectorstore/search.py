"""Hybrid search: the asker's rights and the point in time first, then two legs, then their fusion."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops.encoder.sound import embed
from llmops.errors import InvalidInput
from llmops.types import Asker, Hit, Passage, Snapshot, Vectors
from vectorstore.filters import Filter, compile_filter
from vectorstore.fusion import Reading, fuse, reading
from vectorstore.index.postings import Statistics, weigh
from vectorstore.index.view import View
from vectorstore.legs import Scores, candidates
from vectorstore.rows import collections
from vectorstore.rows.hits import passages

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.store import Connection

MOST_HITS = 1000
FORMER_TURN = 2000
"""Characters that a query may have beyond those of a question: of the turn before it."""
LEG_DEPTH = 100
"""How deep each leg is read, at least, before the fusion."""


class Plan(NamedTuple):
    """How a search was carried out: how many chunks were allowed in each segment that has such, and how many each leg read."""

    allowed: tuple[int, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, as of which snapshot, and the seconds of each of its parts.

    `legs` has what each leg gives to all that either found, by chunk row and best first, however little it counts; `reading`
    says how well the encoder reads the query, `weight` what the cosine weighed.
    """

    hits: tuple[Hit, ...]
    legs: Mapping[str, Mapping[int, float]]
    snapshot: Snapshot
    query_vector: Vectors
    encoder: str
    reading: Reading
    weight: float
    statistics: Statistics
    plan: Plan
    seconds: Mapping[str, float]


class Searcher:
    """Searches the collections of a home; keeps a view of each that it was asked for."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._views: dict[str, View] = {}
        self._lock = threading.Lock()

    async def search_async(self, query: str, **options: Any) -> Found:
        """`search` in a thread of its own."""
        return await asyncio.to_thread(self.search, query, **options)

    def search(
        self, query: str, *, collection: str, asker: Asker, k: int = 10, at: int | None = None, filter: Mapping[str, Any] | None = None
    ) -> Found:
        """The best `k` chunks for a query, best first, that the asker may read, as of `at` (default: now).

        Raises `InvalidInput` for an empty query, `k` outside 1..1000, a broken filter or a time to come, and
        `UnknownName` for a collection that is not there.
        """
        _check(query, k, self._home.settings.server.max_question_chars + FORMER_TURN)
        narrowed = compile_filter(filter) if filter is not None else None
        timer = _Timer()
        # Read once before the encoder works, so that a wrong name costs no embedding, and again with the rows that are searched.
        found = self._home.store.read(lambda c: collections.find(c, asker.workspace, collection))
        collections.check_encoder(found, self._home.encoder.identity)
        if at is not None:
            collections.check_seq(found, at)
        vector = embed(self._home.encoder, [query], "query")[0]
        timer.lap("embed")
        return self._home.store.read(lambda c: self._search(c, found, query, vector, asker, k, at, narrowed, timer))

    def _search(
        self,
        connection: Connection,
        collection: collections.Collection,
        query: str,
        vector: Vectors,
        asker: Asker,
        k: int,
        at: int | None,
        narrowed: Filter | None,
        timer: _Timer,
    ) -> Found:
        now = collections.find(connection, collection.workspace, collection.name)
        view = self._view(now)
        moment = view.refresh(connection, now)
        as_of = now.seq if at is None else at
        slots = view.allowed(connection, now, moment, asker)
        if narrowed is not None:
            slots = slots & view.matching(connection, now, moment, narrowed)
        masks = moment.masks(as_of, slots)
        timer.lap("plan")
        statistics = weigh([(part.segment.postings, mask) for part, mask in zip(moment.parts, masks, strict=True)], query)
        plan = Plan(tuple(filter(None, (int(mask.sum()) for mask in masks))), max(k, LEG_DEPTH))
        found = candidates(moment.parts, masks, vector, statistics, plan.depth)
        how = reading(query, self._home.encoder)
        fused, legs = fuse(found, statistics, how), found.legs()
        timer.lap("scan")
        hits = _hits(connection, fused.scores, legs, asker, as_of, k)
        timer.lap("rows")
        return Found(hits, legs, Snapshot(now.name, as_of), vector, now.encoder, how, fused.weight, statistics, plan, timer.seconds)

    def _view(self, collection: collections.Collection) -> View:
        with self._lock:
            if collection.id not in self._views:
                self._views[collection.id] = View(self._home, collection)
            return self._views[collection.id]


def _hits(connection: Connection, ranking: Scores, legs: Mapping[str, Scores], asker: Asker, as_of: int, k: int) -> tuple[Hit, ...]:
    """The best `k` that are there. Rows are asked again whether they may be read: a mistake in the masks must not become a leak."""
    hits: list[Hit] = []
    best = iter(ranking.items())
    while len(hits) < k and (some := dict(islice(best, k))):
        found = passages(connection, list(some), asker, as_of)
        hits += [_hit(found[row], row, value, legs) for row, value in some.items() if row in found]
    return tuple(hits[:k])


def _hit(passage: Passage, row: int, value: float, legs: Mapping[str, Scores]) -> Hit:
    return Hit(passage, value, {leg: scores[row] for leg, scores in legs.items() if row in scores})


def _check(query: str, k: int, longest: int) -> None:
    if not query.strip():
        raise InvalidInput("the query is empty", hint="ask something", param="query")
    if len(query) > longest:
        raise InvalidInput(f"the query has {len(query):,} characters, {longest:,} are allowed", hint="search for its main sentence", param="query")
    if not 1 <= k <= MOST_HITS:
        hint = "ask for fewer hits" if k > 0 else "ask for one hit at least"
        raise InvalidInput(f"k is {k}, it must be between 1 and {MOST_HITS}", hint=hint, param="k")


class _Timer:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now

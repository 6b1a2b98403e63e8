"""Why a search found what it found: which chunks it looked at and how, what each leg counts, and how each hit's score comes about."""

from __future__ import annotations

from llmops.types import Json
from vectorstore.fusion import Reading, bm25_ceiling
from vectorstore.index.scan import RESCORED, is_scanned
from vectorstore.search import Found

_READ = {
    Reading.LANGUAGE: "the encoder reads the query's language",
    Reading.SCRIPT: "the encoder reads the query's script, not its language",
    Reading.NOTHING: "the encoder does not read the query",
}


def explained(found: Found) -> Json:
    """The plan of a search, the weights of its legs, and for each hit the parts of its score.

    Everything counts what the asker may read; only the milliseconds are those of the whole collection.
    """
    scanned = sum(allowed for allowed in found.plan.allowed if is_scanned(allowed, found.plan.depth))
    ceiling = bm25_ceiling(found.statistics)
    alone = found.reading is Reading.NOTHING and found.weight > 0
    return {
        "index": "exact",
        "allowed": sum(found.plan.allowed),
        "scanned": scanned,
        "compared": sum(found.plan.allowed) - scanned,
        "legs": {
            "dense": {"weight": found.weight, "why": _READ[found.reading] + (", but nothing shares a term with it" if alone else "")},
            "lexical": {
                "weight": round(1 - found.weight, 4),
                "terms": len(found.statistics.weights),
                "most": ceiling,
                "found": len(found.legs["lexical"]),
            },
        },
        "hits": [
            {"chunk_id": hit.passage.chunk_id, "score": hit.score, "cosine": hit.legs["dense"], "bm25": hit.legs.get("lexical", 0.0)}
            for hit in found.hits
        ],
        "milliseconds": {part: round(1000 * seconds, 3) for part, seconds in found.seconds.items()},
    }


def lines(told: Json) -> list[str]:
    """The same for a terminal."""
    dense, lexical = told["legs"]["dense"], told["legs"]["lexical"]
    shared = f"the best {lexical['found']:,} chunks that share one are ranked" if lexical["found"] else "no chunk shares one"
    found = [
        f"index    exact: {told['allowed']:,} chunks are live, may be read and pass the filter",
        f"         {told['compared']:,} were compared in float32, {told['scanned']:,} as int8 and the best {RESCORED} or more of those again",
        f"dense    weighs {dense['weight']:g}: {dense['why']}",
        f"lexical  weighs {lexical['weight']:g}: of the query's terms {lexical['terms']} count; {shared}",
        "took     " + ", ".join(f"{part} {milliseconds:.1f} ms" for part, milliseconds in told["milliseconds"].items()),
    ]
    for number, hit in enumerate(told["hits"], 1):
        found.append(f"{number:>3}  {hit['score']:.4f}  cosine {hit['cosine']:.3f}, BM25 {hit['bm25']:.2f} of {lexical['most']:.2f}")
    return found

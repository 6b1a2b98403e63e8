"""Why a search found what it found: which chunks it looked at and how, what each leg counts, and how each hit's score comes about."""

from __future__ import annotations

from llmops.types import Json
from vectorstore.fusion import Reading, bm25_ceiling
from vectorstore.index.scan import GATHER, RESCORED, is_scanned
from vectorstore.search import Found

_READ = {
    Reading.LANGUAGE: "the encoder reads the query's language",
    Reading.SCRIPT: "the encoder reads the query's script, not its language",
    Reading.NOTHING: "the encoder does not read the query",
}


def explained(found: Found) -> Json:
    """The plan of a search, the weights of its legs, and for each hit the parts of its score. No number tells of what may not be read."""
    segments = [{"allowed": allowed, "way": "int8 scan" if is_scanned(allowed, found.plan.depth) else "float32"} for allowed in found.plan.allowed]
    weight, ceiling = found.reading.value, bm25_ceiling(found.statistics)
    return {
        "index": "exact",
        "allowed": sum(found.plan.allowed),
        "segments": segments,
        "legs": {
            "dense": {"weight": weight, "why": _READ[found.reading]},
            "lexical": {"weight": round(1 - weight, 4), "terms": len(found.statistics.weights), "most": ceiling, "found": len(found.legs["lexical"])},
        },
        "hits": [
            {"chunk_id": hit.passage.chunk_id, "score": hit.score, "cosine": hit.legs["dense"], "bm25": hit.legs.get("lexical", 0.0)}
            for hit in found.hits
        ],
        "milliseconds": {part: round(1000 * seconds, 3) for part, seconds in found.seconds.items()},
    }


def lines(told: Json) -> list[str]:
    """The same for a terminal."""
    scanned = sum(segment["way"] == "int8 scan" for segment in told["segments"])
    ways = [f"{scanned} scanned as int8, the best {RESCORED} or more of each compared again"] if scanned else []
    if compared := len(told["segments"]) - scanned:
        ways.append(f"{compared} compared in float32, for no more than {GATHER:,} of its chunks are allowed")
    dense, lexical = told["legs"]["dense"], told["legs"]["lexical"]
    found = [
        f"index     exact: {told['allowed']:,} chunks are live, may be read and pass the filter",
        f"segments  {len(told['segments'])}: {'; '.join(ways) or 'none'}",
        f"dense     weighs {dense['weight']:g}: {dense['why']}",
        f"lexical   weighs {lexical['weight']:g}: {lexical['terms']} terms, of which the best {lexical['found']} chunks share some",
        "took      " + ", ".join(f"{part} {milliseconds:.1f} ms" for part, milliseconds in told["milliseconds"].items()),
    ]
    for number, hit in enumerate(told["hits"], 1):
        found.append(f"{number:>3}  {hit['score']:.4f}  cosine {hit['cosine']:.3f}, BM25 {hit['bm25']:.2f} of {lexical['most']:.2f}")
    return found

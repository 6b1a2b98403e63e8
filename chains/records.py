"""What an answer's row holds, and what is told of it elsewhere: the trace, and the answer as it is shown again."""

from __future__ import annotations

from dataclasses import asdict

from chains import rows
from chains.rows import NewAnswer
from llmops.errors import UnknownName
from llmops.failpoints import failpoint
from llmops.store import outbox
from llmops.store.store import Connection
from llmops.types import Asker, Hit, Json
from vectorstore.rows.hits import readable_documents


def record(connection: Connection, answer: NewAnswer) -> None:
    """Write the answer down, and leave word for its trace, in the caller's transaction."""
    passages = [_place(hit) for hit in answer.hits]
    citations = [asdict(citation) for citation in answer.citations]
    rows.insert_answer(connection, answer, passages, citations)
    outbox.tell(connection, "traces", answer.id, _trace(answer, passages))
    failpoint("answer.recording")


def _place(hit: Hit) -> Json:
    """A passage without its text: rows hold that already, and rights are asked again before it is shown."""
    where = {key: value for key, value in asdict(hit.passage).items() if key not in ("text", "title", "heading")}
    return {**where, "score": hit.score, "legs": dict(hit.legs)}


def _trace(answer: NewAnswer, passages: list[Json]) -> Json:
    """The trace's payload: spans in milliseconds from the start; no passage text."""
    spans: list[Json] = []
    at = 0.0
    for name, milliseconds in answer.timings.items():
        if name != "first_sentence":
            chunks = {"passages": [place["chunk_id"] for place in passages]} if name == "rows" else {}
            spans.append({"name": name, "start_ms": at, "end_ms": at + milliseconds, "attributes": chunks})
            at += milliseconds
    attributes = {
        "prompt": answer.prompt,
        "collection": answer.collection,
        "seq": answer.seq,
        "route": answer.route,
        "model": answer.model,
        "abstained": answer.abstained,
        "evidence": answer.evidence,
        "tokens_in": answer.usage.tokens_in,
        "tokens_out": answer.usage.tokens_out,
        "cost": answer.cost,
        "configuration": answer.configuration,
    }
    return {
        "answer_id": answer.id,
        "workspace": answer.workspace,
        "chain": answer.chain,
        "asker": answer.asker,
        "question": answer.question,
        "reply": answer.reply,
        "started_at": answer.created_at,
        "spans": spans,
        "attributes": attributes,
        "state": answer.state,
        "error": answer.error,
    }


def show(connection: Connection, asker: Asker, answer_id: str) -> Json:
    """An answer as it was given, for one who may read every document that it was made from today.

    Raises `UnknownName` for an answer that is not there, and for one that may not be seen: which of them is not told.
    """
    answer = rows.answer(connection, asker.workspace, answer_id)
    if answer is None:
        raise UnknownName("answer", answer_id)
    used = {place["document_id"] for place in answer["passages"]}
    # An abstention rests on no document; it still says what somebody asked.
    mine = asker.owner or asker.name == answer["asker"]
    if not (mine if not used else asker.owner or readable_documents(connection, used, asker) == used):
        raise UnknownName("answer", answer_id)
    return answer

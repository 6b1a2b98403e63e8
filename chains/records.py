"""What an answer's row holds, that its trace is to be exported, and the answer as it is shown again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

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
    outbox.tell(connection, "traces", answer.id, {})
    failpoint("answer.recording")


def _place(hit: Hit) -> Json:
    """A passage without its text: rows hold that already, and rights are asked again before it is shown."""
    where = {key: value for key, value in asdict(hit.passage).items() if key not in ("text", "title", "heading")}
    return {**where, "score": hit.score, "legs": dict(hit.legs)}


def show(connection: Connection, asker: Asker, answer_id: str) -> Json:
    """An answer as it was given, for one who may read every document that it was made from today.

    Raises `UnknownName` for an answer that is not there, and for one that may not be seen: which of them is not told.
    """
    answer = rows.answer(connection, asker.workspace, answer_id)
    if answer is None or not visible(connection, asker, [answer]):
        raise UnknownName("answer", answer_id)
    # Earlier turns may rest on documents that this answer does not name.
    return answer if _is_mine(asker, answer) else {name: value for name, value in answer.items() if name not in ("messages", "search_query")}


def visible(connection: Connection, asker: Asker, answers: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which of these answers the asker may see: by their ids. Rights are those of today, whenever the answers were given."""
    if asker.owner:
        return {answer["answer_id"] for answer in answers}
    used = {answer["answer_id"]: {place["document_id"] for place in answer["passages"]} for answer in answers}
    readable = readable_documents(connection, set().union(*used.values()), asker)
    mine = {answer["answer_id"] for answer in answers if _is_mine(asker, answer)}
    # A reply may repeat an earlier turn, which may rest on documents that this answer does not name. And an abstention
    # rests on no document; it still says what somebody asked.
    others = {answer["answer_id"] for answer in answers if len(answer["messages"]) == 1 and answer["passages"]}
    return {answer_id for answer_id, rests_on in used.items() if rests_on <= readable and answer_id in mine | others}


def _is_mine(asker: Asker, answer: Mapping[str, Any]) -> bool:
    return asker.owner or asker.name == answer["asker"]

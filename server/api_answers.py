"""Answers as they were given."""

from __future__ import annotations

from chains import records
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf, link
from server.shapes_answers import AnswerShape

door = Door("answers")

_PLACES = {
    "collection": link("collections_show", name="/collection"),
    "document": link("documents_show", document_id="/citations/0/document_id"),
}


@door.get("/api/v1/answers/{answer_id}", permission="answers:read", returns=AnswerShape, links=_PLACES)
async def show(answer_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Everything that says why an answer was given, for a key that may read all that it was made from."""
    return await rooms.home.store.read_async(lambda c: records.show(c, asker, answer_id))

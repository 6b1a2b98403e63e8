"""Feedback on answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from chains import feedback
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf

door = Door("feedback")


class NewFeedback(BaseModel):
    """A rating of an answer, and perhaps a better one."""

    model_config = ConfigDict(extra="forbid")
    answer_id: str = Field(min_length=1, max_length=40)
    rating: Annotated[Any, Field(json_schema_extra={"enum": ["up", "down", 1, 2, 3, 4, 5]})]
    better: str | None = Field(None, max_length=feedback.LONGEST)
    comment: str | None = Field(None, max_length=feedback.LONGEST)


@door.post("/api/v1/feedback", permission="feedback:write", status_code=201)
async def give(body: NewFeedback, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Keep a rating; the same key's second one for an answer replaces its first."""
    return await rooms.home.store.write_async(lambda c: feedback.give(c, asker, body.answer_id, body.rating, body.better, body.comment))

"""Feedback on answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from chains import feedback
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf, link
from server.pages import NEWEST, BeforeRow, Limit, Page
from server.shapes import AnswerId, Body, FeedbackId, Moment, Reply

door = Door("feedback")
RATINGS = ["up", "down", 1, 2, 3, 4, 5]


def _rating(value: object) -> object:
    if isinstance(value, bool) or value not in RATINGS:
        raise ValueError("up, down, or a whole number from 1 to 5")
    return int(value) if isinstance(value, float) else value


class NewFeedback(Body):
    """A rating of an answer, and perhaps a better one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"answer_id": f"ans_{'0' * 32}", "rating": "up", "comment": "right"}]})
    answer_id: str = Field(min_length=1, max_length=40)
    rating: Annotated[Any, AfterValidator(_rating), Field(json_schema_extra={"enum": RATINGS})]
    better: str | None = Field(None, max_length=feedback.LONGEST)
    comment: str | None = Field(None, max_length=feedback.LONGEST)


class FeedbackShape(Reply):
    """What was kept; a number as text."""

    id: FeedbackId
    answer_id: AnswerId
    rating: Literal["up", "down", "1", "2", "3", "4", "5"]
    better: str | None
    comment: str | None


class FeedbackRow(FeedbackShape):
    """With who said it, and of what."""

    rater: str
    question: str
    reply: str
    prompt: str
    model: str
    route: str
    chain: str
    created_at: Moment


_ANSWER = {"answer": link("answers_show", answer_id="/answer_id")}


@door.post("/api/v1/feedback", permission="feedback:write", status_code=201, returns=FeedbackShape, links=_ANSWER, fails={404, 429})
async def give(body: NewFeedback, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Keep a rating; the same key's second one for an answer replaces its first."""
    return await rooms.home.store.write_async(lambda c: feedback.give(c, asker, body.answer_id, body.rating, body.better, body.comment))


@door.get("/api/v1/feedback", permission="feedback:read", returns=Page[FeedbackRow])
async def list_feedback(rooms: RoomsOf, asker: AskerOf, after: BeforeRow = NEWEST, limit: Limit = 100) -> Json:
    """What people said of answers that the key may see, newest first. A page may hold less than `limit`; `next` is null at the end."""
    shown, last = await rooms.home.store.read_async(lambda c: feedback.listed(c, asker, after, limit))
    return {"data": shown, "next": None if last is None else str(last)}

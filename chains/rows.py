"""Rows of answers and feedback."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection, String, case, delete, func, insert, select, update
from sqlalchemy import cast as sql_cast

from chains.tables import answers, feedback
from llmops.store import outbox
from llmops.store.upsert import upsert
from llmops.text import storable_json
from llmops.types import Citation, Hit, Json, Usage, Vectors

_MOST_TOKENS = 2**31 - 1
_HIDDEN = ("row", "query_vector", "principals", "owner")


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """Everything that says what was answered, from what, by what and for whom."""

    id: str
    workspace: str
    asker: str
    owner: bool
    principals: list[str]
    chain: str
    question: str
    messages: list[Json]
    search_query: str
    prompt: str
    collection: str
    seq: int
    filter: Json | None
    encoder: str
    query_vector: Vectors
    hits: Sequence[Hit]
    route: str
    model: str
    parameters: Json
    reply: str
    citations: Sequence[Citation]
    abstained: bool
    evidence: float
    groundedness: float | None
    state: str
    finish_reason: str
    error: str | None
    timings: Mapping[str, float]
    usage: Usage
    cost: float
    configuration: str
    created_at: float


def insert_answer(connection: Connection, answer: NewAnswer, passages: list[Json], citations: list[Json]) -> None:
    """Write an answer down. A provider's words are cut to what both stores can keep: no answer is lost for them."""
    known = {column.name for column in answers.columns}
    values = {field.name: getattr(answer, field.name) for field in fields(answer) if field.name in known}
    values |= {
        "query_vector": np.asarray(answer.query_vector, dtype="<f4").tobytes(),
        "passages": passages,
        "citations": citations,
        "timings": dict(answer.timings),
        "tokens_in": min(answer.usage.tokens_in, _MOST_TOKENS),
        "tokens_out": min(answer.usage.tokens_out, _MOST_TOKENS),
    }
    values = storable_json(values)
    for name in ("model", "finish_reason", "error"):
        values[name] = values[name] and values[name][: cast(String, answers.c[name].type).length]
    connection.execute(insert(answers).values(values))


def answer(connection: Connection, workspace: str, answer_id: str) -> Json | None:
    """An answer's row as JSON; None where the workspace has none of that id."""
    return next(iter(answers_of(connection, workspace, [answer_id])), None)


def answers_of(connection: Connection, workspace: str, ids: Sequence[str]) -> list[Json]:
    """The rows of these answers as JSON, as far as the workspace has them."""
    found = connection.execute(select(answers).where(answers.c.id.in_(ids), answers.c.workspace == workspace)).mappings()
    shown = [{name: value for name, value in row.items() if name not in _HIDDEN} for row in found]
    return [{"answer_id": row.pop("id"), **row} for row in shown]


def answers_by_id(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The whole rows of these answers, of whatever workspace, in the order they were given."""
    return [dict(found) for found in connection.execute(select(answers).where(answers.c.id.in_(ids)).order_by(answers.c.row)).mappings()]


def keep_feedback(connection: Connection, workspace: str, rater: str, answer_id: str, rating: str, better: str | None, comment: str | None) -> str:
    """Write feedback down; a rater who speaks twice of one answer changes what they said. Returns its id."""
    now = time.time()
    said: dict[str, Any] = {"rating": rating, "better": better, "comment": comment, "created_at": now}
    new = upsert(connection, feedback).values(id=f"fb_{uuid.uuid4().hex}", workspace=workspace, rater=rater, answer_id=answer_id, times=1, **said)
    again = case((feedback.c.created_at > now - 60, feedback.c.times + 1), else_=1)
    kept = new.on_conflict_do_update(index_elements=["answer_id", "rater"], set_={**said, "times": again}).returning(feedback.c.id)
    return str(connection.execute(kept).scalar_one())


def spoken_since(connection: Connection, workspace: str, rater: str, at: float) -> int:
    """How often a rater of a workspace has spoken since a time, of the same answer too."""
    recent = (feedback.c.workspace == workspace) & (feedback.c.rater == rater) & (feedback.c.created_at > at)
    return int(connection.execute(select(func.coalesce(func.sum(feedback.c.times), 0)).where(recent)).scalar_one())


def list_feedback(connection: Connection, workspace: str, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Feedback of a workspace, newest first; `before` is the row that the page before ended with."""
    wanted = select(feedback).where(feedback.c.workspace == workspace).order_by(feedback.c.row.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(feedback.c.row < before)
    return [dict(found) for found in connection.execute(wanted).mappings()]


def delete_answers(connection: Connection, workspace: str, before: float, limit: int) -> int:
    """Delete the oldest answers from before a time, and the feedback on them; returns how many answers there were."""
    old = select(answers.c.id).where(answers.c.workspace == workspace, answers.c.created_at < before).order_by(answers.c.row).limit(limit)
    ids = list(connection.execute(old).scalars())
    connection.execute(delete(feedback).where(feedback.c.answer_id.in_(ids)))
    return connection.execute(delete(answers).where(answers.c.id.in_(ids))).rowcount


def forget_usage(connection: Connection, workspace: str, before: float) -> int:
    """Take what they cost out of the answers from before a time; returns how many still had it."""
    timed = func.length(sql_cast(answers.c.timings, String)) > len("{}")
    costly = (answers.c.tokens_in > 0) | (answers.c.tokens_out > 0) | (answers.c.cost > 0) | timed
    old = (answers.c.workspace == workspace) & (answers.c.created_at < before) & costly
    return connection.execute(update(answers).where(old).values(tokens_in=0, tokens_out=0, cost=0.0, timings={})).rowcount


def tell_again(connection: Connection) -> int:
    """Queue every answer for MLflow once more; returns how many there are. A trace is written over itself."""
    found = list(connection.execute(select(answers.c.id).order_by(answers.c.row)).scalars())
    for answer_id in found:
        outbox.tell(connection, "traces", answer_id, {})
    return len(found)

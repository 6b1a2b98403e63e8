"""What people said of answers: bound to an answer of their workspace that they may see, one voice each.

It is shown to those who may see the answer: a better answer, or a comment, may quote what it was made from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from chains import records, rows
from llmops.errors import InvalidInput, RateLimited
from llmops.output import iso_time
from llmops.store.store import Connection
from llmops.types import Asker, Json

RATINGS = ("up", "down", "1", "2", "3", "4", "5")
LONGEST = 20_000
MOST_PER_MINUTE = 600
"""Ratings of one rater. A script that floods is held up; no person clicks so fast."""
_PAGE = 500


def give(connection: Connection, asker: Asker, answer_id: str, rating: str | int, better: str | None = None, comment: str | None = None) -> Json:
    """Keep a rating, and perhaps a better answer and a comment. Saying it again changes what was said."""
    if isinstance(rating, bool) or str(rating) not in RATINGS:
        raise InvalidInput(f"not a rating: {rating!r}", hint="up, down, or a number from 1 to 5", param="rating")
    for name, text in (("better", better), ("comment", comment)):
        if text is not None and len(text) > LONGEST:
            raise InvalidInput(f"{name} is longer than {LONGEST:,} characters", param=name)
    records.show(connection, asker, answer_id)
    if rows.spoken_since(connection, asker.workspace, asker.name, time.time() - 60) >= MOST_PER_MINUTE:
        raise RateLimited(f"more than {MOST_PER_MINUTE} ratings in a minute", retry_after=60)
    feedback_id = rows.keep_feedback(connection, asker.workspace, asker.name, answer_id, str(rating), better, comment)
    return {"id": feedback_id, "answer_id": answer_id, "rating": str(rating), "better": better, "comment": comment}


def listed(connection: Connection, asker: Asker, before: int | None = None, limit: int = _PAGE) -> tuple[list[Json], int | None]:
    """A page of the workspace's feedback, newest first, on answers that the asker may see, and the row that it ended with.

    The row is None at the end; a page may hold less than `limit` before it.
    """
    found = rows.list_feedback(connection, asker.workspace, before, limit)
    answers = {answer["answer_id"]: answer for answer in rows.answers_of(connection, asker.workspace, [row["answer_id"] for row in found])}
    seen = records.visible(connection, asker, list(answers.values()))
    shown = [_shown(row, answers[row["answer_id"]]) for row in found if row["answer_id"] in seen]
    return shown, found[-1]["row"] if len(found) == limit else None


def all_of(connection: Connection, asker: Asker) -> Iterator[Json]:
    """Every page of it, one row after the other."""
    before: int | None = None
    while True:
        page, before = listed(connection, asker, before)
        yield from page
        if before is None:
            return


def _shown(row: dict[str, Any], answer: Json) -> Json:
    told = {name: row[name] for name in ("id", "answer_id", "rater", "rating", "better", "comment")}
    of_answer = {name: answer[name] for name in ("question", "reply", "prompt", "model", "route", "chain")}
    return {**told, **of_answer, "created_at": iso_time(row["created_at"])}

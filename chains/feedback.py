"""What people said of answers: bound to an answer of their workspace that they may see, one voice each."""

from __future__ import annotations

from chains import records, rows
from llmops.errors import InvalidInput
from llmops.store.store import Connection
from llmops.types import Asker, Json

RATINGS = ("up", "down", "1", "2", "3", "4", "5")
LONGEST = 20_000


def give(connection: Connection, asker: Asker, answer_id: str, rating: str | int, better: str | None = None, comment: str | None = None) -> Json:
    """Keep a rating, and perhaps a better answer and a comment. Saying it again changes what was said."""
    if isinstance(rating, bool) or str(rating) not in RATINGS:
        raise InvalidInput(f"not a rating: {rating!r}", hint="up, down, or a number from 1 to 5", param="rating")
    for name, text in (("better", better), ("comment", comment)):
        if text is not None and len(text) > LONGEST:
            raise InvalidInput(f"{name} is longer than {LONGEST:,} characters", param=name)
    records.show(connection, asker, answer_id)
    feedback_id = rows.keep_feedback(connection, asker.workspace, asker.name, answer_id, str(rating), better, comment)
    return {"id": feedback_id, "answer_id": answer_id, "rating": str(rating), "better": better, "comment": comment}

"""Lists come in pages: `{data, next}`; `next` is the `after` of the page that follows, null at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query

from llmops.types import Json
from server.shapes import Reply

Row = TypeVar("Row")

Limit = Annotated[int, Query(ge=1, le=1000)]
AfterId = Annotated[str, Query(max_length=100)]
AfterRow = Annotated[int, Query(ge=0, le=2**53 - 1)]
BeforeRow = Annotated[int, Query(ge=1, le=2**53 - 1)]
"""Of a list that begins with the newest."""
NEWEST = 2**53 - 1


class Page(Reply, Generic[Row]):
    """A part of a list."""

    data: list[Row]
    next: str | None


def page(rows: Sequence[Json], limit: int, cursor: str) -> Json:
    """A page out of `limit` rows and one more, if there is more. `cursor` names the field that the next page starts after."""
    shown = list(rows[:limit])
    more = len(rows) > limit
    following = str(shown[-1][cursor]) if more else None
    return {"data": [{name: value for name, value in row.items() if name != "row"} for row in shown], "next": following}

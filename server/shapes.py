"""What the shapes of requests and replies are made of.

A `Body` is validated. A `Reply` is never built: it says on the OpenAPI page what a route answers with, and tests hold it to that.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from llmops.access.principals import parse_principal
from llmops.errors import InvalidInput

# White space, spelled out: the dialects of patterns differ in what they call so.
_BLANK = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_RESERVED = r",:*\x00-\x1f\x7f-\x9f\u2028\u2029"
_END = rf"[^{_RESERVED}{_BLANK}]"
FILLED = rf"[^{_BLANK}]"
_NAME = rf"{_END}([^{_RESERVED}]{{0,178}}{_END})?"
NAME = rf"^{_NAME}$"
PRINCIPAL = rf"^(user|group|workspace):{_NAME}$"
PATTERN = rf"^(user|group|workspace):(\*|{_NAME}\*?)$"


def _filled(text: str) -> str:
    if not re.search(FILLED, text):
        raise ValueError("is blank")
    return text


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _principal(text: str) -> str:
    try:
        meant = parse_principal(text)
    except InvalidInput as wrong:
        raise ValueError(f"{wrong}; {wrong.hint}") from None
    if meant != text:
        raise ValueError(f"a principal is written without blanks: {meant}")
    return text


Filled = Annotated[str, AfterValidator(_filled), Field(json_schema_extra={"pattern": FILLED})]
"""Text that is not blank."""
Principal = Annotated[str, AfterValidator(_principal), Field(json_schema_extra={"pattern": PRINCIPAL})]
"""`user:alice`, as in an access list."""
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A time in UTC: `2026-01-31T09:30:00Z`."""
WHOLE = BeforeValidator(_whole)
"""Behind the bounds of a request's whole number: JSON knows one kind of number, so 3.0 is a whole one too."""
Count = Annotated[int, Field(ge=0)]
Metadata = Annotated[dict[str, Any], Field(json_schema_extra={"additionalProperties": {"type": ["string", "number", "boolean", "null"]}})]
"""Of a document: plain values by name. Who takes them in checks that."""

JobId = Annotated[str, Field(pattern="^job_[0-9a-f]{32}$")]
DocumentId = Annotated[str, Field(pattern="^doc_[0-9a-f]{32}$")]
ChunkId = Annotated[str, Field(pattern="^chk_[0-9a-f]{32}_[0-9]+_[0-9]+$")]
AnswerId = Annotated[str, Field(pattern="^ans_[0-9a-f]{32}$")]
FeedbackId = Annotated[str, Field(pattern="^fb_[0-9a-f]{32}$")]


class Body(BaseModel):
    """A request's JSON object: a field that nobody reads is refused, and so is "1" for 1."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Reply(BaseModel):
    """A JSON object that holds these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class SnapshotShape(Reply):
    """A collection at one point of its sequence; a search with `at` finds what was live then."""

    collection: str
    seq: Count

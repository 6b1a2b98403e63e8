"""Answers and what people said of them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, Integer, String, Table, Text, UniqueConstraint

from llmops.store.metadata import Bytes, Json, Row, metadata

answers = Table(
    "answers",
    metadata,
    Column("row", Row, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("workspace", String(100), nullable=False),
    Column("asker", String(200), nullable=False),
    Column("owner", Boolean, nullable=False),
    Column("principals", Json, nullable=False),
    Column("chain", String(100), nullable=False),
    Column("question", Text, nullable=False),
    Column("messages", Json, nullable=False),
    Column("search_query", Text, nullable=False),
    Column("prompt", String(300), nullable=False, comment="name and version"),
    Column("collection", String(100), nullable=False),
    Column("seq", Row, nullable=False),
    Column("filter", Json),
    Column("encoder", String(200), nullable=False),
    Column("query_vector", Bytes, nullable=False),
    Column("passages", Json, nullable=False, comment="what was found: ids, offsets, scores; no text"),
    Column("route", String(100), nullable=False),
    Column("model", String(200), nullable=False),
    Column("parameters", Json, nullable=False),
    Column("reply", Text, nullable=False),
    Column("citations", Json, nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("evidence", Double, nullable=False, comment="what the decision to abstain rested on"),
    Column("groundedness", Double),
    Column("state", String(16), nullable=False, comment="complete, partial, failed"),
    Column("finish_reason", String(64), nullable=False),
    Column("error", String(2000)),
    Column("timings", Json, nullable=False, comment="milliseconds by part"),
    Column("tokens_in", Integer, nullable=False),
    Column("tokens_out", Integer, nullable=False),
    Column("cost", Double, nullable=False, comment="USD"),
    Column("configuration", String(64), nullable=False, comment="hash of the configuration"),
    Column("created_at", Double, nullable=False),
)
Index("ix_answers_workspace_row", answers.c.workspace, answers.c.row)

feedback = Table(
    "feedback",
    metadata,
    Column("row", Row, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("workspace", String(100), nullable=False),
    Column("answer_id", String(40), nullable=False),
    Column("rater", String(200), nullable=False),
    Column("rating", String(8), nullable=False),
    Column("better", Text),
    Column("comment", Text),
    Column("created_at", Double, nullable=False),
    Column("times", Integer, nullable=False, comment="how often it was said within a minute of the last time"),
    UniqueConstraint("answer_id", "rater"),
)
Index("ix_feedback_rater_created_at", feedback.c.rater, feedback.c.created_at)

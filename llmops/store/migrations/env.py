"""Alembic's entry: the connection, with its lock and its transaction, comes from `llmops.store.migrate`."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import types

from llmops.store.metadata import metadata
from llmops.store.migrate import load_tables

NAMES = {"JSON": "JSON", "BigInteger": "ROW"}


def name_of_type(kind: str, thing: Any, _context: Any) -> str | Literal[False]:
    """Write the two types that differ between the stores by the names that the template gives them."""
    if kind == "type" and isinstance(thing, types.TypeEngine):
        return NAMES.get(type(thing).__name__) or False
    return False


load_tables()
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    render_item=name_of_type,
)
context.run_migrations()

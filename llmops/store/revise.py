"""Write the next migration: `python -m llmops.store.revise "why"`, which is `make migration m="why"`.

A fresh store is brought to the newest revision and compared with the tables that the rooms declare; the difference
becomes the next file of `migrations/versions`. Read it before committing it: a comparison cannot see that a column was
renamed, and knows nothing of rows.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sqlalchemy import Connection

from llmops.errors import InvalidInput
from llmops.store.migrate import alembic_config, head, migrate
from llmops.store.store import Store


def revise(message: str) -> Path:
    """Write the migration and return its file."""
    from alembic import command

    if not message.strip():
        raise InvalidInput("a migration needs a message", hint='make migration m="add the column x"')
    number = f"{int(head() or 0) + 1:04d}"

    def compare(connection: Connection) -> Path:
        script = command.revision(alembic_config(connection), message, autogenerate=True, rev_id=number)
        if script is None or isinstance(script, list):
            raise InvalidInput("the comparison made no single migration")
        return Path(script.path)

    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/empty.db")
        migrate(store)
        try:
            return store.write(compare)
        finally:
            store.close()


if __name__ == "__main__":
    sys.stdout.write(f"{revise(' '.join(sys.argv[1:]))}\n")

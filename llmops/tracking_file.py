"""MLflow's own SQLite file in the home, made whole or not at all.

MLflow makes its tables in many steps. A process that dies between two of them leaves a file that MLflow neither uses
nor mends. So the file is made under another name and takes its own only once it is complete.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from urllib.parse import quote

from llmops.durable import sync
from llmops.failpoints import failpoint

log = logging.getLogger(__name__)


def make_complete(file: Path, artifacts: str) -> None:
    """Make MLflow's database at `file` where there is none. One that was never finished is put aside, for it holds nothing.

    One process at a time may do so. `artifacts` is the URI of the folder for the files of MLflow's default experiment.
    """
    if file.exists():
        if _is_complete(file):
            return
        aside = file.with_name(f"{file.name}.unfinished-{int(time.time())}")
        for suffix in ("", "-journal", "-wal", "-shm"):
            _move(Path(f"{file}{suffix}"), Path(f"{aside}{suffix}"))
        log.warning("%s was never finished, and is now %s; a new one is made", file, aside.name)
    new = file.with_name(f"{file.name}.new")
    for suffix in ("", "-journal", "-wal", "-shm"):
        Path(f"{new}{suffix}").unlink(missing_ok=True)
    _create(new, artifacts)
    failpoint("tracking.made")
    sync(new)
    new.replace(file)
    sync(file.parent)


def _is_complete(file: Path) -> bool:
    """Whether MLflow came to the end of making it: the last thing that it adds is its default experiment."""
    from mlflow.store.db.utils import create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(f"sqlite:///{quote(str(file))}")  # type: ignore[no-untyped-call]
    try:
        with engine.connect() as connection:
            made = engine.dialect.has_table(connection, "experiments")
            return made and connection.exec_driver_sql("SELECT 1 FROM experiments LIMIT 1").first() is not None
    finally:
        engine.dispose()


def _create(file: Path, artifacts: str) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"sqlite:///{quote(str(file))}", artifacts)  # type: ignore[no-untyped-call]
    store.engine.dispose()  # the file is about to change its name


def _move(source: Path, target: Path) -> None:
    if source.exists():
        source.replace(target)

"""`[retention]`: what is older than it says goes, once a day, and the audit log tells how much.

Each room brings what it keeps as a part of kind `retention`, under the name that the configuration has for it: a
function of a home, a workspace and a time, which removes what is from before that time and returns how much that was.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmops import plugins
from llmops.access import audit
from llmops.jobs import rows as jobs
from llmops.types import Asker, Json

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.jobs.context import JobContext
    from llmops.store.store import Connection

KIND = "retention"
DAILY = "retention"
"""Who orders the daily runs, in the audit log and the list of jobs."""


def queue_daily(home: Home) -> None:
    """Queue today's run for every workspace that has not had one, where anything is to go at all."""
    if not _configured(home):
        return
    today = {"day": f"{datetime.now(UTC):%Y-%m-%d}"}

    def queue(connection: Connection) -> None:
        for workspace in home.settings.workspace_names:
            if not jobs.was_queued(connection, KIND, workspace, today):
                jobs.enqueue(connection, KIND, workspace, DAILY, today)

    home.store.write(queue)


def queue(home: Home, asker: Asker) -> str:
    """Queue a run for the asker's workspace now; returns its job's id."""
    payload = {"at": time.time()}
    return home.store.write(lambda connection: jobs.enqueue(connection, KIND, asker.workspace, asker.name, payload))


def run(home: Home, job: JobContext) -> Json:
    """The part of kind `jobs` named `retention`. Run again, it removes what has become too old since."""
    now = time.time()
    removed: dict[str, int] = {}
    names = _configured(home)
    for done, name in enumerate(names):
        job.progress(done, len(names))
        before = home.settings.retention.cutoff(name, now)
        assert before is not None
        removed[name] = plugins.find("retention", name)(home, job.workspace, before)
    job.progress(len(names), len(names))
    detail = {"removed": removed, "kept": {name: getattr(home.settings.retention, name) for name in names}}
    home.store.write(lambda connection: audit.record(connection, job.asker, "retention.run", job.workspace, detail))
    return dict(removed)


def _configured(home: Home) -> list[str]:
    return [name for name, span in home.settings.retention.model_dump().items() if span is not None]

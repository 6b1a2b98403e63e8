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
from llmops.durations import seconds
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
    if not any(home.settings.retention.model_dump().values()):
        return
    today = {"day": f"{datetime.now(UTC):%Y-%m-%d}"}

    def queue(connection: Connection) -> None:
        for workspace in home.settings.workspace_names:
            if not jobs.was_queued(connection, KIND, workspace, today):
                jobs.enqueue(connection, KIND, workspace, DAILY, today)

    home.store.write(queue)


def queue(home: Home, asker: Asker) -> str:
    """Queue a run for the asker's workspace now; returns its job's id."""
    # The spans of who orders it: a server that runs the job may have begun before they were written down.
    payload = {"at": time.time(), "spans": home.settings.retention.model_dump()}
    return home.store.write(lambda connection: jobs.enqueue(connection, KIND, asker.workspace, asker.name, payload))


def run(home: Home, job: JobContext) -> Json:
    """The part of kind `jobs` named `retention`. Run again, it removes what has become too old since."""
    now = time.time()
    removed: dict[str, int] = {}
    ours = home.settings.retention.model_dump()
    ordered = job.payload.get("spans", ours)
    spans = {name: ordered[name] for name in ours if ordered.get(name) is not None}  # in our order: answers before what they cost
    for done, (name, span) in enumerate(spans.items()):
        job.progress(done, len(spans))
        removed[name] = plugins.find("retention", name)(home, job.workspace, now - seconds(span))
    job.progress(len(spans), len(spans))
    detail = {"removed": removed, "kept": spans}
    home.store.write(lambda connection: audit.record(connection, job.asker, "retention.run", job.workspace, detail))
    return dict(removed)

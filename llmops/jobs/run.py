"""Carry out one job that this process has claimed, and write down how it ended: no failure of its handler gets out of here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from llmops import plugins
from llmops.access import keys
from llmops.errors import LLMOpsError, NotPermitted, StoreError
from llmops.jobs import rows
from llmops.jobs.context import JobCancelled, JobContext, JobStopped
from llmops.jobs.heartbeat import Heartbeat
from llmops.output import one_line
from llmops.redact import redact

if TYPE_CHECKING:
    from llmops.home import Home

log = logging.getLogger(__name__)
RETRY_AFTER = (1.0, 4.0)
"""Seconds before the second and the third try of a job that failed for no reason of its own."""
MOST_ATTEMPTS = 10
"""How often a job may take its process with it before it is given up: it is most likely what kills them."""


def run(home: Home, job: rows.Job, *, stop: threading.Event | None = None, listener: Callable[[rows.Job], None] | None = None) -> None:
    """Run the job's handler; the job ends as done or failed, or goes back to the queue when this process must end."""
    if job.attempts > MOST_ATTEMPTS:
        _fail(home, job, f"the process that ran it ended {MOST_ATTEMPTS} times before it was done")
        return
    context = JobContext(job, stop=stop, listener=listener)
    try:
        _check_still_allowed(home, job)
        handler = plugins.find("jobs", job.kind)
        with Heartbeat(home.store, context):
            result = handler(home, context)
        home.store.write(lambda c: rows.heartbeat(c, job, context.done, context.total) and rows.finish(c, job, result=result or {}), durable=False)
    except JobCancelled:
        log.info("job %s: cancelled", job.id)
    except (JobStopped, KeyboardInterrupt) as ended:
        home.store.write(lambda c: rows.put_back(c, job), durable=False)
        log.info("job %s: put back, to be resumed", job.id)
        if isinstance(ended, KeyboardInterrupt):
            raise
    except Exception as failure:
        _failed(home, job, failure)


def _check_still_allowed(home: Home, job: rows.Job) -> None:
    """No job begins or goes on with the rights of a key that was revoked meanwhile. One that has expired was good when it ordered."""
    key = home.store.read(lambda c: keys.key_of(c, job.workspace, job.asker))
    if key is not None and key.revoked_at is not None:
        raise NotPermitted(f"the key {key.name!r} that ordered it was revoked before it was done", hint="order it anew with a good key")


def _failed(home: Home, job: rows.Job, failure: Exception) -> None:
    """A failure that the system names is final. One that it does not, or the store's, may pass: try again a little later."""
    ours = isinstance(failure, LLMOpsError)
    log.log(logging.INFO if ours else logging.ERROR, "job %s (%s), attempt %d: %s", job.id, job.kind, job.attempts, failure, exc_info=not ours)
    if (isinstance(failure, StoreError) or not ours) and job.attempts <= len(RETRY_AFTER):
        wait = RETRY_AFTER[job.attempts - 1]
        home.store.write(lambda c: rows.put_back(c, job, wait=wait, counts=True), durable=False)
        return
    _fail(home, job, described(failure))


def _fail(home: Home, job: rows.Job, error: str) -> None:
    home.store.write(lambda c: rows.finish(c, job, error=error), durable=False)


def described(failure: Exception) -> str:
    """One line without secrets: an error of ours by its message and its way out, any other by its type and message."""
    text = failure.with_hint if isinstance(failure, LLMOpsError) else f"{type(failure).__name__}: {failure}".rstrip(": ")
    return redact(one_line(text))

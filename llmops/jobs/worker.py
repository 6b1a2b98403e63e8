"""Who runs the jobs of a home: its supervised worker where one lives, else the command that waits for a job.

Both hold the home's worker lock meanwhile, so there is one at a time, and a process that died is followed at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from llmops import retention
from llmops.errors import LLMOpsError
from llmops.jobs import rows
from llmops.jobs.deliver import deliver_forever
from llmops.jobs.lock import owner_name, owner_prefix, try_lock
from llmops.jobs.rows import Job
from llmops.jobs.run import run

if TYPE_CHECKING:
    from llmops.home import Home

log = logging.getLogger(__name__)
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.4
LOOK_EVERY = 600.0
"""Seconds between two looks whether a new day has come for what is done daily."""
_PATIENCE = 2.0
"""Seconds to wait for the store to come back, and at the end for a delivery under way."""


def finish(home: Home, workspace: str, job_id: str, on_progress: Callable[[Job], None] | None = None) -> Job:
    """Wait until the job is finished, and return it; run it here, after the jobs queued before it, where nobody else does.

    `on_progress` gets the job when it got further. Ctrl-C leaves the job to be resumed, and the `KeyboardInterrupt` says so.
    """
    pause = SHORTEST_PAUSE
    told: tuple[str, int, int] | None = None
    try:
        while True:
            job = home.store.read(lambda c: rows.require(c, workspace, job_id))
            if on_progress is not None and (job.state, job.done, job.total) != told:
                told = (job.state, job.done, job.total)
                on_progress(job)
                pause = SHORTEST_PAUSE
            if job.finished:
                return job
            with try_lock(home.settings.home) as ours:
                worked = ours and _run_up_to(home, job, on_progress)
            if not worked:
                time.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 1.5)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{job_id} is not finished and will be resumed; `llmops jobs cancel {job_id}` drops it") from None


def run_forever(home: Home, stop: threading.Event) -> None:
    """The supervised worker: run jobs as they come and deliver the outbox, until `stop`. Waits for a command that holds the lock."""
    while not stop.is_set():
        with try_lock(home.settings.home) as ours:
            if ours:
                _work(home, stop)
                return
        stop.wait(LONGEST_PAUSE)


def _run_up_to(home: Home, job: Job, on_progress: Callable[[Job], None] | None) -> bool:
    """Run what is free of the jobs up to this one, oldest first; returns whether there was anything."""
    home.store.write(lambda c: rows.release_dead(c, owner_prefix(home.settings.home)), durable=False)
    worked = False
    while (claimed := _claim(home, up_to=job.row)) is not None:
        run(home, claimed, listener=on_progress if claimed.id == job.id else None)
        worked = True
    return worked


def _work(home: Home, stop: threading.Event) -> None:
    deliveries = threading.Thread(target=deliver_forever, args=(home, stop), name="deliveries", daemon=True)
    deliveries.start()
    pause, released, next_look = SHORTEST_PAUSE, False, 0.0
    while not stop.is_set():
        try:
            if time.monotonic() >= next_look:
                retention.queue_daily(home)
                next_look = time.monotonic() + LOOK_EVERY
            if not released:
                home.store.write(lambda c: rows.release_dead(c, owner_prefix(home.settings.home)), durable=False)
                released = True
            job = _claim(home)
            if job is not None:
                run(home, job, stop=stop)
                pause = SHORTEST_PAUSE
                continue
        except Exception as failure:  # most likely the store is away: the jobs wait for it, and so does their worker
            log.warning("the job worker waits: %s", failure, exc_info=not isinstance(failure, LLMOpsError))
            released = False  # a job that could not even be put back is ours to take up again, before its lease is over
            stop.wait(_PATIENCE)
        stop.wait(pause)
        pause = min(LONGEST_PAUSE, pause * 1.5)
    deliveries.join(_PATIENCE)


def _claim(home: Home, up_to: int | None = None) -> Job | None:
    if not home.store.read(lambda c: rows.claimable(c, up_to=up_to)):
        return None
    return home.store.write(lambda c: rows.claim(c, owner_name(home.settings.home), up_to=up_to), durable=False)

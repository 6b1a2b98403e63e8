"""Who runs the jobs of a home: its supervised worker where one lives, else the command that waits for a job.

Both hold the lock of a slot meanwhile, so there is one job at a time in each, and a process that died is followed at once.
The worker runs the jobs of both slots, each in a thread of its own.
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
from llmops.jobs.slots import ANY, URGENT_ONLY, Slot, slots_for

if TYPE_CHECKING:
    from llmops.home import Home

log = logging.getLogger(__name__)
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.4
LOOK_EVERY = 600.0
"""Seconds between two looks whether a new day has come for what is done daily."""
_PATIENCE = 2.0
"""Seconds to wait for the store to come back, and at the end for a delivery under way."""


def finish(home: Home, workspace: str, job_id: str, on_progress: Callable[[Job], None] | None = None) -> Job:
    """Wait until the job is finished, and return it; run it here, after the jobs that go before it, where nobody else does.

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
            if not any(_run_in(home, slot, job, on_progress) for slot in slots_for(job.priority)):
                time.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 1.5)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{job_id} is not finished and will be resumed; `llmops jobs cancel {job_id}` drops it") from None


def run_forever(home: Home, stop: threading.Event) -> None:
    """The supervised worker: run the jobs of both slots as they come, and deliver the outbox, until `stop`."""
    urgent = threading.Thread(target=_serve, args=(home, URGENT_ONLY, stop, _queue_daily), name="urgent-jobs", daemon=True)
    urgent.start()
    _serve(home, ANY, stop, deliver_forever)
    urgent.join()


def _run_in(home: Home, slot: Slot, job: Job, on_progress: Callable[[Job], None] | None) -> bool:
    """If nobody runs the slot's jobs, run what is free there of those that go before this one, and it; returns whether there was anything."""
    worked = False
    with try_lock(home.settings.home, slot) as ours:
        if not ours:
            return False
        _release_dead(home, slot)
        while (claimed := _claim(home, slot, before=job)) is not None:
            run(home, claimed, listener=on_progress if claimed.id == job.id else None)
            worked = True
            if claimed.id == job.id:
                break
    return worked


def _serve(home: Home, slot: Slot, stop: threading.Event, beside: Callable[[Home, threading.Event], None]) -> None:
    """Run a slot's jobs until `stop`, once a command that holds its lock has ended; `beside` gets a thread of its own meanwhile."""
    while not stop.is_set():
        try:
            with try_lock(home.settings.home, slot) as ours:
                if ours:
                    companion = threading.Thread(target=beside, args=(home, stop), name=f"beside-{slot.name}", daemon=True)
                    companion.start()
                    _work(home, slot, stop)
                    companion.join(_PATIENCE)
                    return
        except (OSError, LLMOpsError) as failure:  # the folder is away, or full
            log.warning("the slot %s waits: %s", slot.name, failure)
        stop.wait(LONGEST_PAUSE)


def _work(home: Home, slot: Slot, stop: threading.Event) -> None:
    pause, released = SHORTEST_PAUSE, False
    while not stop.is_set():
        try:
            if not released:
                _release_dead(home, slot)
                released = True
            job = _claim(home, slot)
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


def _queue_daily(home: Home, stop: threading.Event) -> None:
    """Beside the jobs, for one of them may take days."""
    while not stop.is_set():
        try:
            retention.queue_daily(home)
        except Exception as failure:
            log.warning("what is done daily waits: %s", failure, exc_info=not isinstance(failure, LLMOpsError))
            stop.wait(_PATIENCE)
            continue
        stop.wait(LOOK_EVERY)


def _release_dead(home: Home, slot: Slot) -> None:
    dead = owner_prefix(home.settings.home, slot)
    if home.store.read(lambda c: rows.any_of(c, dead)):
        home.store.write(lambda c: rows.release_dead(c, dead), durable=False)


def _claim(home: Home, slot: Slot, before: Job | None = None) -> Job | None:
    if not home.store.read(lambda c: rows.claimable(c, slot, before=before)):
        return None
    return home.store.write(lambda c: rows.claim(c, owner_name(home.settings.home, slot), slot, before=before), durable=False)

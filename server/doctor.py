"""`llmops doctor`: ask every part of kind `checks`, and let those that can make again what is derived.

The making is a job, so that it runs where the home's jobs run: in the worker of a server, or here where there is none.
A small ingestion may run beside it, so what both move they move under a lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmops import plugins
from llmops.access import audit
from llmops.checks import Check, Finding
from llmops.errors import LLMOpsError, Unavailable
from llmops.jobs import rows as jobs
from llmops.jobs.run import described
from llmops.jobs.worker import finish
from llmops.store.store import SQLAlchemyError
from server.listen import server_lock

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.jobs.context import JobContext
    from llmops.types import Asker, Json

KIND = "rebuild"
FAILURES = (LLMOpsError, OSError, SQLAlchemyError)
"""What may keep one part from its work, and no other."""


class CannotLook(Unavailable):
    """A part could not even look."""


def look(home: Home) -> Iterator[Finding]:
    """What every part finds, as it finds it. Raises `CannotLook` at the end where one could not; that is a finding too."""
    failed: list[CannotLook] = []
    for name in plugins.names("checks"):
        check: Check = plugins.find("checks", name)
        began = time.monotonic()
        try:
            for found in check.look(home):
                found.seconds = time.monotonic() - began
                yield found
                began = time.monotonic()
        except FAILURES as failure:
            failed.append(CannotLook(f"the check {name!r} cannot look: {failure}", hint=getattr(failure, "hint", "")))
            yield Finding(name, "", failed[-1].hint, [str(failed[-1])], time.monotonic() - began, cannot_look=True)
    if failed:
        raise failed[0]


def rebuild(home: Home, asker: Asker) -> Json:
    """Make again all that is derived; returns what was done and what was refused, a line each."""
    payload = {"at": time.time()}
    job_id = home.store.write(lambda c: jobs.enqueue(c, KIND, asker.workspace, asker.name, payload))
    job = finish(home, asker.workspace, job_id)
    if job.state != "done":
        raise Unavailable(f"the job {job.id} is {job.state}: {job.error}", hint=f"llmops jobs show {job.id}")
    told: Json = dict(job.result or {})
    for name, check in _rebuilding(alone=True):
        try:
            if all(found.ok for found in check.look(home)):
                continue
            with server_lock(home.settings.home):
                told["done"] += _carried_out(home, name, check, told["refused"])
        except FAILURES as failure:
            told["refused"].append(f"{name}: {described(failure)}")
    return told


def run(home: Home, job: JobContext) -> Json:
    """The part of kind `jobs` named `rebuild`."""
    done: list[str] = []
    refused: list[str] = []
    parts = _rebuilding(alone=False)
    for number, (name, check) in enumerate(parts):
        job.progress(number, len(parts))
        done += _carried_out(home, name, check, refused)
    job.progress(len(parts), len(parts))
    home.store.write(lambda c: audit.record(c, job.asker, "home.rebuild", "home", {"done": done, "refused": refused}))
    return {"done": done, "refused": refused}


def _rebuilding(*, alone: bool) -> list[tuple[str, Check]]:
    found = [(name, plugins.find("checks", name)) for name in plugins.names("checks")]
    return [(name, check) for name, check in found if check.rebuild is not None and check.alone == alone]


def _carried_out(home: Home, name: str, check: Check, refused: list[str]) -> list[str]:
    """What a part did. What it refuses is noted, and keeps no other from its work."""
    done: list[str] = []
    assert check.rebuild is not None
    try:
        done.extend(check.rebuild(home))
    except FAILURES as failure:
        refused.append(f"{name}: {described(failure)}")
    return done

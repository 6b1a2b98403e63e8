"""Promotion: the one way by which a collection comes from one workspace into another.

Afterwards the collection of that name in the target holds what the source held, in one step; what it held before can
still be asked for with `at`. Both workspaces' audit logs have it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmops.access import audit
from llmops.access.principals import principal
from llmops.access.roles import check_permitted
from llmops.errors import InvalidInput
from llmops.jobs import rows as jobs
from llmops.jobs.slots import URGENT
from llmops.store.store import Connection
from llmops.types import Asker, Json
from vectorstore.index import write_segments
from vectorstore.rows import collections, copying

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.jobs.context import JobContext


def order(home: Home, asker: Asker, collection: str, to: str, at: int | None = None) -> str:
    """Queue the promotion and return its job's id. The asker's role must be one that may receive it in the target.

    Raises `UnknownName` for a collection or a workspace, `InvalidInput` for a time to come, `NotPermitted`, and
    `Conflict` where the target's collection has another encoder.
    """
    check_permitted(home.settings.kind_of(to), asker, "promotion:receive")
    if to == asker.workspace:
        raise InvalidInput(f"the collection is in workspace {to!r} already", hint="name another with --to", param="to")

    def queue(connection: Connection) -> str:
        found = collections.find(connection, asker.workspace, collection)
        as_of = found.seq if at is None else collections.check_seq(found, at)
        if collections.exists(connection, to, collection):
            collections.check_encoder(collections.find(connection, to, collection), found.encoder)
        payload = {"collection": collection, "to": to, "at": as_of, "by": asker.name}
        payload["principals"] = None if asker.owner else sorted(_as_member(asker, to))
        return jobs.enqueue(connection, "promote", asker.workspace, asker.name, payload, (to, collection), URGENT)

    return home.store.write(queue)


def _as_member(asker: Asker, workspace: str) -> set[str]:
    """Whom the asker is in the target: the same user and groups, and one of its workspace, as the role that may receive is."""
    return {name for name in asker.principals if not name.startswith("workspace:")} | {principal("workspace", workspace)}


def run(home: Home, job: JobContext) -> Json:
    """The part of kind `jobs` named `promote`."""
    name, to, at, principals = (job.payload[key] for key in ("collection", "to", "at", "principals"))

    def promote(connection: Connection) -> tuple[collections.Collection, Json]:
        source = collections.find(connection, job.workspace, name)
        target = collections.ensure(connection, to, name, source.encoder)
        done = copying.replace_content(connection, source, target, at, principals)
        told = {"collection": name, "from": {"workspace": job.workspace, "seq": at}, "to": {"workspace": to, "seq": done.pop("seq")}}
        audit.record(connection, job.asker, "collection.promote", name, {**told, **done})
        audit.record(
            connection, replace(job.asker, workspace=to, name=f"{job.asker.name} of {job.workspace}"), "collection.receive", name, {**told, **done}
        )
        # A key is told no number, for those would tell of documents that it may not read.
        return target, {**told, "complete": not done["refused"], **(done if principals is None else {})}

    job.progress(0, 1)
    target, told = home.store.write(promote)
    write_segments(home, target)
    job.progress(1, 1)
    return told

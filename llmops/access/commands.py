"""`keys create|list|rotate|revoke` and `audit list|verify|export`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from llmops.context import Context, common, group
from llmops.errors import CheckFailed


@group
def keys() -> None:
    """Make, list, rotate and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option("--role", required=True, metavar="ROLE", help="admin, data-scientist, data-engineer, ml-engineer, business-user or application.")
@click.option("--user", metavar="NAME", help="The user whose documents the key may read.")
@click.option("--groups", metavar="A,B", help="The groups whose documents the key may read.")
@click.option("--scopes", metavar="A,B", help="The permissions that the key is narrowed to, as search:use.  [default: all of its role]")
@click.option("--act-as", metavar="PATTERNS", help='Whom the key may speak for in the header Llmops-As: "user:*,group:sales-*".')
@click.option("--expires", metavar="90d", help="How long the key is good: minutes (30m), hours, days or weeks.  [default: for ever]")
@common("keys:manage")
def create(
    context: Context, name: str, role: str, user: str | None, groups: str | None, scopes: str | None, act_as: str | None, expires: str | None
) -> None:
    """Make a key and show it, this once."""
    from llmops.access.keys import Wanted, create
    from llmops.durations import seconds

    expires_at = None if expires is None else time.time() + seconds(expires)
    wanted = Wanted(name, role, user, _parts(groups), None if scopes is None else _parts(scopes), _parts(act_as), expires_at)
    asker = context.asker()
    made = context.home.store.write(lambda connection: create(connection, asker, wanted))
    context.emit({"id": made.id, "name": made.name, "key": made.key}, text=made.key)
    context.message("The key is shown only now. Send it as `Authorization: Bearer ...`.")


@keys.command("list")
@common("keys:manage")
def list_(context: Context) -> None:
    """List the keys of the workspace; a secret is never shown again."""
    from llmops.access.keys import list_keys

    workspace = context.workspace
    found = context.home.store.read(lambda connection: list_keys(connection, workspace))
    columns = ["id", "name", "role", "user", "groups", "scopes", "act_as", "state", "expires_at", "used_at"]
    context.emit_list([key.to_json() for key in found], columns)


@keys.command()
@click.argument("key", metavar="NAME|ID")
@click.option("--grace", metavar="1h", help="How long the former secret stays good: minutes (30m), hours, days or weeks.  [default: not at all]")
@common("keys:manage")
def rotate(context: Context, key: str, grace: str | None) -> None:
    """Give a key a new secret and show it, this once; its name and rights stay."""
    from llmops.access.keys import rotate
    from llmops.durations import seconds

    asker, wait = context.asker(), 0 if grace is None else seconds(grace)
    made = context.home.store.write(lambda connection: rotate(connection, asker, key, wait))
    context.emit({"id": made.id, "name": made.name, "key": made.key}, text=made.key)
    context.message("The key is shown only now." + (f" The former one is good for another {grace}." if grace else " The former one is useless."))


@keys.command()
@click.argument("key", metavar="NAME|ID")
@common("keys:manage")
def revoke(context: Context, key: str) -> None:
    """Make a key useless: every process refuses it within two seconds."""
    from llmops.access.keys import revoke

    asker = context.asker()
    revoked = context.home.store.write(lambda connection: revoke(connection, asker, key))
    context.emit(revoked.to_json(), text=f"revoked {revoked.name}")


@group
def audit() -> None:
    """Look at who did what, and check that nothing was changed."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many entries, newest first.")
@click.option("--before", type=click.IntRange(1), metavar="ID", help="Only entries before this one.")
@click.option("--action", help="Only this action, as keys.create.")
@click.option("--actor", help="Only what this one did, as key:shop.")
@click.option("--object", "object_", help="Only what was done to this, as key:shop.")
@common("audit:read")
def list_entries(context: Context, limit: int, before: int | None, action: str | None, actor: str | None, object_: str | None) -> None:
    """List the audit log of the workspace."""
    from llmops.access.audit import entries

    workspace = context.workspace
    found = context.home.store.read(lambda connection: entries(connection, workspace, limit, before, action=action, actor=actor, object=object_))
    context.emit_list([entry.to_json() for entry in found], ["id", "at", "actor", "origin", "action", "object", "detail"])


@audit.command()
@click.option("--head", metavar="HASH", help="The head that an earlier look printed; it must still be in the log.")
@common("audit:read")
def verify(context: Context, head: str | None) -> None:
    """Check the whole log, of all workspaces: no entry removed, changed, moved or slipped in. Exit 1 where one was.

    Keep the head that it prints somewhere else: whoever can write into the database could make the whole log anew.
    """
    from llmops.access.audit import check_head, verify

    wanted = check_head(head) if head is not None else None
    found = context.home.store.read(lambda connection: verify(connection, wanted))
    told = "\n".join([*found.faults, f"{found.entries} entries, head {found.head or 'none'}"])
    context.emit({"ok": found.ok, "entries": found.entries, "head": found.head, "faults": found.faults}, text=told)
    if not found.ok:
        raise CheckFailed("the audit log is broken", hint="compare it with an export or a backup from before")


@audit.command("export")
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file.  [default: stdout]")
@common("audit:read")
def export_entries(context: Context, format_: str, output: Path | None) -> None:
    """Write the workspace's audit log, oldest first; its newest entry says that it is exported."""
    from llmops.access.audit import exported, record
    from llmops.export import FORMATS, lines, write

    asker = context.asker()
    store = context.home.store
    columns = ("id", "at", "workspace", "actor", "origin", "action", "object", "detail", "previous_hash", "hash")
    wanted = next(known for known in FORMATS if known == format_)
    # First of all: whoever stops reading in the middle has read nevertheless.
    store.write(lambda connection: record(connection, asker, "audit.export", asker.workspace, {"format": wanted}))
    count = store.read(lambda connection: write(output, lines(exported(connection, asker.workspace), wanted, columns))) - (wanted == "csv")
    context.message(f"{count} exported")


def _parts(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()

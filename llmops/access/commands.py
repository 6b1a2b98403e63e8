"""`keys create|list|revoke` and `audit list`."""

from __future__ import annotations

import re
import time

import click

from llmops.context import Context, common, group
from llmops.errors import InvalidInput

_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST = 100 * 366 * 86400


@group
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option("--role", required=True, metavar="ROLE", help="admin, data-scientist, data-engineer, ml-engineer, business-user or application.")
@click.option("--user", metavar="NAME", help="The user whose documents the key may read.")
@click.option("--groups", metavar="A,B", help="The groups whose documents the key may read.")
@click.option("--expires", metavar="90d", help="How long the key is good: minutes (30m), hours, days or weeks.  [default: for ever]")
@common
def create(context: Context, name: str, role: str, user: str | None, groups: str | None, expires: str | None) -> None:
    """Make a key and show it, this once."""
    from llmops.access.keys import create

    workspace = context.workspace
    named = [part.strip() for part in groups.split(",")] if groups else []
    expires_at = time.time() + _seconds(expires) if expires else None
    made = context.home.store.write(lambda connection: create(connection, workspace, name, role, user, named, expires_at))
    context.emit({"id": made.id, "name": made.name, "key": made.key}, text=made.key)
    context.message("The key is shown only now. Send it as `Authorization: Bearer ...`.")


@keys.command("list")
@common
def list_(context: Context) -> None:
    """List the keys of the workspace; a secret is never shown again."""
    from llmops.access.keys import list_keys

    workspace = context.workspace
    found = context.home.store.read(lambda connection: list_keys(connection, workspace))
    context.emit_list([key.to_json() for key in found], ["id", "name", "role", "user", "groups", "state", "expires_at"])


@keys.command()
@click.argument("key", metavar="NAME|ID")
@common
def revoke(context: Context, key: str) -> None:
    """Make a key useless from now on."""
    from llmops.access.keys import revoke

    workspace = context.workspace
    revoked = context.home.store.write(lambda connection: revoke(connection, workspace, key))
    context.emit(revoked.to_json(), text=f"revoked {revoked.name}")


@group
def audit() -> None:
    """Look at who did what."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many entries, newest first.")
@click.option("--before", type=click.IntRange(1), metavar="ID", help="Only entries before this one.")
@common
def list_entries(context: Context, limit: int, before: int | None) -> None:
    """List the audit log of the workspace."""
    from llmops.access.audit import entries

    workspace = context.workspace
    found = context.home.store.read(lambda connection: entries(connection, workspace, limit, before))
    context.emit_list([entry.to_json() for entry in found], ["id", "at", "actor", "action", "object", "detail"])


def _seconds(lifetime: str) -> int:
    parts = re.fullmatch(r"([0-9]{1,9})([mhdw])", lifetime.strip().lower())
    seconds = int(parts[1]) * _SECONDS[parts[2]] if parts else 0
    if not 0 < seconds <= _LONGEST:
        raise InvalidInput(f"not a lifetime: {lifetime[:40]!r}", hint="write 30m, 12h, 90d or 52w; at most 100 years")
    return seconds

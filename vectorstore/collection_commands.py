"""`llmops collections`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from llmops.context import Context, as_option, common, group
from llmops.errors import InvalidInput
from llmops.output import one_line
from vectorstore.commands import acl_of, result_of

if TYPE_CHECKING:
    from llmops.store.store import Connection
    from llmops.types import Json


@group
def collections() -> None:
    """Collections of documents."""


@collections.command("list")
@common("collections:read")
def list_collections(context: Context) -> None:
    """List the workspace's collections."""
    from llmops.output import table
    from vectorstore.rows import collections as rows

    asker = context.asker()
    found = context.home.store.read(lambda c: rows.listing(c, asker))
    shown = [{**row, "ready": row["documents"]["ready"], "failed": row["documents"]["failed"]} for row in found]
    context.emit({"data": found}, table(shown, ("name", "ready", "failed", "chunks", "seq", "encoder")))


@collections.command("create")
@click.argument("name")
@click.option("--acl", help="Who may read what is in it: user:NAME,group:NAME; '' for nobody but the owner.  [default: the workspace]")
@common("collections:write")
def create_collection(context: Context, name: str, acl: str | None) -> None:
    """Make an empty collection; its documents inherit its rights."""
    from vectorstore.documents import create_collection

    home, asker = context.home, context.asker()
    parsed, encoder = acl_of(acl, asker.workspace), home.encoder.identity
    context.emit(home.store.write(lambda c: create_collection(c, asker, name, encoder, parsed)))


@collections.command("show")
@click.argument("name")
@click.option("--quality", is_flag=True, help="Show what its documents are like: duplicates, languages, gaps, personal data, drift.")
@click.option(
    "--since", type=int, metavar="SEQ", help="What changed since this sequence number; for --quality.  [default: since before the last run]"
)
@as_option
@common("collections:read")
def show_collection(context: Context, name: str, quality: bool, since: int | None, as_: str | None) -> None:
    """Show a collection and its counts."""
    from vectorstore.quality import of_collection
    from vectorstore.quality_text import lines
    from vectorstore.rows import collections as rows

    asker = context.asker(as_)
    if quality:
        report = context.home.store.read(lambda c: of_collection(c, asker, name, since))
        context.emit(report, "\n".join(lines(report)))
        return
    if since is not None:
        raise InvalidInput("--since is for --quality", hint="add --quality")
    context.emit(context.home.store.read(lambda c: rows.describe(c, rows.find(c, asker.workspace, name), asker)))


@collections.command("copy")
@click.argument("name")
@click.option("--to", required=True, metavar="W", help="The workspace that it is promoted to.")
@click.option("--at", type=int, metavar="SEQ", help="As it was at this sequence number.  [default: as it is]")
@common("promotion:send")
def copy_collection(context: Context, name: str, to: str, at: int | None) -> None:
    """Promote a collection: the one of that name in workspace W holds the same afterwards. Both audit logs have it."""
    from llmops.jobs.worker import finish
    from vectorstore.promotion import order

    home, asker = context.home, context.asker()
    told = result_of(finish(home, asker.workspace, order(home, asker, name, to, at), context.progress(f"copy {name}")))
    lines = [f"{name} is in workspace {to}, there at sequence {told['to']['seq']}, as it was here at {told['from']['seq']}"]
    if "documents" in told:
        lines[0] += (
            f": {told['documents']} documents, {told['copied']} new or changed, {told['shared']} with other rights, {told['withdrawn']} withdrawn"
        )
    if not told["complete"]:
        lines.append("some documents there stay as they were, for this key may not read them; the owner of the home can promote them")
    context.emit(told, "\n".join(lines))


@collections.command("snapshot")
@click.argument("name")
@click.option("--at", type=int, metavar="SEQ", help="An earlier sequence number.  [default: the present one]")
@as_option
@common("collections:read")
def show_snapshot(context: Context, name: str, at: int | None, as_: str | None) -> None:
    """Print where a collection's sequence stands, and what was live there: `--at` of other commands takes that number.

    Nothing is copied: every state of a collection can be searched, until what was withdrawn is erased.
    """
    from vectorstore.snapshots import snapshot

    asker = context.asker(as_)
    found = context.home.store.read(lambda c: snapshot(c, asker, name, at))
    context.emit(found, f"{name} at sequence {found['seq']}: {found['documents']} documents, {found['chunks']} chunks")


@collections.command("diff")
@click.argument("name")
@click.argument("since", type=int, metavar="FROM")
@click.argument("until", type=int, required=False, metavar="[TO]")
@click.option("--text", is_flag=True, help="Show the lines that changed.")
@as_option
@common("documents:read")
def show_diff(context: Context, name: str, since: int, until: int | None, text: bool, as_: str | None) -> None:
    """List the documents that were added, changed or withdrawn from sequence number FROM to TO, which is the present one by default.

    With TO before FROM it says what going back would do.
    """
    from vectorstore.snapshots import diff, text_changes

    asker = context.asker(as_)

    def read(connection: Connection) -> Json:
        found = diff(connection, asker, name, since, until)
        return {**found, "data": [{**row, **({"diff": list(text_changes(connection, row))} if text else {})} for row in found["data"]]}

    found = context.home.store.read(read)
    changed = found["data"]
    counts = Counter(row["change"] for row in changed)
    lines = [f"{name} from sequence {found['from']} to {found['to']}: " + ", ".join(f"{counts[kind]} {kind}" for kind in _CHANGES)]
    for row in changed:
        lines += [_change_line(row), *row.get("diff", [])]
        del row["row"]
    context.emit(found, "\n".join(lines))


_CHANGES = ("added", "changed", "withdrawn")


def _change_line(row: Json) -> str:
    """`changed  docs/stop.md  version 1 to 2, 340 to 352 characters`."""
    sides = [side for side in ("from", "to") if row[f"{side}_version"] is not None]
    versions, characters = (" to ".join(str(row[f"{side}_{what}"]) for side in sides) for what in ("version", "characters"))
    return f"  {row['change']:<9}  {one_line(row['source'])}/{one_line(row['external_id'])}  version {versions}, {characters} characters"

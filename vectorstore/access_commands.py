"""`llmops access`: who may do what, and who may read what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmops.context import Context, common, group
from llmops.errors import InvalidInput

if TYPE_CHECKING:
    from llmops.types import Json


@group
def access() -> None:
    """See and change who may do what, and who may read what."""


@access.command()
@click.option("--kind", type=click.Choice(["poc", "dev", "pipeline", "prod"]), help="Only workspaces of this kind.")
@common("")
def matrix(context: Context, kind: str | None) -> None:
    """Print what each role may do, by kind of workspace."""
    from llmops.access.roles import KINDS, PERMISSIONS, ROLES

    kinds = [kind] if kind else KINDS
    rows = [
        {"permission": permission, "kind": one, **{role: "x" if role in by_kind[one] else "-" for role in ROLES.values()}}
        for one in kinds
        for permission, by_kind in PERMISSIONS.items()
    ]
    context.emit_list(rows, ["kind", "permission", *ROLES.values()])


@access.command()
@common("")
def workspaces(context: Context) -> None:
    """List the workspaces of this home and what each is for."""
    context.emit_list([workspace.model_dump() for workspace in context.settings.workspaces], ["name", "kind"])


@access.command()
@click.option("--collection", help="What the documents of this collection inherit.")
@click.option("--document", metavar="ID", help="Who may read this document.")
@common("documents:share")
def show(context: Context, collection: str | None, document: str | None) -> None:
    """Show who may read a document, or what a collection's documents inherit."""
    from vectorstore import sharing

    asker = context.asker()
    if (collection is None) == (document is None):
        raise InvalidInput("name a collection or a document", hint="--collection NAME, or --document ID")
    if document is not None:
        wanted = document
        context.emit(context.home.store.read(lambda c: sharing.rights(c, asker, wanted)))
    else:
        context.emit(context.home.store.read(lambda c: sharing.collection_rights(c, asker, collection or "")))


@access.command("set")
@click.option("--collection", help="All of this collection that inherits, or with --source one source of it.")
@click.option("--source", help="Every document of this source.")
@click.option("--document", metavar="ID", help="This document alone.")
@click.option("--acl", help="Who may read it: user:NAME,group:NAME,workspace:NAME; '' for nobody but the owner.")
@click.option("--inherit", is_flag=True, help="What the collection says, from now on.")
@common("documents:share")
def set_(context: Context, collection: str | None, source: str | None, document: str | None, acl: str | None, inherit: bool) -> None:
    """Change who may read a document, a source or a collection. It counts from the next search on, in every process."""
    asker = context.asker()
    if (acl is None) != inherit:
        said = "--acl and --inherit exclude each other" if inherit else "say who may read it"
        raise InvalidInput(said, hint="--acl user:alice,group:hr, or --inherit")
    if (document is None) == (collection is None) or (source is not None and collection is None):
        raise InvalidInput("name what is meant", hint="--document ID, --collection NAME, or --collection NAME --source NAME")
    if inherit and document is None and source is None:
        raise InvalidInput("a collection inherits from nothing", hint="--acl workspace:NAME lets the whole workspace read it")
    wanted = None if acl is None else [part for part in acl.split(",") if part.strip()]

    def change(connection: Connection) -> Json:
        if document is not None:
            return sharing.share(connection, asker, document, wanted)
        if source is not None:
            return sharing.share_source(connection, asker, collection or "", source, wanted)
        return sharing.share_collection(connection, asker, collection or "", wanted or [])

    from llmops.store.store import Connection
    from vectorstore import sharing

    context.emit(context.home.store.write(change))

"""`llmops ingest`, `search` and `documents`."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmops.context import Context, as_option, common, group
from llmops.errors import CheckFailed, InvalidInput
from llmops.output import as_text, one_line

if TYPE_CHECKING:
    from llmops.jobs.rows import Job
    from llmops.types import Asker, Hit, Json
    from vectorstore.sources import Order
MOST_SKIPPED_SHOWN = 10


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH|URL...")
@click.option("--collection", required=True, help="The collection; it is made if need be.")
@click.option("--source", help="Name of where the documents come from.  [default: the folder's or file's name]")
@click.option("--acl", help="Who may read them: user:NAME,group:NAME; '' for nobody but the owner.  [default: as before; for new ones the workspace]")
@click.option("--id-field", help="Field of a row that is its id.")
@click.option("--text-field", help="Field of a row that is its text.")
@click.option("--title-field", help="Field of a row that is its title.")
@click.option("--include", multiple=True, metavar="GLOB", help="Only files that match; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No files that match; may be repeated.")
@click.option("--prune", is_flag=True, help="Withdraw the source's documents that are gone.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="What parses and embeds.")
@click.option("--strict", is_flag=True, help="Exit 1 if a document failed.")
@common("documents:write")
def ingest(context: Context, paths: tuple[str, ...], collection: str, strict: bool, **options: Any) -> None:
    """Make the documents at PATH or URL searchable; folders with all that is in them.

    Returns when every document is ready or failed. Unchanged files cost a hash.
    """
    from llmops.jobs import rows as jobs
    from llmops.jobs.worker import finish
    from vectorstore.rows import collections as collection_rows
    from vectorstore.urgency import priority_of

    home, asker = context.home, context.asker()
    workspace = asker.workspace
    if options["acl"] is not None:
        context.check_permitted("documents:share")
    orders = [_order(path, collection, asker, options) for path in dict.fromkeys(paths) if "://" not in path]
    _check_apart(orders)
    sources = [order.source for order in orders]
    if options["prune"] and len(set(sources)) < len(sources):
        raise InvalidInput(
            "--prune with two paths of one source would withdraw each other's documents", hint="ingest them one by one, each with its own --source"
        )
    encoder = home.encoder.identity
    home.store.write(lambda c: collection_rows.ensure(c, workspace, collection, encoder))

    def carry_out(job_id: str, name: str) -> Json:
        return result_of(finish(home, workspace, job_id, context.progress(f"ingest {name}", "bytes")))

    def queue(order: Order) -> str:
        payload, lane, priority = order.to_json(), (collection, order.source), priority_of(order)
        return home.store.write(lambda c: jobs.enqueue(c, "ingest", workspace, asker.name, payload, lane, priority))

    results = [carry_out(_queue_address(context, url, collection, options), url) for url in paths if "://" in url]
    total = _together([*results, *(carry_out(queue(order), order.source) for order in orders)])
    context.emit(total, _told(total))
    if strict and total["failed"]:
        raise CheckFailed(f"failed documents: {len(total['failed'])}", hint="the list above says why")


def _check_apart(orders: list[Order]) -> None:
    """Refuse paths of one command that hold documents of the same source and name: each would replace the other's."""
    from vectorstore.sources import walk

    several = [source for source, count in Counter(order.source for order in orders).items() if count > 1]
    seen: dict[tuple[str, str], Path] = {}
    for order in (order for order in orders if order.source in several):
        for found in walk(Path(order.root), order.include, order.exclude):
            if found.kind is None:
                continue
            other = seen.setdefault((order.source, found.path), found.file)
            if os.path.realpath(other) != os.path.realpath(found.file):
                raise InvalidInput(
                    f"{found.file} and {other} would be one document: {found.path!r} of the source {order.source!r}",
                    hint="ingest them by two commands, one of them with another --source",
                )


def _queue_address(context: Context, url: str, collection: str, options: dict[str, Any]) -> str:
    """Fetch what lies at an address and queue its ingestion; returns the job's id."""
    import asyncio
    import time
    from urllib.parse import urlsplit

    from vectorstore.documents import Handed, accept
    from vectorstore.web import FETCH_SECONDS, page_at

    settings = context.settings
    most = int(settings.server.max_upload_mb * 2**20)
    name, content = asyncio.run(page_at(url, settings.outbound.allow, most, time.monotonic() + FETCH_SECONDS))
    handed = Handed(url, name, content, acl=acl_of(options["acl"], context.workspace))
    return accept(context.home, context.asker(), collection, [handed], options["source"] or urlsplit(url).hostname or "web")


def _order(path: str, collection: str, asker: Asker, options: dict[str, Any]) -> Order:
    from vectorstore.load import Fields
    from vectorstore.sources import Order, check_root, check_source, source_of

    if not path.strip():
        raise InvalidInput("the path is empty", hint="name a file or a folder; . is this one")
    root = check_root(Path(path))
    return Order(
        collection=collection,
        source=source_of(root) if options["source"] is None else check_source(options["source"]),
        root=str(root),
        acl=acl_of(options["acl"], asker.workspace),
        fields=Fields(options["id_field"], options["text_field"], options["title_field"]),
        include=list(options["include"]),
        exclude=list(options["exclude"]),
        prune=options["prune"],
        engine=options["engine"],
        principals=None if asker.owner else sorted(asker.principals),
    )


def acl_of(text: str | None, workspace: str) -> list[str] | None:
    """The access list of an `--acl` option."""
    from vectorstore.rows.acls import parse_acl

    return None if text is None else parse_acl((part for part in text.split(",") if part.strip()), workspace)


def result_of(job: Job) -> Json:
    from llmops.errors import LLMOpsError

    if job.state == "done":
        return dict(job.result or {})
    raise LLMOpsError(f"the job {job.id} is {job.state}: {job.error or ''}".rstrip(": "), hint=f"llmops jobs show {job.id}")


def _together(results: list[Json]) -> Json:
    """One result for several paths."""
    total = dict(results[-1])
    for result in results[:-1]:
        for key in ("ready", "unchanged", "skipped", "withdrawn"):
            total[key] += result[key]
        for key in ("failed", "skipped_files"):
            total[key] = result.get(key, []) + total.get(key, [])
        total["quality"] = result["quality"] | total["quality"]
    return total


def _told(result: Json) -> str:
    from vectorstore.quality_text import run_lines

    counts = ", ".join(f"{result[key]} {key}" for key in ("ready", "unchanged", "skipped", "withdrawn") if result[key] or key == "ready")
    lines = [f"{counts}, {len(result['failed'])} failed"]
    lines += [f"  failed  {one_line(failure['external_id'])}: {failure['error']}" for failure in result["failed"]]
    lines += [f"  skipped  {one_line(name)}" for name in result.get("skipped_files", [])[:MOST_SKIPPED_SHOWN]]
    if (more := result["skipped"] - MOST_SKIPPED_SHOWN) > 0:
        lines.append(f"  skipped  {more} more, of kinds that cannot be read, or links to elsewhere")
    lines += [line for report in result["quality"].values() for line in run_lines(report)]
    return "\n".join(lines)


@click.command()
@click.argument("query")
@click.option("--collection", required=True)
@click.option("-k", type=int, default=10, show_default=True, help="How many hits.")
@click.option("--at", type=int, metavar="SEQ", help="As of this sequence number of the collection.")
@click.option("--filter", "filter_", metavar="JSON", help='On metadata: {"year": {"$gte": 2024}}')
@click.option("--explain", is_flag=True, help="Say what was searched and how, and how each score comes about.")
@as_option
@common("search:use")
def search(context: Context, query: str, collection: str, k: int, at: int | None, filter_: str | None, explain: bool, as_: str | None) -> None:
    """Find the passages of a collection that match QUERY best."""
    from vectorstore.explain import explained, lines
    from vectorstore.search import Searcher

    asker = context.asker(as_)
    found = Searcher(context.home).search(query, collection=collection, asker=asker, k=k, at=at, filter=parse_filter(filter_))
    snapshot = {"collection": found.snapshot.collection, "seq": found.snapshot.seq}
    text = "\n".join(_hit_line(number, hit) for number, hit in enumerate(found.hits, 1)) or "nothing found"
    told: Json = {"hits": [hit.to_json() for hit in found.hits], "snapshot": snapshot}
    if explain:
        told["explain"] = explained(found)
        text += "\n\n" + "\n".join(lines(told["explain"]))
    context.emit(told, text)


def parse_filter(text: str | None) -> Any:
    """The filter of a `--filter` option."""
    if text is None:
        return None
    hint = """--filter '{"year": 2024}'"""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as broken:
        raise InvalidInput(f"--filter is not JSON: {broken.msg} at character {broken.pos}", hint=hint) from None
    except (RecursionError, ValueError):
        raise InvalidInput("--filter nests too deeply, or holds a number that is too long", hint=hint) from None
    if not isinstance(found, dict):
        raise InvalidInput(f"--filter is no JSON object: {text[:60]}", hint=hint)
    return found


def _hit_line(number: int, hit: Hit) -> str:
    passage = hit.passage
    page = f" p. {passage.page}" if passage.page else ""
    snippet = " ".join(passage.text.split())
    return f"{number:>3}  {hit.score:.4f}  {passage.source}/{passage.external_id}{page}\n     {snippet[:200]}{'…' if len(snippet) > 200 else ''}"


@group
def documents() -> None:
    """The documents of a collection."""


@documents.command("list")
@click.option("--collection", required=True)
@as_option
@common("documents:read")
def list_documents(context: Context, collection: str, as_: str | None) -> None:
    """List the documents of a collection, with their state."""
    from vectorstore.documents import listed

    asker = context.asker(as_)
    rows = context.home.store.read(lambda c: listed(c, asker, collection))
    for row in rows:
        del row["row"]
    context.emit_list(rows, ("document_id", "state", "version", "chunks", "source", "external_id", "error"))


@documents.command("show")
@click.argument("document_id")
@as_option
@common("documents:read")
def show_document(context: Context, document_id: str, as_: str | None) -> None:
    """Show a document with its chunks and their offsets."""
    from vectorstore.documents import show

    asker = context.asker(as_)
    found = context.home.store.read(lambda c: show(c, asker, document_id))
    context.emit(found, as_text({name: value for name, value in found.items() if name != "chunks"}) + "\n" + _chunk_lines(found["chunks"]))


def _chunk_lines(chunks: list[Json]) -> str:
    """A line for each chunk; their whole text is with --json."""
    lines = [f"chunks: {len(chunks)}"]
    for chunk in chunks:
        snippet = " ".join(chunk["text"].split())
        lines.append(f"  {chunk['chunk_id']}  {chunk['start']}-{chunk['end']}  {snippet[:80]}{'…' if len(snippet) > 80 else ''}")
    return "\n".join(lines)


@documents.command("chunk")
@click.argument("chunk_id", metavar="CHUNK")
@click.option("--around", type=click.IntRange(0, 100_000), default=400, show_default=True, help="Characters before and after it.")
@as_option
@common("documents:read")
def show_chunk(context: Context, chunk_id: str, around: int, as_: str | None) -> None:
    """Show a chunk in its place: the text around it, its headings and its page."""
    from vectorstore.originals import chunk_in_place

    asker = context.asker(as_)
    found = context.home.store.read(lambda c: chunk_in_place(c, asker, chunk_id, around))
    page = f", page {found['page']}" if found["page"] else ""
    place = f"{found['source']}/{found['external_id']}{page}, version {found['version']}, characters {found['start']} to {found['end']}"
    place += "" if found["newest"] else "; no search finds it now: it is of an earlier version, or withdrawn"
    heading = f"{found['heading']}\n" if found["heading"] else ""
    before, after = ("…" if len(found[side]) == around > 0 else "" for side in ("before", "after"))
    context.emit(found, f"{place}\n{heading}\n{before}{found['before']}[[{found['text']}]]{found['after']}{after}")


@documents.command("original")
@click.argument("document_id", metavar="DOCUMENT")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write; one that is there is not replaced."
)
@click.option("--version", type=click.IntRange(1), help="An earlier version.  [default: the newest]")
@as_option
@common("documents:read")
def save_original(context: Context, document_id: str, output: Path, version: int | None, as_: str | None) -> None:
    """Save the bytes that a document was read from, as they were handed in."""
    from vectorstore.originals import original

    asker = context.asker(as_)
    found = context.home.store.read(lambda c: original(c, asker, document_id, version))
    try:
        with output.open("xb") as file:
            file.write(found.content)
    except OSError as failure:
        raise InvalidInput(f"cannot write {output}: {failure.strerror}", hint="name another file with -o") from None
    context.emit({"document_id": document_id, "name": found.name, "bytes": len(found.content)}, f"{len(found.content):,} bytes in {output}")


@documents.command("delete")
@click.argument("document_id")
@common("documents:write")
def delete_document(context: Context, document_id: str) -> None:
    """Withdraw a document: no search finds it from now on, earlier answers can still be explained."""
    from vectorstore.documents import withdraw

    context.emit(withdraw(context.home.store, context.asker(), document_id))

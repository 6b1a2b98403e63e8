"""`llmops ask` and `llmops feedback`."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmops.context import Context, as_option, common, group

if TYPE_CHECKING:
    from llmops.types import Answer


@click.command()
@click.argument("question")
@click.option("--chain", default="rag", show_default=True)
@click.option("--collection", help="In place of the chain's own.")
@click.option("--route", help="In place of the chain's own.")
@click.option("-k", type=int, help="How many passages the model gets.")
@click.option("--at", type=int, metavar="SEQ", help="As of this sequence number of the collection.")
@click.option("--filter", "filter_", metavar="JSON", help="On metadata of the documents.")
@as_option
@common("chat:use")
async def ask(
    context: Context,
    question: str,
    chain: str,
    collection: str | None,
    route: str | None,
    k: int | None,
    at: int | None,
    filter_: str | None,
    as_: str | None,
) -> None:
    """Ask a chain; it answers from your documents and cites them."""
    from chains.flow import Ask, Chains, open_rooms
    from llmops.types import Answer
    from vectorstore.commands import parse_filter

    asker = context.asker(as_)
    message = {"role": "user", "content": question}
    call = Ask((message,), asker, collection=collection, at=at, k=k, filter=parse_filter(filter_), route=route, stream=True)
    async with open_rooms(context.home) as rooms, aclosing(Chains(rooms).ask(chain, call)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Answer):
                context.write("\n")
                context.emit({"answer": piece.text, **piece.to_json()}, _sources(piece))
            else:
                context.write(piece)


def _sources(answer: Answer) -> str:
    """Each cited sentence once, under the number that the answer gives it."""
    lines = dict.fromkeys(
        f"[{c.marker}] {c.source}/{c.external_id}{f' p. {c.page}' if c.page else ''}  {c.start}–{c.end}: {' '.join(c.text.split())}"
        for c in answer.citations
    )
    return "\n".join([*lines, answer.answer_id])


@group
def feedback() -> None:
    """What people said of answers."""


@feedback.command("list")
@as_option
@common("feedback:read")
def list_feedback(context: Context, as_: str | None) -> None:
    """List the workspace's feedback, newest first."""
    from chains.feedback import all_of

    asker = context.asker(as_)
    found = context.home.store.read(lambda c: list(all_of(c, asker)))
    context.emit_list(found, ("id", "answer_id", "rater", "rating", "better", "comment"))


@feedback.command()
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file.  [default: stdout]")
@as_option
@common("feedback:read")
def export(context: Context, format_: str, output: Path | None, as_: str | None) -> None:
    """Write the workspace's feedback with the questions and replies, newest first. The audit log notes it."""
    from chains.feedback import all_of
    from llmops.access import audit
    from llmops.export import FORMATS, lines, write

    asker, store = context.asker(as_), context.home.store
    columns = ("id", "answer_id", "rater", "rating", "better", "comment", "question", "reply", "prompt", "model", "route", "chain", "created_at")
    wanted = next(known for known in FORMATS if known == format_)
    # First of all: whoever stops reading in the middle has read nevertheless.
    store.write(lambda c: audit.record(c, asker, "feedback.export", asker.workspace, {"format": wanted}))
    count = store.read(lambda c: write(output, lines(all_of(c, asker), wanted, columns))) - (wanted == "csv")
    context.message(f"{count} exported")

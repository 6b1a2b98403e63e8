"""The page of all commands, made from their own help: `python -m llmops.cli_page > docs/cli.md`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence

import click

from llmops import plugins
from llmops.cli import main

WIDTH = 110
_INTRODUCTION = """\
# Commands

This page is made from the commands' own help (`make docs`).

The options below stand before the command or after it, and every command takes them:

{shared}

With `--json`, stdout holds one JSON document (JSON Lines for a stream) and nothing else. Messages, progress and errors go
to stderr. The exit code is 0 when it is done, 1 when a check said no, 2 for bad input, 3 when the system failed.
`llmops completion bash` prints a script that completes commands and options.
"""


def render() -> str:
    """Markdown with the usage, the arguments and the options of every command. Raises what a broken command raises."""
    root = click.Context(main, info_name="llmops", terminal_width=WIDTH)
    sections = [_INTRODUCTION.format(shared=_block(_described([option for option in main.params if option.name != "version"], root)))]
    for name in plugins.names("commands"):
        sections += _sections(plugins.find("commands", name), name, root)
    return "\n".join(sections)


def _sections(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    """A command's usage and help as prose, so that each sentence can be quoted, its options as a block; then its subcommands."""
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *_usage(command, context)])
    told = inspect.cleandoc(command.help or command.short_help or "")
    heading = "#" * (2 + context.command_path.count(" ") - 1)
    options = _options(command, context)
    yield f"{heading} {context.command_path}\n\n`{usage}`: {told[:1].lower()}{told[1:]}\n" + (f"\n{_block(options)}\n" if options else "")
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None and not found.hidden:
                yield from _sections(found, inner, context)


def _own(command: click.Command) -> list[click.Parameter]:
    """The parameters of a command but for the options that every command has."""
    shared = {option.name for option in main.params}
    return [parameter for parameter in command.params if parameter.expose_value or parameter.name not in shared]


def _usage(command: click.Command, context: click.Context) -> Iterator[str]:
    own = _own(command)
    if any(isinstance(parameter, click.Option) for parameter in own):
        yield "[OPTIONS]"
    for parameter in own:
        yield from parameter.get_usage_pieces(context)
    if isinstance(command, click.Group):
        yield "COMMAND"


def _options(command: click.Command, context: click.Context) -> str:
    return _described([option for option in _own(command) if isinstance(option, click.Option)], context)


def _described(options: Sequence[click.Parameter], context: click.Context) -> str:
    """The options with what they do, in two columns."""
    records = [record for option in options if (record := option.get_help_record(context))]
    formatter = context.make_formatter()
    if records:
        formatter.write_dl(records)
    return formatter.getvalue()


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


if __name__ == "__main__":
    sys.stdout.write(render())

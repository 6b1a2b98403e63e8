"""The root command. Every room brings its commands through the plug-in kind `commands`; none is loaded before it is used.

A command is written in its room's `commands.py`, which imports only click, the standard library and `llmops.context`
at its top, and named in pyproject.toml under `llmops.commands`:

    @click.command()
    @click.argument("query")
    @as_option                                   # adds --as
    @common("search:use")                        # what the caller's role must have; adds --json, --config, --workspace, --debug
    def search(context: Context, query: str, as_: str | None) -> None:      # may be `async def`
        '''Find passages.'''
        from vectorstore.search import Searcher                             # what is heavy is imported here

        found = Searcher(context.home).search(query, asker=context.asker(as_))
        context.emit_list([hit.to_json() for hit in found.hits], columns=["score", "title", "text"])

A group is `@group def keys() -> None: ...`, its commands `@keys.command("create")`. `context.emit(data, text)` prints a
result or an item of a stream, `write` a piece of text, `message` goes to stderr, `progress(label)` gives
what to call with a job. The home is closed when the command ends. A command fails by raising an `LLMOpsError`, whose
`exit_code` becomes that of the program: 0 done, 1 a check said no, 2 bad input, 3 the system failed.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from llmops import __version__, plugins
from llmops.context import Context, shared_options
from llmops.errors import FREE_SPACE, LLMOpsError, Unavailable, is_disk_full, near_names
from llmops.output import one_line, printable
from llmops.redact import redact

COMPLETE = "_LLMOPS_COMPLETE"
INTERRUPTED, PIPE_CLOSED = 130, 141


class Root(click.Group):
    """A group whose commands are parts of kind `commands`, and the one place where errors become exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return plugins.names("commands")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in plugins.names("commands"):
            return None
        try:
            command = plugins.find("commands", cmd_name)
        except Exception as failure:  # somebody's broken part must not take the other commands with it
            return _broken(cmd_name, failure)
        if not isinstance(command, click.Command):
            return _broken(cmd_name, TypeError(f"{command!r} is not a click command"))
        return command

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run and exit."""
        if instruction := os.environ.get(COMPLETE):
            from click.shell_completion import shell_complete

            sys.exit(shell_complete(self, {}, "llmops", COMPLETE, instruction))
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        sys.exit(self.run(list(sys.argv[1:] if args is None else args)))

    def run(self, arguments: list[str]) -> int:
        """Carry out the command and return its exit code."""
        context = Context()
        try:
            with self.make_context("llmops", arguments, obj=context) as ctx:
                self.invoke(ctx)
            sys.stdout.flush()
        except click.exceptions.Exit as stop:
            return stop.exit_code
        except (KeyboardInterrupt, click.Abort) as stop:
            if str(stop):  # what was interrupted, and how it goes on
                click.echo(f"interrupted: {one_line(str(stop))}", err=True)
            return INTERRUPTED
        except BrokenPipeError:
            _forget_stdout()
            return PIPE_CLOSED
        except Exception as failure:
            return _report(failure, debug=context.debug)
        return 0


def _report(failure: Exception, *, debug: bool) -> int:
    """Say on stderr, in one line and a hint, what went wrong; return the exit code."""
    if isinstance(failure, click.exceptions.NoArgsIsHelpError):
        click.echo(printable(failure.format_message()), err=True)
        return 2
    if debug:
        click.echo(printable(redact("".join(traceback.format_exception(failure)))), err=True)
    code, message, hint = _explain(failure)
    click.echo(f"error: {redact(one_line(message))}", err=True)
    if hint:
        click.echo(f"hint: {redact(one_line(hint))}", err=True)
    return code


def _explain(failure: Exception) -> tuple[int, str, str]:
    if isinstance(failure, LLMOpsError):
        return failure.exit_code, str(failure), failure.hint
    if isinstance(failure, click.ClickException):
        return 2, *_usage(failure)
    if isinstance(failure, UnicodeEncodeError):
        return 2, "an argument is not text in UTF-8", "check the encoding of the terminal, or of the file that it came from"
    if is_disk_full(failure):
        return 3, f"the disk is full: {failure}", FREE_SPACE
    return 3, f"unexpected {type(failure).__name__}: {failure}", "--debug shows the traceback"


def _usage(failure: click.ClickException) -> tuple[str, str]:
    """Message and hint for what click refused."""
    context = getattr(failure, "ctx", None)
    path = context.command_path if context else "llmops"
    hint = f"`{path} --help` shows how it is used"
    if isinstance(failure, click.exceptions.NoSuchCommand):
        known = context.command.list_commands(context) if context and isinstance(context.command, click.Group) else []
        return f"unknown command: {failure.command_name!r}", near_names(failure.command_name, known) or hint
    if isinstance(failure, click.NoSuchOption):
        known = [name for option in context.command.get_params(context) for name in option.opts if name.startswith("--")] if context else []
        near = near_names(failure.option_name, known)
        return f"unknown option: {failure.option_name!r}", near if near.startswith("did you mean") else hint
    return failure.format_message(), hint


def _broken(name: str, why: Exception) -> click.Command:
    """Stands for a command whose module cannot be loaded: listed, and failing with the reason when it is called."""

    def fail() -> NoReturn:
        raise Unavailable(
            f"the command {name!r} cannot be loaded: {why}", hint="reinstall llmops or the package that brings it; --debug shows more"
        ) from why

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=fail, short_help="(cannot be loaded)", add_help_option=False, context_settings=settings)


def _forget_stdout() -> None:
    """Let Python end in peace when the reader of our output has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=Root, name="llmops", context_settings={"max_content_width": 120, "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="llmops %(version)s")
@shared_options
def main() -> None:
    """Answers from your own documents that can be verified.

    Begin with `llmops init`, `llmops ingest FOLDER --collection docs`, `llmops ask "..."`.
    """

"""What a command gets: the options that all commands share, its home, and how it prints.

See `llmops.cli` for how a command is written.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from llmops.logs import log_to_stderr
from llmops.output import as_text, json_text, printable, table
from llmops.types import Asker

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.progress import Progress
    from llmops.settings import Settings

Command = Callable[..., Any]
DEFAULT_WORKSPACE = "poc"
OWNERS = "home:keep"
"""The permission for what concerns the whole home, all workspaces at once: no role has it, and no key, the owner alone."""


class Context:
    """The shared options as given, and what follows from them. The home is opened when first asked for."""

    def __init__(self) -> None:
        self.config: str | None = None
        self.workspace_name: str | None = None
        self.json = False
        self.debug = False

    @cached_property
    def settings(self) -> Settings:
        from llmops.settings import Settings

        return Settings.load(self.config)

    @cached_property
    def home(self) -> Home:
        from llmops.home import Home

        return Home(self.settings)

    @property
    def workspace(self) -> str:
        """The workspace that the command works in: the key's own, or the chosen one."""
        return self.asker().workspace

    def asker(self, as_: str | None = None) -> Asker:
        """Who calls: the owner of the home, or whose key `LLMOPS_KEY` holds; with `--as user:alice,group:x` exactly these principals.

        Raises `UnknownName` where this home has no such workspace, `NotPermitted` for a key that may not speak for them.
        """
        if as_ is None:
            return self._asker
        from llmops.access import acting

        if (token := os.environ.get(acting.VARIABLE)) is not None:
            return acting.key_holder(self.home.store, token, self.workspace_name, as_)
        return acting.owner_as(self._asker.workspace, as_)

    @cached_property
    def _asker(self) -> Asker:
        from llmops.access import acting

        if (token := os.environ.get(acting.VARIABLE)) is not None:
            return acting.key_holder(self.home.store, token, self.workspace_name, None)
        workspace = self.workspace_name or DEFAULT_WORKSPACE
        self.settings.kind_of(workspace)
        return acting.owner(workspace)

    def check_permitted(self, permission: str) -> None:
        """Raise `NotPermitted` unless the caller's role has the permission in the workspace."""
        from llmops.access import acting
        from llmops.access.roles import check_permitted

        if permission == OWNERS:  # before anything is opened
            acting.require_owner(permission)
            return
        check_permitted(self.settings.kind_of(self.workspace), self.asker(), permission)

    def emit(self, data: Any, text: str | None = None) -> None:
        """Print a result: with --json one line of JSON, else `text`, or a plain rendering of `data`. Said often, it is a stream."""
        click.echo(json_text(data, ascii_only=_ascii_only()) if self.json else printable(as_text(data) if text is None else text))

    def emit_list(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Print a whole list: with --json `{"data": [...]}` with every field, else a table of `columns`."""
        self.emit({"data": list(rows)}, table(rows, columns))

    def write(self, piece: str) -> None:
        """Print a piece of text as it comes, without a line's end; nothing with --json."""
        if not self.json:
            click.echo(printable(piece), nl=False)

    def message(self, text: str) -> None:
        """Tell the human something, on stderr."""
        click.echo(printable(text), err=True)

    def progress(self, label: str, unit: str = "") -> Progress:
        """What a command calls with its job when that got further: a line on stderr; `unit` is "bytes", or "" for a mere number."""
        from llmops.progress import Progress

        return Progress(label, lambda text, end: click.echo(text, err=True, nl=end), terminal=sys.stderr.isatty(), unit=unit)

    def close(self) -> None:
        if "home" in self.__dict__:
            self.home.close()
            del self.__dict__["home"]


def _ascii_only() -> bool:
    """Whether stdout cannot show every character; JSON then escapes them."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Keep an option that was given. It may stand before the subcommand or after it; the last one counts."""

    def keep(context: click.Context, _option: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.ensure_object(Context), name, value)

    return keep


_OPTIONS = (
    click.option("--json", is_flag=True, expose_value=False, callback=_set("json"), help="Print JSON, and nothing else, on stdout."),
    click.option("--config", metavar="FILE", expose_value=False, callback=_set("config"), help="Read FILE in place of ./llmops.toml."),
    click.option(
        "--workspace", metavar="W", expose_value=False, callback=_set("workspace_name"), help=f"Work in workspace W.  [default: {DEFAULT_WORKSPACE}]"
    ),
    click.option("--debug", is_flag=True, expose_value=False, callback=_set("debug"), help="Show the traceback of an error."),
)

as_option = click.option("--as", "as_", metavar="PRINCIPALS", help="See only what user:NAME,group:NAME may read.  [default: the owner, who sees all]")
"""Decorator that adds `--as`; hand the parameter `as_` to `Context.asker`."""


def shared_options(function: Command) -> Command:
    """Decorator that adds --json, --config, --workspace and --debug, which set the `Context`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def common(permission: str) -> Callable[[Command], Command]:
    """Decorator of every command: adds the shared options and passes the `Context` first. `async def` is good too.

    `permission` is what the caller's role must have in the workspace (llmops/access/roles.py); "" for a command that
    shows and changes nothing of a workspace.
    """

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def run(*arguments: Any, **options: Any) -> Any:
            click_context = click.get_current_context()
            context = click_context.ensure_object(Context)
            click_context.call_on_close(context.close)
            log_to_stderr(logging.INFO if context.debug else logging.WARNING)
            if permission:
                context.check_permitted(permission)
            result = function(context, *arguments, **options)
            if hasattr(result, "__await__"):
                import asyncio

                result = asyncio.run(result)
            return result

        run.permission = permission  # type: ignore[attr-defined]  # for the test that every command has one
        return shared_options(run)

    return decorate


def group(function: Command) -> click.Group:
    """Decorator that makes a group of commands, as `keys` with `keys create`; its function does nothing."""
    return click.group()(shared_options(function))

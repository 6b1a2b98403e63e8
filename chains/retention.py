"""What goes of answers when their time is over: the answers with what people said of them, or only what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chains import rows

if TYPE_CHECKING:
    from llmops.home import Home

AT_ONCE = 500


def answers(home: Home, workspace: str, before: float) -> int:
    """Delete the answers from before a time, and the feedback on them: the part of kind `retention` named `answers`."""
    deleted = 0
    while count := home.store.write(lambda c: rows.delete_answers(c, workspace, before, AT_ONCE)):
        deleted += count
    return deleted


def usage(home: Home, workspace: str, before: float) -> int:
    """Take tokens, costs and timings out of the answers from before a time: the part named `usage`."""
    return home.store.write(lambda c: rows.forget_usage(c, workspace, before))

"""The prompts that ship: one Markdown file each. They serve until something else is promoted in their place."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from llmops.errors import UnknownName
from prompts.template import Prompt, parse_prompt

__all__ = ["load", "names"]


def names() -> list[str]:
    """Every prompt of the library, sorted."""
    return sorted(file.name.removesuffix(".md") for file in files(__name__).iterdir() if file.name.endswith(".md"))


@cache
def load(name: str) -> Prompt:
    """The prompt of that name; `UnknownName`, with near names, where there is none."""
    if name not in names():
        raise UnknownName("prompt", name, names())
    return parse_prompt(files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8"), f"{name}.md")

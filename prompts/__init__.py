"""Prompts as versions: `prompts.get("rag-answer@production").render(question="...", passages="...")`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompts.template import Prompt

__all__ = ["get"]


def get(reference: str) -> Prompt:
    """The prompt that a reference names: `NAME` or `NAME@production`.

    Nothing has been promoted, so the library's prompt serves. Raises `UnknownName` for a prompt, a version or an alias
    that is not there.
    """
    from llmops.errors import UnknownName
    from prompts import library

    name, _, version = reference.partition("@")
    prompt = library.load(name)
    if version not in ("", "production", prompt.version):
        raise UnknownName("version of a prompt", reference, [f"{name}@production", prompt.reference])
    return prompt

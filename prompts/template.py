"""Prompt files: Markdown with front matter, sections for the roles of a chat, and `{{variable}}`s."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from llmops.errors import InvalidInput
from llmops.types import Message

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_SECTION = re.compile(r"^## (system|user|assistant)[ \t]*$", re.MULTILINE)
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of a prompt. `sections` are (role, template); a text prompt is one section of role `user`."""

    name: str
    version: str
    sections: tuple[tuple[str, str], ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """Name and version, as it is written into every answer."""
        return f"{self.name}@{self.version}"

    def render(self, **values: Any) -> tuple[Message, ...]:
        """The chat messages with every variable filled in. A missing or extra variable is an error that names it.

        Values are put in as they are: what looks like a variable inside a value stays text.
        """
        used = {name for _, template in self.sections for name in _VARIABLE.findall(template)}
        wanted = used | set(self.variables)
        for name in sorted(wanted - set(values)):
            raise InvalidInput(f"prompt {self.reference}: the variable {name!r} is missing", hint=f"it wants {', '.join(sorted(wanted))}")
        for name in sorted(set(values) - wanted):
            raise InvalidInput(f"prompt {self.reference}: there is no variable {name!r}", hint=f"it wants {', '.join(sorted(wanted)) or 'none'}")
        return tuple({"role": role, "content": _VARIABLE.sub(lambda m: str(values[m[1]]), template)} for role, template in self.sections)


def parse_prompt(text: str, where: str) -> Prompt:
    """The prompt that a file holds. Its version is named after its content. Raises `InvalidInput` that names the line."""
    text = text.replace("\r\n", "\n")
    matter = _FRONT_MATTER.match(text)
    if matter is None:
        raise InvalidInput(f"{where}:1: no front matter", hint="begin the file with ---, name: ..., ---")
    try:
        settings = yaml.safe_load(matter[1]) or {}
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        raise InvalidInput(f"{where}:{mark.line + 2 if mark else 1}: the front matter is not YAML") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("name"), str):
        raise InvalidInput(f"{where}:2: the front matter has no name", hint="write name: my-prompt")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    variables = settings.get("variables") or {}
    rest = {key: value for key, value in settings.items() if key not in ("name", "variables")}
    return Prompt(settings["name"], f"library-{digest}", _sections(text[matter.end() :]), variables, rest)


def _sections(body: str) -> tuple[tuple[str, str], ...]:
    parts = _SECTION.split(body)
    if len(parts) == 1:
        return (("user", body.strip()),)
    return tuple((role, template.strip()) for role, template in zip(parts[1::2], parts[2::2], strict=True))

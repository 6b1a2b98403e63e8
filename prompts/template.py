"""Prompt files: Markdown with front matter, sections for the roles of a chat, and `{{variable}}`s.

There is no logic in a prompt: what stands between `{{` and `}}` is the name of a variable and nothing else, and a value
is text. `{% ... %}` and `{# ... #}`, which other systems obey, are refused, for whoever writes them expects something to
happen. A brace that is meant as such is left alone, as in `{0}` or a piece of JSON.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from llmops.errors import InvalidInput
from llmops.redact import redact
from llmops.types import Message

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_SECTION = re.compile(r"^## (system|user|assistant)[ \t]*$", re.MULTILINE)
_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_LOGIC = re.compile(r"\{\{|\{%|\{#")
LONGEST_FILE = 200_000
LONGEST_PROMPT = 4_000_000
"""Characters: of a prompt's file, and of what it becomes with its values."""
MOST_VARIABLES = 200


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
        texts = {name: str(value) for name, value in values.items()}
        size = sum(len(template) + sum(len(texts[name]) for name in _VARIABLE.findall(template)) for _, template in self.sections)
        if size > LONGEST_PROMPT:
            raise InvalidInput(
                f"prompt {self.reference}: with its values it has {size:,} characters, {LONGEST_PROMPT:,} are allowed",
                hint="give it shorter values, or name a variable less often",
            )
        return tuple({"role": role, "content": _VARIABLE.sub(lambda m: texts[m[1]], template)} for role, template in self.sections)


def parse_prompt(text: str, where: str) -> Prompt:
    """The prompt that a file holds. Its version is named after its content. Raises `InvalidInput` that names the line."""
    if len(text) > LONGEST_FILE:
        raise InvalidInput(f"{where}: {len(text):,} characters, {LONGEST_FILE:,} are allowed", hint="give what is long as a variable")
    text = text.replace("\r\n", "\n")
    _refuse_secrets(text, where)
    matter = _FRONT_MATTER.match(text)
    if matter is None:
        raise InvalidInput(f"{where}:1: no front matter", hint="begin the file with ---, name: ..., ---")
    try:
        settings = yaml.safe_load(matter[1]) or {}
    except yaml.YAMLError as broken:
        mark = getattr(broken, "problem_mark", None)
        hint = "plain names and values, as variables: {question: str}"
        raise InvalidInput(f"{where}:{mark.line + 2 if mark else 1}: the front matter is not YAML", hint=hint) from None
    except (ValueError, RecursionError):
        raise InvalidInput(f"{where}:1: the front matter cannot be read", hint="plain names and values, nested a little") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("name"), str):
        raise InvalidInput(f"{where}:2: the front matter has no name", hint="write name: my-prompt")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    variables = settings.get("variables") or {}
    if not isinstance(variables, dict) or not all(isinstance(name, str) for name in variables) or len(variables) > MOST_VARIABLES:
        raise InvalidInput(f"{where}:2: the variables are no names with kinds", hint="write variables: {question: str}")
    _refuse_logic(text, matter.end(), where)
    rest = {key: value for key, value in settings.items() if key not in ("name", "variables")}
    return Prompt(settings["name"], f"library-{digest}", _sections(text[matter.end() :]), variables, rest)


def _sections(body: str) -> tuple[tuple[str, str], ...]:
    parts = _SECTION.split(body)
    if len(parts) == 1:
        return (("user", body.strip()),)
    return tuple((role, template.strip()) for role, template in zip(parts[1::2], parts[2::2], strict=True))


def _refuse_logic(text: str, start: int, where: str) -> None:
    """A brace pair that is not a variable is an error: as text it would be sent, and as logic it would have run elsewhere."""
    at = start
    while (found := _LOGIC.search(text, at)) is not None:
        variable = _VARIABLE.match(text, found.start())
        if variable is None:
            shown = text[found.start() : found.start() + 40].partition("\n")[0]
            raise InvalidInput(
                f"{where}:{_line(text, found.start())}: not a variable: {shown!r}",
                hint="between {{ and }} stands a variable's name and nothing else; there are no filters, loops or includes",
            )
        at = variable.end()


def _refuse_secrets(text: str, where: str) -> None:
    """A secret in a prompt goes to a model's provider with each question, and into every record of it."""
    for number, line in enumerate(text.split("\n"), 1):
        if redact(line) != line:
            raise InvalidInput(
                f"{where}:{number}: this looks like a secret", hint="take it out of the prompt: whoever asks could get the model to say it"
            )


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1

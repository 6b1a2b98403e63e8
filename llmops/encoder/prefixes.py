"""What an asymmetric model wants to read before a query and before a passage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from llmops.sections import EncoderSettings
from llmops.types import TextKind

_NAMES = {"query": ("query",), "passage": ("passage", "document", "corpus")}


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Two strings, "" where the model wants none."""

    query: str = ""
    passage: str = ""

    def of(self, kind: TextKind) -> str:
        return self.query if kind == "query" else self.passage

    @property
    def suffix(self) -> str:
        """What a vector's identity ends with: "" without prefixes, else "+" and eight hex digits of their hash."""
        if not (self.query or self.passage):
            return ""
        return "+" + hashlib.sha256(f"{self.query}\0{self.passage}".encode("utf-8", "surrogatepass")).hexdigest()[:8]


def prefixes_of(settings: EncoderSettings, prompts: Mapping[str, str | None]) -> Prefixes:
    """The configured prefixes, and where one is not configured the model's own, from its `prompts`."""

    def own(kind: str) -> str:
        return next((prompt for name in _NAMES[kind] if (prompt := prompts.get(name))), "")

    query = own("query") if settings.query_prefix is None else settings.query_prefix
    passage = own("passage") if settings.passage_prefix is None else settings.passage_prefix
    return Prefixes(query, passage)

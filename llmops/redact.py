"""Take secrets out of what is printed, logged or kept: one list of patterns for every edge.

What is taken out: the secret part of our own keys, Authorization and cookie headers, keys as model providers make
them, the user part of URLs, and values whose name says that they are secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

GONE = "[redacted]"

_TELLING_NAME = (
    r"(?:api[_-]?key|access[_-]?key|(?:access|refresh|auth|id)[_-]?token|token|password|passwd|pwd|secret|client[_-]?secret|signature|sig)"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Ours: the public id stays, for it says which key to revoke.
    (re.compile(r"(llmops_[0-9a-f]{16}_)[A-Za-z0-9_-]+"), rf"\1{GONE}"),
    # Headers, up to the end of the value. `llmops_...` and `<key>` are examples in our own hints.
    (
        re.compile(
            r"""(?i)\b((?:proxy-)?authorization|x-api-key|api-key|x-goog-api-key|(?:set-)?cookie)(["'\])]*+\s*+[:=,]\s*+(?:["'\[(]|b(?=["']))*+)"""
            r"""(?!(?:Bearer\s+)?(?:llmops_\.\.\.|<)|\[redacted)[^"'\r\n]+"""
        ),
        rf"\1\2{GONE}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+(?!llmops_)[A-Za-z0-9._~+/=-]*\d[A-Za-z0-9._~+/=-]*"), rf"\1 {GONE}"),
    # Providers' keys.
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|hf|xai|pplx|nvapi|AIza|AKIA|ghp|gho|ghs|ghu|ghr|github_pat|glpat|xox[abprs])[-_]?[A-Za-z0-9_-]{16,}"
        ),
        GONE,
    ),
    # URLs: a password may hold a slash where a database's URL is meant.
    (re.compile(r"(?i)\b((?:postgres|mysql|mariadb|redis|mongodb|amqp)[a-z0-9+]*://)[^\s\"'@]*@"), rf"\1{GONE}@"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#\"'@]+@"), rf"\1{GONE}@"),
    # `?api_key=...`, `password=...`, `"api_key": "..."`.
    (re.compile(rf"""(?i)(?<![A-Za-z0-9])({_TELLING_NAME})(\s*+=\s*+["']?+|["']\s*+:\s*+["'])(?!\[redacted)[^\s"'&,;)}}\]]+"""), rf"\1\2{GONE}"),
)
_NAME = re.compile(rf"(?i)(?:.*[_-])?(?:{_TELLING_NAME}|authorization|cookie|credentials?)")


def redact(text: str) -> str:
    """The text without its secrets."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def redact_value(value: Any, name: str = "") -> Any:
    """A JSON value without its secrets; `name` is the key that it stands under. An empty value stays: it tells that nothing is set."""
    if isinstance(value, Mapping):
        return {str(key): redact_value(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(inner, name) for inner in value]
    if isinstance(value, str):
        return GONE if value and _NAME.fullmatch(name) else redact(value)
    return value

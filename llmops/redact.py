"""Take secrets out of what is printed, logged or kept: one list of patterns for every edge.

What is taken out: the secret part of our own keys, Authorization and cookie headers, keys as model providers make
them, the user part of URLs, values whose name says that they are secret, and every secret that this process knows,
whatever it looks like: whoever reads one tells it to `know`.
"""

from __future__ import annotations

import base64
import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

GONE = "[redacted]"
MOST_KNOWN = 256
"""So many secrets are remembered, the last ones."""
SHORTEST = 6
PLAIN_WORD = re.compile(r"[a-z]{1,11}")
"""What is shorter, and passwords such as `postgres`, stand in ordinary sentences too: to take them out would tell them."""

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

_known: OrderedDict[str, tuple[str, ...]] = OrderedDict()
_spellings: tuple[str, ...] = ()
_knowing = Lock()


def know(secret: str) -> None:
    """Take this out of every text from now on, in any spelling that it takes on the way: as it is, in a URL, in JSON, in base64."""
    global _spellings
    if len(secret) < SHORTEST or PLAIN_WORD.fullmatch(secret):
        return
    with _knowing:
        if secret in _known:
            _known.move_to_end(secret)
            return
        _known[secret] = _spelled(secret)
        if len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
        # The longest first: one may stand within another.
        _spellings = tuple(sorted({spelling for spellings in _known.values() for spelling in spellings}, key=len, reverse=True))


def know_url(url: str) -> None:
    """Take the password of a URL out of every text from now on."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return  # whoever uses it says what is wrong with it
    if password:
        know(password)
        know(unquote(password))


def redact(text: str) -> str:
    """The text without its secrets."""
    for spelling in _spellings:
        if spelling in text:
            text = text.replace(spelling, GONE)
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


def _spelled(secret: str) -> tuple[str, ...]:
    """The spellings of a secret. In base64 it looks in three ways, by what stands before it; ends that its neighbours decide are left out."""
    raw = secret.encode("utf-8", "surrogatepass")
    found = {secret, quote(raw), quote(raw, safe=""), quote_plus(raw), json.dumps(secret)[1:-1]}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        part = encoded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]
        found |= {part, part.translate(str.maketrans("+/", "-_"))}
    return tuple(spelling for spelling in found if len(spelling) >= SHORTEST)

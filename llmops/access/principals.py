"""Principals: the names that rights are given to. `user:alice`, `group:sales`, `workspace:poc`."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

from llmops.errors import InvalidInput, near_names

KINDS = ("user", "group", "workspace")
LONGEST_NAME = 180
_RESERVED = ",:*"
_LONGEST_TEXT = 80


def principal(kind: str, name: str) -> str:
    """`kind:name`, checked: a name has no comma, colon, asterisk or control character, and no blank at its ends."""
    if kind not in KINDS:
        raise InvalidInput(f"no kind of principal: {kind!r}", hint=near_names(kind, KINDS))
    if not name or name != name.strip():
        raise InvalidInput(f"a {kind}'s name is empty or has blanks at its ends: {name!r}", hint=f"write it as {kind}:NAME")
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"a {kind}'s name has {len(name)} characters", hint=f"at most {LONGEST_NAME}")
    if bad := next((c for c in name if c in _RESERVED or unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}), ""):
        raise InvalidInput(f"a {kind}'s name may not hold {bad!r}: {name[:60]!r}", hint="name several principals with commas: user:alice,group:sales")
    return f"{kind}:{name}"


def parse_principal(text: str) -> str:
    """One principal as written, `user:alice`."""
    kind, colon, name = text.strip().partition(":")
    if not colon:
        raise InvalidInput(f"not a principal: {text[:60]!r}", hint="write user:NAME, group:NAME or workspace:NAME")
    return principal(kind.strip(), name.strip())


def parse_principals(text: str) -> frozenset[str]:
    """A comma-separated list, `user:alice,group:sales`. An empty one is an error, never everybody."""
    if not text.strip():
        raise InvalidInput("the list of principals is empty", hint="write user:NAME,group:NAME")
    return frozenset(map(parse_principal, text.split(",")))


def principals_of(workspace: str, user: str | None, groups: Iterable[str]) -> frozenset[str]:
    """Whom a member of a workspace is: the user, the groups and the workspace; no role is among them."""
    names = {principal("workspace", workspace), *(principal("group", group) for group in groups)}
    return frozenset(names | {principal("user", user)} if user is not None else names)


def parse_pattern(text: str) -> str:
    """A pattern of principals, `user:*` or `group:sales-*`: an asterisk at the end stands for any rest of a name."""
    kind, colon, name = text.strip().partition(":")
    if not colon:
        raise InvalidInput(f"not a pattern of principals: {text[:60]!r}", hint="write user:*, group:sales-* or user:alice")
    if name.strip() == "*":
        return f"{principal(kind.strip(), 'x').partition(':')[0]}:*"
    stem = name.strip()
    return principal(kind.strip(), stem.removesuffix("*")) + ("*" if stem.endswith("*") else "")


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns takes in a principal."""
    return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)


def named(principals: Iterable[str]) -> str:
    """What an asker is called who speaks for these: the user where there is one, else all of them; one too long ends in its hash."""
    names = sorted(principals)
    users = [name for name in names if name.startswith("user:")]
    text = users[0] if len(users) == 1 else ",".join(names)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 20]}...{hashlib.sha256(text.encode()).hexdigest()[:16]}"

"""Who may do what: one matrix of permissions, by kind of workspace and role.

Rights to documents are not here: they go by principals, and no role reads a document by being that role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmops.errors import InvalidInput, NotPermitted, UnknownName
from llmops.types import Asker

ADMIN = "admin"
ROLES = {
    "A": ADMIN,
    "S": "data-scientist",
    "D": "data-engineer",
    "M": "ml-engineer",
    "B": "business-user",
    "P": "application",  # what the backend of a product holds: chat, search, feedback and nothing else
}
KINDS = ("poc", "dev", "pipeline", "prod")
"""What a workspace is for: try things on raw data, develop on prepared data, prepare data, serve."""

_MATRIX = """
permission        poc      dev      pipeline  prod
chat:use          ASDMBP   AS-M-P   A-D---    A-DM-P
search:use        ASDMBP   AS-M-P   A-D---    A-DM-P
feedback:write    ASDMBP   AS-M-P   A-D---    A-DM-P
embeddings:use    ASDMB-   AS-M--   A-D---    A-DM--
models:read       ASDMB-   ASDM--   A-DM--    A-DM--
collections:read  ASDMB-   ASDM--   A-DM--    A-DM--
collections:write ASDMB-   A-----   A-D---    ------
documents:read    ASDMB-   AS-M--   A-D---    A-DM--
documents:write   ASDMB-   A-----   A-D---    ------
documents:share   ASDMB-   AS-M--   A-D---    A-----
answers:read      ASDMB-   AS-M--   A-D---    A-DM--
feedback:read     ASDMB-   AS-M--   A-----    A--M--
jobs:read         ASDMB-   ASDM--   A-DM--    A-DM--
jobs:cancel       ASDMB-   AS-M--   A-D---    A-DM--
jobs:retry        ASDMB-   A--M--   A-DM--    A-----
metrics:read      ASDMB-   ASDMB-   ASDMB-    ASDMB-
openapi:read      ASDMB-   ASDMB-   ASDMB-    ASDMB-
promotion:send    A--M--   A--M--   A-DM--    A-----
promotion:receive A--M--   A-DM--   A-D---    A--M--
keys:manage       A-----   A-----   A-----    A-----
audit:read        A-----   A-----   A-----    A-----
retention:run     A-----   A-----   A-----    A-----
"""


def _read(text: str) -> dict[str, dict[str, frozenset[str]]]:
    (_, *kinds), *rows = (line.split() for line in text.strip().splitlines())
    assert tuple(kinds) == KINDS
    return {
        permission: {kind: frozenset(ROLES[letter] for letter in cell if letter != "-") for kind, cell in zip(KINDS, cells, strict=True)}
        for permission, *cells in rows
    }


PERMISSIONS: Mapping[str, Mapping[str, frozenset[str]]] = _read(_MATRIX)
"""For every permission that there is, by kind of workspace, the roles that have it."""


def check_role(role: str) -> str:
    """`role`, if there is one of that name."""
    if role not in ROLES.values():
        raise UnknownName("role", role, ROLES.values())
    return role


def check_scopes(scopes: Iterable[str], role: str) -> frozenset[str]:
    """The scopes of a key, which are permissions that its role has somewhere. An empty list is an error: such a key would open nothing."""
    wanted = frozenset(scopes)
    for scope in wanted:
        if scope not in PERMISSIONS:
            raise UnknownName("scope", scope, PERMISSIONS)
        if not any(role in having for having in PERMISSIONS[scope].values()):
            raise InvalidInput(
                f"the role {role!r} has the permission {scope} nowhere", hint="`llmops access matrix` shows which it has", param="scopes"
            )
    if not wanted:
        raise InvalidInput("the list of scopes is empty", hint="leave it out for all that the role may do")
    return wanted


def permits(kind: str, role: str, permission: str) -> bool:
    """Whether a role has a permission in a workspace of that kind. A kind or role that is not known has none."""
    if permission not in PERMISSIONS:
        raise UnknownName("permission", permission, PERMISSIONS)
    return role in PERMISSIONS[permission].get(kind, ())


def check_permitted(kind: str, asker: Asker, permission: str) -> None:
    """Raise `NotPermitted` unless the asker's role has the permission in a workspace of that kind, and no scope leaves it out."""
    if not permits(kind, asker.role, permission):
        raise NotPermitted(f"the role {asker.role!r} lacks the permission {permission} in a workspace of kind {kind!r}", hint=_way(kind, permission))
    if asker.scopes is not None and permission not in asker.scopes:
        raise NotPermitted(f"this key's scopes leave out {permission}", hint="`llmops keys create` makes a key with other scopes")


def _way(kind: str, permission: str) -> str:
    """Who could do it, or how else it comes about."""
    roles = PERMISSIONS[permission].get(kind)
    if roles:
        return "these roles have it: " + ", ".join(role for role in ROLES.values() if role in roles)
    if roles is None:
        return "name the workspace in `workspaces` of llmops.toml"
    return "nobody changes this by hand there: `llmops collections copy NAME --to WORKSPACE` promotes a collection"

"""What each role may do. Rights to documents are not here: they go by principals, and no role reads a document by being that role."""

from __future__ import annotations

from llmops.errors import UnknownName

ADMIN = "admin"
SCIENTIST = "data-scientist"
DATA_ENGINEER = "data-engineer"
ML_ENGINEER = "ml-engineer"
BUSINESS = "business-user"
APPLICATION = "application"  # what the backend of a product holds: chat, search, feedback and nothing else
ROLES = (ADMIN, SCIENTIST, DATA_ENGINEER, ML_ENGINEER, BUSINESS, APPLICATION)

_ALL = frozenset(ROLES)
_PEOPLE = _ALL - {APPLICATION}
_BUILDERS = _PEOPLE - {BUSINESS}

PERMISSIONS: dict[str, frozenset[str]] = {
    "chat:use": _ALL,
    "search:use": _ALL,
    "embeddings:use": _PEOPLE,
    "models:read": _PEOPLE,
    "feedback:write": _ALL,
    "answers:read": frozenset({ADMIN, SCIENTIST, ML_ENGINEER}),
    "collections:read": _PEOPLE,
    "documents:read": _PEOPLE,
    "documents:write": frozenset({ADMIN, SCIENTIST, DATA_ENGINEER}),
    "jobs:read": _BUILDERS,
    "jobs:cancel": _BUILDERS,
    "metrics:read": _BUILDERS,
    "openapi:read": _PEOPLE,
}
"""Every permission there is, and the roles that have it."""


def check_role(role: str) -> str:
    """`role`, if there is one of that name."""
    if role not in ROLES:
        raise UnknownName("role", role, ROLES)
    return role


def permits(role: str, permission: str) -> bool:
    """Whether the role has the permission. A role that is not known has none; a permission that is not known is a bug."""
    if permission not in PERMISSIONS:
        raise UnknownName("permission", permission, PERMISSIONS)
    return role in PERMISSIONS[permission]

"""API keys: `llmops_<public id>_<secret>`, shown once. Only the SHA-256 of the secret is kept; it holds 256 random bits."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping

from llmops.access import audit, rows
from llmops.access.principals import principals_of
from llmops.access.roles import check_role
from llmops.errors import Conflict, InvalidInput, NotAuthenticated, UnknownName
from llmops.output import iso_time
from llmops.types import Asker, Json

_TOKEN = re.compile(r"llmops_([0-9a-f]{16})_([A-Za-z0-9_-]{43,64})", re.ASCII)
_LONGEST_TOKEN = 128
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_NO_HASH = "0" * 64  # compared against where no key has that id, so that both cases take the same time
_LATEST = 253_370_764_800  # the year 9999
MOST_GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. Times are in seconds since 1970."""

    id: str
    workspace: str
    name: str
    role: str
    user: str | None
    groups: tuple[str, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    @property
    def state(self) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= time.time() else "active"

    def asker(self) -> Asker:
        """Whom a call with this key is made by: its user, its groups and its workspace, never its role."""
        return Asker(self.workspace, principals_of(self.workspace, self.user, self.groups), name=f"key:{self.name}")

    def to_json(self) -> Json:
        return {
            "id": self.id,
            "name": self.name,
            "workspace": self.workspace,
            "role": self.role,
            "user": self.user,
            "groups": list(self.groups),
            "state": self.state,
            "created_at": iso_time(self.created_at),
            "expires_at": iso_time(self.expires_at),
            "revoked_at": iso_time(self.revoked_at),
        }


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `key` is the whole of it, and nobody can show it again."""

    id: str
    name: str
    key: str = field(repr=False)


def create(
    connection: Connection,
    workspace: str,
    name: str,
    role: str,
    user: str | None = None,
    groups: Iterable[str] = (),
    expires_at: float | None = None,
    *,
    actor: str = "owner",
) -> NewKey:
    """Make a key, and its audit row with it. `expires_at` is in seconds since 1970; None is never.

    Raises `InvalidInput`, `UnknownName` for a role, `Conflict` where the workspace has a key of that name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"not a name for a key: {name[:60]!r}", hint="letters, digits, dots, dashes and underscores, at most 100")
    groups = tuple(dict.fromkeys(groups))
    if len(groups) > MOST_GROUPS:
        raise InvalidInput(f"{len(groups)} groups are too many for a key", hint=f"at most {MOST_GROUPS}")
    principals_of(workspace, user, groups)
    now = time.time()
    if expires_at is not None and not now < expires_at < _LATEST:
        raise InvalidInput("the key would have expired already, or never would", hint="give a time to come, or none for a key that stays")
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    kept: dict[str, Any] = {"role": check_role(role), "user": user, "groups": list(groups), "expires_at": expires_at}
    if not rows.insert_key(
        connection, {"id": key_id, "workspace": workspace, "name": name, "secret_hash": _hash(secret), "created_at": now, "revoked_at": None, **kept}
    ):
        raise Conflict(f"workspace {workspace!r} has a key named {name!r}", hint="choose another name; a revoked key keeps its own")
    audit.record(connection, workspace, actor, "keys.create", f"key:{name}", {"id": key_id, **kept})
    return NewKey(key_id, name, f"llmops_{key_id}_{secret}")


def authenticate(connection: Connection, token: str) -> Key:
    """The key that a token is; `NotAuthenticated` for everything else, whatever it holds."""
    parts = _TOKEN.fullmatch(token) if len(token) <= _LONGEST_TOKEN else None
    if parts is None:
        raise NotAuthenticated("not an API key", hint="send `Authorization: Bearer llmops_...`; `llmops keys create` makes a key")
    row = rows.key_by_id(connection, parts[1])
    matches = hmac.compare_digest(_hash(parts[2]), row["secret_hash"] if row else _NO_HASH)
    if row is None or not matches:
        raise NotAuthenticated("no such API key", hint="`llmops keys list` shows the keys of a workspace, `llmops keys create` makes one")
    key = _key(row)
    if key.state != "active":
        raise NotAuthenticated(f"this API key is {key.state}", hint="ask for a new one: `llmops keys create`")
    return key


def revoke(connection: Connection, workspace: str, name_or_id: str, actor: str = "owner") -> Key:
    """Make a key useless from now on, and say so in the audit log. A second time changes nothing."""
    found = rows.keys_called(connection, workspace, name_or_id)
    row = next((row for row in found if row["name"] == name_or_id), found[0] if found else None)
    if row is None:
        raise UnknownName("key", name_or_id, [key.name for key in list_keys(connection, workspace)])
    if row["revoked_at"] is None:
        rows.mark_revoked(connection, row["id"], time.time())
        audit.record(connection, workspace, actor, "keys.revoke", f"key:{row['name']}", {"id": row["id"]})
        row = rows.key_by_id(connection, row["id"]) or row
    return _key(row)


def list_keys(connection: Connection, workspace: str) -> list[Key]:
    """Every key of a workspace, oldest first, revoked ones too."""
    return [_key(row) for row in rows.keys_of(connection, workspace)]


def any_usable(connection: Connection) -> bool:
    """Whether any workspace has a key that opens something."""
    return rows.any_usable_key(connection, time.time())


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: RowMapping) -> Key:
    return Key(**{name: row[name] for name in Key.__slots__ if name != "groups"}, groups=tuple(row["groups"]))

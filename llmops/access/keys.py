"""API keys: `llmops_<public id>_<secret>`, shown once. Only the SHA-256 of the secret is kept; it holds 256 random bits."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, RowMapping

from llmops.access import audit, rows
from llmops.access.principals import fits, named, parse_pattern, principals_of
from llmops.access.roles import PERMISSIONS, check_role, check_scopes
from llmops.errors import Conflict, InvalidInput, NotAuthenticated, NotPermitted, UnknownName
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
    """A key without its secret. Times are in seconds since 1970.

    `scopes` narrow what its role may do, None does not. `act_as` are patterns of the principals that it may speak for.
    """

    id: str
    workspace: str
    name: str
    role: str
    user: str | None
    groups: tuple[str, ...]
    scopes: frozenset[str] | None
    act_as: tuple[str, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    used_at: float | None

    @property
    def state(self) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= time.time() else "active"

    def asker(self, origin: str = "") -> Asker:
        """Whom a call with this key is made by: its user, its groups and its workspace, never its role."""
        principals = principals_of(self.workspace, self.user, self.groups)
        name, speaks_for = f"key:{self.name}", frozenset(self.act_as)
        rights = Asker(self.workspace, principals, name=name, role=self.role, scopes=self.scopes, speaks_for=speaks_for, origin=origin)
        return replace(rights, expires_at=self.expires_at)

    def asker_as(self, principals: frozenset[str], origin: str = "") -> Asker:
        """Whom a call is made by in which this key speaks for others: they and the workspace, no user or group of its own.

        Raises `NotPermitted` for a principal that none of its patterns takes in.
        """
        for principal in sorted(principals):
            if not fits(principal, self.act_as):
                allowed = f"it may speak for {', '.join(self.act_as)}" if self.act_as else "`llmops keys create --act-as PATTERNS` makes one that may"
                raise NotPermitted(f"the key {self.name!r} may not speak for {principal}", hint=allowed)
        asker = self.asker(origin)
        own = principals_of(self.workspace, None, ())
        return replace(asker, principals=principals | own, name=f"{asker.name} as {named(principals)}", speaks_for=frozenset())

    def to_json(self) -> Json:
        return {
            "id": self.id,
            "name": self.name,
            "workspace": self.workspace,
            "role": self.role,
            "user": self.user,
            "groups": list(self.groups),
            "scopes": None if self.scopes is None else sorted(self.scopes),
            "act_as": list(self.act_as),
            "state": self.state,
            "created_at": iso_time(self.created_at),
            "expires_at": iso_time(self.expires_at),
            "revoked_at": iso_time(self.revoked_at),
            "used_at": iso_time(self.used_at),
        }


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `key` is the whole of it, and nobody can show it again."""

    id: str
    name: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a key shall be. `expires_at` is in seconds since 1970, None for never; `scopes` None is all that the role may do."""

    name: str
    role: str
    user: str | None = None
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    act_as: tuple[str, ...] = ()
    expires_at: float | None = None

    def checked(self, workspace: str) -> dict[str, Any]:
        """The values of the key's row. Raises `InvalidInput`, and `UnknownName` for a role or a scope."""
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(f"not a name for a key: {self.name[:60]!r}", hint="letters, digits, dots, dashes and underscores, at most 100")
        groups, act_as = tuple(dict.fromkeys(self.groups)), sorted(set(map(parse_pattern, self.act_as)))
        if max(len(groups), len(act_as)) > MOST_GROUPS:
            raise InvalidInput("too many groups or patterns for a key", hint=f"at most {MOST_GROUPS} of each")
        principals_of(workspace, self.user, groups)
        if self.expires_at is not None and not time.time() < self.expires_at < _LATEST:
            raise InvalidInput("the key would have expired already, or never would", hint="give a time to come, or none for a key that stays")
        scopes = None if self.scopes is None else sorted(check_scopes(self.scopes, check_role(self.role)))
        rights = {"role": check_role(self.role), "user": self.user, "groups": list(groups), "scopes": scopes, "act_as": act_as}
        return {**rights, "expires_at": self.expires_at}


def create(connection: Connection, asker: Asker, wanted: Wanted) -> NewKey:
    """Make a key in the asker's workspace, and its audit row with it.

    Raises `InvalidInput`, `UnknownName` for a role or a scope, `Conflict` where the workspace has a key of that name,
    `NotPermitted` for one that could more than the key that makes it.
    """
    kept = wanted.checked(asker.workspace)
    _check_within(asker, kept)
    key_id, secret = secrets.token_hex(8), _new_secret()
    identity = {"id": key_id, "workspace": asker.workspace, "name": wanted.name, "secret_hash": _hash(secret), "created_at": time.time()}
    if not rows.insert_key(connection, {**identity, **kept}):
        raise Conflict(f"workspace {asker.workspace!r} has a key named {wanted.name!r}", hint="choose another name; a revoked key keeps its own")
    audit.record(connection, asker, "keys.create", f"key:{wanted.name}", after={"id": key_id, **kept})
    return NewKey(key_id, wanted.name, f"llmops_{key_id}_{secret}")


def authenticate(connection: Connection, token: str) -> Key:
    """The key that a token is; `NotAuthenticated` for everything else, whatever it holds."""
    parts = _TOKEN.fullmatch(token) if len(token) <= _LONGEST_TOKEN else None
    if parts is None:
        raise NotAuthenticated("not an API key", hint="send `Authorization: Bearer llmops_...`; `llmops keys create` makes a key")
    row = rows.key_by_id(connection, parts[1])
    given = _hash(parts[2])
    matches = hmac.compare_digest(given, row["secret_hash"] if row else _NO_HASH)
    matched = hmac.compare_digest(given, (row["former_hash"] if row else None) or _NO_HASH)
    if row is None or not (matches or (matched and time.time() < row["former_until"])):
        raise NotAuthenticated("no such API key", hint="`llmops keys list` shows the keys of a workspace, `llmops keys create` makes one")
    return check_active(_key(row))


def check_active(key: Key) -> Key:
    """The key, unless it was revoked or has expired: then `NotAuthenticated`."""
    if key.state != "active":
        raise NotAuthenticated(f"this API key is {key.state}", hint="ask for a new one: `llmops keys create`")
    return key


def revoke(connection: Connection, asker: Asker, name_or_id: str) -> Key:
    """Make a key useless from now on, and say so in the audit log. A second time changes nothing."""
    row = _find(connection, asker.workspace, name_or_id)
    if row["revoked_at"] is None:
        rows.change_key(connection, row["id"], {"revoked_at": time.time()})
        audit.record(connection, asker, "keys.revoke", f"key:{row['name']}", {"id": row["id"]}, before="active", after="revoked")
        row = rows.key_by_id(connection, row["id"]) or row
    return _key(row)


def rotate(connection: Connection, asker: Asker, name_or_id: str, grace: float = 0.0) -> NewKey:
    """Give a key another secret: name, role and rights stay. The former secret is good for `grace` more seconds.

    Raises `Conflict` for a key that was revoked or has expired, `NotPermitted` for one that can more than the asker's:
    who gets its secret could act with it.
    """
    row = _find(connection, asker.workspace, name_or_id)
    _check_within(asker, dict(row))
    if (state := _key(row).state) != "active":
        raise Conflict(f"the key {row['name']!r} is {state}", hint="`llmops keys create` makes a new one")
    secret = _new_secret()
    until = time.time() + grace if grace else None
    former = {"former_hash": row["secret_hash"] if grace else None, "former_until": until}
    rows.change_key(connection, row["id"], {"secret_hash": _hash(secret), **former})
    audit.record(connection, asker, "keys.rotate", f"key:{row['name']}", {"id": row["id"], "former_until": iso_time(until)})
    return NewKey(row["id"], row["name"], f"llmops_{row['id']}_{secret}")


def list_keys(connection: Connection, workspace: str) -> list[Key]:
    """Every key of a workspace, oldest first, revoked ones too."""
    return [_key(row) for row in rows.keys_of(connection, workspace)]


def key_of(connection: Connection, workspace: str, asker: str) -> Key | None:
    """The key by which somebody acted, from the name that rows keep of them; None for the owner. A workspace never has two keys of one name."""
    kind, _, rest = asker.partition(":")
    name = rest.partition(" as ")[0]
    found = [row for row in rows.keys_called(connection, workspace, name) if row["name"] == name] if kind == "key" else []
    return _key(found[0]) if found else None


def any_usable(connection: Connection) -> bool:
    """Whether any workspace has a key that opens something."""
    return rows.any_usable_key(connection, time.time())


def _check_within(asker: Asker, key: Mapping[str, Any]) -> None:
    """A key can make or rotate none that could more than itself: so no role comes to read what it may not by making a key."""
    if asker.owner:
        return
    principals = principals_of(asker.workspace, key["user"], key["groups"])
    beyond = sorted(name for name in principals if name not in asker.principals and not fits(name, asker.speaks_for))
    beyond += [pattern for pattern in key["act_as"] if not fits(pattern, asker.speaks_for)]
    if asker.expires_at is not None and (key["expires_at"] is None or key["expires_at"] > asker.expires_at):
        beyond.append("a longer life than its own")
    scopes = PERMISSIONS if key["scopes"] is None else key["scopes"]
    beyond += [] if asker.scopes is None else sorted(set(scopes) - asker.scopes)
    if beyond:
        raise NotPermitted(
            f"{asker.name} may not give a key {', '.join(beyond[:5])}",
            hint="the owner may: `llmops keys create`, or one whose --act-as takes them in",
        )


def _find(connection: Connection, workspace: str, name_or_id: str) -> RowMapping:
    found = rows.keys_called(connection, workspace, name_or_id)
    row = next((row for row in found if row["id"] == name_or_id), found[0] if found else None)  # no name stands before an id
    if row is None:
        raise UnknownName("key", name_or_id, [key.name for key in list_keys(connection, workspace)])
    return row


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: RowMapping) -> Key:
    scopes = None if row["scopes"] is None else frozenset(row["scopes"])
    lists: dict[str, Any] = {"groups": tuple(row["groups"]), "act_as": tuple(row["act_as"]), "scopes": scopes}
    return Key(**{name: row[name] for name in Key.__slots__ if name not in lists}, **lists)

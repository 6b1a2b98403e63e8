"""Keys of a workspace: listed, made, given another secret, revoked. For those who manage them; each change is in the audit log."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from llmops.access import keys
from llmops.access.keys import MOST_GROUPS, NewKey, Wanted
from llmops.access.roles import PERMISSIONS
from llmops.durations import seconds
from llmops.errors import InvalidInput, near_names
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf
from server.pages import Page
from server.shapes import NAME, PATTERN, Body, Moment, Reply

door = Door("keys")
Role = Literal["admin", "data-scientist", "data-engineer", "ml-engineer", "business-user", "application"]


def _span(text: str) -> str:
    try:
        seconds(text)
    except InvalidInput as wrong:
        raise ValueError(f"{wrong}; {wrong.hint}") from None
    return text


def _scope(text: str) -> str:
    if text not in PERMISSIONS:
        raise ValueError(f"no permission of that name: {text[:60]!r}; {near_names(text, PERMISSIONS)}")
    return text


Span = Annotated[str, AfterValidator(_span), Field(json_schema_extra={"pattern": "^[1-9][0-9]{0,2}[mhdw]$"})]
"""A span of time, as 90d; at most 100 years, which the pattern bounds more closely."""
Scope = Annotated[str, AfterValidator(_scope), Field(json_schema_extra={"enum": list(PERMISSIONS)})]
PrincipalName = Annotated[str, Field(json_schema_extra={"pattern": NAME})]
Pattern = Annotated[str, Field(json_schema_extra={"pattern": PATTERN})]


class KeyBody(Body):
    """What a key shall be. `scopes` left out is all that the role may do."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    role: Role
    user: PrincipalName | None = None
    groups: list[PrincipalName] = Field(default_factory=list, max_length=MOST_GROUPS)
    scopes: list[Scope] | None = Field(None, min_length=1, max_length=100)
    act_as: list[Pattern] = Field(default_factory=list, max_length=MOST_GROUPS)
    expires: Span | None = None


class RotateBody(Body):
    """How long the former secret stays good; left out: not at all."""

    grace: Span | None = None


class KeyShape(Reply):
    """A key without its secret. `used_at` is noted every half minute."""

    id: str
    name: str
    workspace: str
    role: Role
    user: str | None
    groups: list[str]
    scopes: list[str] | None
    act_as: list[str]
    state: Literal["active", "expired", "revoked"]
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    used_at: Moment | None


class NewKeyShape(Reply):
    """A key that was made. `key` is the whole of it, and is shown this once."""

    id: str
    name: str
    key: str


@door.get("/api/v1/keys", permission="keys:manage", returns=Page[KeyShape])
async def list_keys(rooms: RoomsOf, asker: AskerOf) -> Json:
    """Every key of the workspace, without its secret."""
    found = await rooms.home.store.read_async(lambda c: keys.list_keys(c, asker.workspace))
    return {"data": [key.to_json() for key in found], "next": None}


@door.post("/api/v1/keys", permission="keys:manage", status_code=201, returns=NewKeyShape, fails={409})
async def create(body: KeyBody, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Make a key, which this reply alone shows. It can give no more than the key that asks has."""
    scopes = None if body.scopes is None else tuple(body.scopes)
    expires_at = time.time() + seconds(body.expires) if body.expires else None
    wanted = Wanted(body.name, body.role, body.user, tuple(body.groups), scopes, tuple(body.act_as), expires_at)
    return _shown(await rooms.home.store.write_async(lambda c: keys.create(c, asker, wanted)))


@door.post("/api/v1/keys/{key}/rotate", permission="keys:manage", returns=NewKeyShape, fails={409})
async def rotate(key: str, body: RotateBody, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Give a key, by its name or id, another secret, which this reply alone shows."""
    grace = seconds(body.grace) if body.grace else 0
    made = await rooms.home.store.write_async(lambda c: keys.rotate(c, asker, key, grace))
    rooms.keys.forget()
    return _shown(made)


@door.delete("/api/v1/keys/{key}", permission="keys:manage", returns=KeyShape)
async def revoke(key: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Make a key, by its name or id, useless: every process refuses it within two seconds."""
    revoked = await rooms.home.store.write_async(lambda c: keys.revoke(c, asker, key))
    rooms.keys.forget()
    return revoked.to_json()


def _shown(made: NewKey) -> Json:
    return {"id": made.id, "name": made.name, "key": made.key}

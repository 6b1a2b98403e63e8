"""Keys of a workspace: listed, made, given another secret, revoked. For those who manage them; each change is in the audit log."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict, Field

from llmops.access import keys
from llmops.access.keys import MOST_GROUPS, NewKey, Wanted
from llmops.durations import seconds
from llmops.types import Json
from server.door import AskerOf, Door, RoomsOf

door = Door("keys")
_SPAN = r"^[0-9]{1,9}[mhdwMHDW]$"


class KeyBody(BaseModel):
    """What a key shall be. `expires` is a span as 90d; `scopes` left out is all that the role may do."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str = Field(min_length=1, max_length=100)
    role: str = Field(min_length=1, max_length=32)
    user: str | None = Field(None, min_length=1, max_length=200)
    groups: list[str] = Field(default_factory=list, max_length=MOST_GROUPS)
    scopes: list[str] | None = Field(None, min_length=1, max_length=100)
    act_as: list[str] = Field(default_factory=list, max_length=MOST_GROUPS)
    expires: str | None = Field(None, pattern=_SPAN)


class RotateBody(BaseModel):
    """How long the former secret stays good, as 1h; left out: not at all."""

    model_config = ConfigDict(extra="forbid", strict=True)
    grace: str | None = Field(None, pattern=_SPAN)


@door.get("/api/v1/keys", permission="keys:manage")
async def list_keys(rooms: RoomsOf, asker: AskerOf) -> Json:
    """Every key of the workspace, without its secret."""
    found = await rooms.home.store.read_async(lambda c: keys.list_keys(c, asker.workspace))
    return {"data": [key.to_json() for key in found], "next": None}


@door.post("/api/v1/keys", permission="keys:manage", status_code=201)
async def create(body: KeyBody, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Make a key, which this reply alone shows. It can give no more than the key that asks has."""
    scopes = None if body.scopes is None else tuple(body.scopes)
    expires_at = time.time() + seconds(body.expires) if body.expires else None
    wanted = Wanted(body.name, body.role, body.user, tuple(body.groups), scopes, tuple(body.act_as), expires_at)
    return _shown(await rooms.home.store.write_async(lambda c: keys.create(c, asker, wanted)))


@door.post("/api/v1/keys/{key}/rotate", permission="keys:manage")
async def rotate(key: str, body: RotateBody, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Give a key, by its name or id, another secret, which this reply alone shows."""
    grace = seconds(body.grace) if body.grace else 0
    made = await rooms.home.store.write_async(lambda c: keys.rotate(c, asker, key, grace))
    rooms.keys.forget()
    return _shown(made)


@door.delete("/api/v1/keys/{key}", permission="keys:manage")
async def revoke(key: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Make a key, by its name or id, useless: every process refuses it within two seconds."""
    revoked = await rooms.home.store.write_async(lambda c: keys.revoke(c, asker, key))
    rooms.keys.forget()
    return revoked.to_json()


def _shown(made: NewKey) -> Json:
    return {"id": made.id, "name": made.name, "key": made.key}

"""GET /v1/models: every name that a chat request's `model` may have, for the key that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from llmops.errors import UnknownName
from llmops.types import Asker, Json
from server.door import AskerOf, Door, RoomsOf, link
from server.shapes import Count, Reply

if TYPE_CHECKING:
    from server.rooms import Rooms

door = Door("openai")
_CREATED = 1767225600  # the clients want a number: 2026-01-01


class ModelShape(Reply):
    """A name that a chat request's `model` may have."""

    id: str
    object: Literal["model"]
    created: Count
    owned_by: Literal["chain", "route"]


class ModelsShape(Reply):
    object: Literal["list"]
    data: list[ModelShape]


_FIRST = {"first": link("openai_model", model="/data/0/id")}


@door.get("/v1/models", permission="models:read", returns=ModelsShape, links=_FIRST)
async def models(rooms: RoomsOf, asker: AskerOf) -> Json:
    """Chains and routes; `owned_by` says which."""
    return {"object": "list", "data": _models(rooms, asker)}


@door.get("/v1/models/{model}", permission="models:read", returns=ModelShape)
async def model(model: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """One of them."""
    known = {one["id"]: one for one in _models(rooms, asker)}
    if model not in known:
        raise UnknownName("model", model, known)
    return known[model]


def _models(rooms: Rooms, asker: Asker) -> list[Json]:
    named = [(name, "chain") for name in rooms.chains.names(asker.workspace)]
    named += [(route.name, "route") for route in rooms.gateway.routes(asker.workspace)]
    return [{"id": name, "object": "model", "created": _CREATED, "owned_by": owner} for name, owner in named]

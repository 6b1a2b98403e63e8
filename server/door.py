"""The one way to make a route: with a permission. The key is checked before anything else of the request is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from llmops.access.roles import PERMISSIONS, check_permitted
from llmops.errors import NotAuthenticated
from llmops.types import Asker
from server.auth import SPEAKS_FOR, asker_of, origin_of
from server.bodies import ClientGone, limited
from server.rooms import Rooms

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""All that answers without a key. It grows by a reviewed line, never by a route."""
LONGEST_KEY = 200


class DoorRoute(APIRoute):
    """A route that knows its permission; "" for one of `OPEN_PATHS`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, permission: str, upload: bool = False, **options: Any) -> None:
        if permission not in PERMISSIONS and not (permission == "" and path in OPEN_PATHS):
            raise ValueError(f"route {path} needs a permission that exists, not {permission!r}")
        self.permission, self.upload = permission, upload
        super().__init__(path, endpoint, response_model=None, **options)

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            rooms: Rooms = request.app.state.rooms
            if self.permission:
                await admit(rooms, request, self.permission)
            limits = rooms.home.settings.server
            try:
                return await handle(limited(request, limits.max_upload_mb if self.upload else limits.max_body_mb))
            except ClientGone:
                return Response(status_code=499)

        return guarded


class Door:
    """The routes of one resource. `hang` puts them into an application."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self.routes: list[DoorRoute] = []

    def get(self, path: str, *, permission: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._route("GET", path, permission, options)

    def post(self, path: str, *, permission: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._route("POST", path, permission, options)

    def put(self, path: str, *, permission: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._route("PUT", path, permission, options)

    def delete(self, path: str, *, permission: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._route("DELETE", path, permission, options)

    def open(self, path: str) -> Callable[[Endpoint], Endpoint]:
        """A GET and a HEAD without a key, for one of `OPEN_PATHS`."""
        get, head = self._route("GET", path, "", {}), self._route("HEAD", path, "", {"include_in_schema": False})
        return lambda endpoint: head(get(endpoint))

    def hang(self, app: FastAPI) -> None:
        app.router.routes.extend(self.routes)

    def _route(self, method: str, path: str, permission: str, options: dict[str, Any]) -> Callable[[Endpoint], Endpoint]:
        def keep(endpoint: Endpoint) -> Endpoint:
            self.routes.append(DoorRoute(path, endpoint, methods=[method], permission=permission, tags=[self._tag], **options))
            return endpoint

        return keep


async def admit(rooms: Rooms, request: Request, permission: str) -> None:
    """Leave the key's asker in the request's state; raises `NotAuthenticated` or `NotPermitted`."""
    began = time.perf_counter()
    token = _token(request)
    await rooms.opened()
    known = await rooms.keys.find(token)
    check_permitted(rooms.kinds.get(known.key.workspace, ""), known.asker, permission)
    spoken_for = [value for name, value in request.headers.raw if name == SPEAKS_FOR]
    request.state.asker = await asker_of(rooms.home, known, spoken_for, origin_of(request, rooms.proxies))
    request.state.auth_milliseconds = (time.perf_counter() - began) * 1000


def _token(request: Request) -> str:
    """The bearer token, by its form alone: what cannot be a key costs no look-up."""
    given = request.headers.getlist("authorization")
    scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST_KEY or not token.isascii() or not token.isprintable():
        raise NotAuthenticated("no key", hint="send `Authorization: Bearer llmops_...`; `llmops keys create` makes a key")
    return token


def _rooms(request: Request) -> Rooms:
    rooms: Rooms = request.app.state.rooms
    return rooms


def _asker(request: Request) -> Asker:
    asker: Asker = request.state.asker
    return asker


RoomsOf = Annotated[Rooms, Depends(_rooms)]
AskerOf = Annotated[Asker, Depends(_asker)]

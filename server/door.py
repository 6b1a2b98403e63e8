"""The one way to make a route: with a permission. The key is checked before anything else of the request is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from llmops.access.roles import PERMISSIONS, check_permitted
from llmops.errors import NotAuthenticated
from llmops.types import Asker, Json
from server.auth import SPEAKS_FOR, asker_of, origin_of
from server.bodies import ClientGone, limited
from server.rooms import Rooms

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""All that answers without a key. It grows by a reviewed line, never by a route."""
LONGEST_KEY = 200


class DoorRoute(APIRoute):
    """A route that knows its permission; "" for one of `OPEN_PATHS`.

    `returns` is the shape of what it answers with when all goes well, `str` for plain text; `links` say where its ids lead
    to, `fails` which errors it has beyond those that all routes of its kind have. They stand on the OpenAPI page and do
    nothing else: what a route returns goes out as it is.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        permission: str,
        upload: bool = False,
        returns: Any = None,
        links: Mapping[str, Any] | None = None,
        fails: Collection[int] = (),
        **options: Any,
    ) -> None:
        if permission not in PERMISSIONS and not (permission == "" and path in OPEN_PATHS):
            raise ValueError(f"route {path} needs a permission that exists, not {permission!r}")
        self.permission, self.upload, self.returns, self.fails = permission, upload, returns, frozenset(fails)
        if returns in (str, bytes):
            options["response_class"] = PlainTextResponse if returns is str else BytesResponse
        elif returns is not None:
            responses, status = options.get("responses", {}), options.get("status_code", 200)
            options["responses"] = {**responses, status: {**responses.get(status, {}), "model": returns, "links": links or {}}}
        super().__init__(path, endpoint, response_model=None, **options)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()):  # other methods of this path may be other routes
            here = [route for route in scope["app"].routes if route.matches(scope)[0] is not Match.NONE]
            allowed = sorted({method for route in here for method in route.methods})
            raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
        await super().handle(scope, receive, send)

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


class BytesResponse(Response):
    """What no browser shows, but saves."""

    media_type = "application/octet-stream"


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

    def open(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """A GET and a HEAD without a key, for one of `OPEN_PATHS`."""
        get, head = self._route("GET", path, "", options), self._route("HEAD", path, "", options)
        return lambda endpoint: head(get(endpoint))

    def hang(self, app: FastAPI) -> None:
        app.router.routes.extend(self.routes)

    def _route(self, method: str, path: str, permission: str, options: dict[str, Any]) -> Callable[[Endpoint], Endpoint]:
        def keep(endpoint: Endpoint) -> Endpoint:
            name = f"{self._tag}_{endpoint.__name__}{'_head' * (method == 'HEAD')}"
            self.routes.append(DoorRoute(path, endpoint, methods=[method], permission=permission, tags=[self._tag], operation_id=name, **options))
            return endpoint

        return keep


def link(operation: str, body: Mapping[str, str] | None = None, **parameters: str) -> Json:
    """Where ids of a reply lead to: an operation, as `documents_show`, and where in the reply its parameters stand, as "/id"."""
    leads: Json = {"operationId": operation}
    if parameters:
        leads["parameters"] = {name: f"$response.body#{place}" for name, place in parameters.items()}
    if body:
        leads["requestBody"] = {name: f"$response.body#{place}" for name, place in body.items()}
    return leads


async def admit(rooms: Rooms, request: Request, permission: str) -> None:
    """Leave the key's asker in the request's state; raises `NotAuthenticated` or `NotPermitted`."""
    began = time.perf_counter()
    token = _token(request)
    await rooms.opened()
    known = await rooms.keys.find(token)
    check_permitted(rooms.kinds.get(known.key.workspace, ""), known.asker, permission)
    spoken_for = [value for name, value in request.headers.raw if name == SPEAKS_FOR]
    request.state.asker = await asker_of(rooms.home, rooms.keys, known, spoken_for, origin_of(request, rooms.proxies))
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

"""The HTTP application of a home: its routes, its layers, and what it does when it starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

import llmops
from server import (
    api_answers,
    api_audit,
    api_collections,
    api_documents,
    api_feedback,
    api_jobs,
    api_keys,
    api_search,
    api_sharing,
    health,
    metrics,
    openai_api,
    openai_embeddings,
    openai_models,
    openapi,
)
from server.errors import add_handlers
from server.health import Health
from server.middleware import Frame, KnownHosts
from server.rooms import Rooms

if TYPE_CHECKING:
    from llmops.home import Home

DOORS = (
    openai_api.door,
    openai_embeddings.door,
    openai_models.door,
    api_search.door,
    api_documents.door,
    api_jobs.door,
    api_collections.door,
    api_sharing.door,
    api_answers.door,
    api_feedback.door,
    api_keys.door,
    api_audit.door,
    metrics.door,
    health.door,
    openapi.door,
)


def make_app(home: Home, hosts: Collection[str] = (), on_alive: Callable[[], None] | None = None) -> FastAPI:
    """The application of `home`, which it closes when it stops.

    `hosts` are the only names that it answers to; none: any. `on_alive` is called every second once all is loaded.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = (rooms.load(), app.state.health.watch(on_alive), rooms.keys.note_forever())
        tasks = [asyncio.create_task(each) for each in running]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1)
        await rooms.close()

    rooms = Rooms(home)
    app = FastAPI(
        title="LLMOps", version=llmops.__version__, lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.rooms = rooms
    app.state.health = Health(rooms)
    add_handlers(app)
    for each in DOORS:
        each.hang(app)
    if hosts:
        app.add_middleware(KnownHosts, hosts=hosts)
    app.add_middleware(Frame, observe=metrics.observe_request)
    return app

"""Coroutines and async generators for callers that cannot await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


def iterate(source: AsyncGenerator[T, None], close: Callable[[], Awaitable[None]]) -> Iterator[T]:
    """What `source` yields, read by an event loop in a thread of its own: the caller's thread may have one that runs already.

    `close` is awaited in that loop at the end, to let go of what belongs to the loop. A caller that leaves early cancels
    the reading, and waits until it has ended. The loop reads ahead of a caller that is slow.
    """
    loop = asyncio.new_event_loop()
    pieces: SimpleQueue[tuple[T] | None] = SimpleQueue()

    async def read() -> None:
        try:
            async with aclosing(source):
                async for piece in source:
                    pieces.put((piece,))
        finally:
            await close()

    def run() -> None:
        try:
            loop.run_until_complete(asyncio.wait([reading]))
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
            pieces.put(None)

    reading = loop.create_task(read())
    thread = Thread(target=run, name="blocking", daemon=True)
    thread.start()
    try:
        while (piece := pieces.get()) is not None:
            yield piece[0]
    finally:
        with suppress(RuntimeError):  # the loop is closed: the reading has ended by itself
            loop.call_soon_threadsafe(reading.cancel)
        thread.join()
    reading.result()


def result_of(work: Coroutine[Any, Any, T], close: Callable[[], Awaitable[None]]) -> T:
    """What `work` returns; as `iterate`."""

    async def once() -> AsyncGenerator[T, None]:
        yield await work

    [result] = iterate(once(), close)
    return result

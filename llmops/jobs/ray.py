"""Work spread over a Ray cluster: one actor for each CPU, each of which holds a part and calls its methods.

A part is found by its name in the table of parts, kind `actors`, on the worker too: so nothing but a name, the part's
arguments and those of a call travel. Ray's own serialisation carries them; a cluster must be as trusted as this machine.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmops import plugins
from llmops.errors import LLMOpsError, Unavailable
from llmops.output import one_line
from llmops.scratch import prefix_of, sweep

if TYPE_CHECKING:
    from types import TracebackType

    from llmops.sections import RaySettings

RESTARTS = 3
"""How often Ray starts an actor again whose process died; its calls are made again, so they must bear that."""
STORE_BYTES = 256 * 2**20
_lock = threading.Lock()
_PREFIX = "llmops-ray-"
_users = 0
_folder = ""
_TOKEN = secrets.token_urlsafe(32)
"""Of the clusters that this process starts: Ray listens on every interface, and answers nobody who does not know it."""


class Actor:
    """What runs on a worker: the part, made there, and its methods."""

    def __init__(self, part: str, arguments: Mapping[str, Any]) -> None:
        self._part = plugins.find("actors", part)(**arguments)

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self._part, method)(*arguments)


class RayActors:
    """Actors that hold the part `part`, made with `arguments`. Started by the first `submit`; use it as a context manager.

    Every failure of Ray's own becomes `Unavailable` with a way out; what a part raises does too, so a part returns its refusals.
    """

    def __init__(self, settings: RaySettings, part: str, arguments: Mapping[str, Any]) -> None:
        self._settings, self._part, self._arguments = settings, part, dict(arguments)
        self._actors: list[Any] = []
        self._turn: Iterator[int] = itertools.count()
        self._open = False

    def __len__(self) -> int:
        self._start()
        return len(self._actors)

    def submit(self, method: str, *arguments: Any, to: int | None = None) -> Future[Any]:
        """Call a method on the actor whose turn it is, or on number `to`."""
        self._start()
        actor = self._actors[(next(self._turn) if to is None else to) % len(self._actors)]
        outcome: Future[Any] = Future()
        outcome.set_running_or_notify_cancel()

        def settle(call: Future[Any]) -> None:
            if (failure := call.exception()) is None:
                outcome.set_result(call.result())
            else:
                outcome.set_exception(_named(failure))

        actor.call.remote(method, *arguments).future().add_done_callback(settle)
        return outcome

    def __enter__(self) -> RayActors:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._open:
            import ray

            for actor in self._actors:
                ray.kill(actor)
            self._actors, self._open = [], False
            _leave()

    def _start(self) -> None:
        if self._actors:
            return
        _join(self._settings)
        self._open = True
        import ray

        count = self._settings.workers or int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
        made = ray.remote(Actor).options(num_cpus=1, max_restarts=RESTARTS, max_task_retries=RESTARTS)
        self._actors = [made.remote(self._part, self._arguments) for _ in range(count)]


def _join(settings: RaySettings) -> None:
    """Be connected to the cluster, or start one for this process; two jobs at once share it."""
    global _users, _folder
    if not settings.address:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=_TOKEN)  # Ray reads them when it is imported
    else:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # it would look for a quarter of an hour for a cluster that is not there
    try:
        with _signals_kept():
            import ray
    except ImportError:
        raise Unavailable("the engine `ray` needs the extra `ray`", hint="pip install 'llmops[ray]'") from None
    with _lock:
        if not _users:
            where: dict[str, Any] = {"address": settings.address}
            if not settings.address:
                sweep(_PREFIX)
                _folder = tempfile.mkdtemp(prefix=prefix_of(_PREFIX))  # not below the home: a path of a socket must be short
                where = {"address": "local", "num_cpus": settings.workers or None, "include_dashboard": False}
                where |= {"object_store_memory": STORE_BYTES, "_temp_dir": _folder, "_node_ip_address": "127.0.0.1"}
            try:
                with _signals_kept():
                    ray.init(log_to_driver=False, configure_logging=False, **where)
            except Exception as failure:
                ray.shutdown()
                shutil.rmtree(_folder, ignore_errors=True)
                raise _not_joined(settings.address, failure) from failure
        _users += 1


def _leave() -> None:
    global _users
    import ray

    with _lock:
        _users -= 1
        if not _users:
            ray.shutdown()
            shutil.rmtree(_folder, ignore_errors=True)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM over, by which the server tells its worker to put its jobs back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _not_joined(address: str, failure: Exception) -> LLMOpsError:
    said = one_line(str(failure))[:300]
    if not address:
        return Unavailable(f"no Ray cluster can be started here: {said}", hint="set [ray] address to one that runs, or leave --engine out")
    if "ersion mismatch" in said:
        return Unavailable(f"the Ray cluster at {address!r} has other versions: {said}", hint="install the same Python, Ray and llmops everywhere")
    return Unavailable(f"no Ray cluster at {address!r}: {said}", hint='check [ray] address; "" starts a cluster here for the job')


def _named(failure: BaseException) -> LLMOpsError:
    from ray.exceptions import RayActorError, RayTaskError

    said = one_line(str(failure))[-300:]
    again = "`llmops jobs retry JOB` goes on where it stopped"
    if isinstance(failure, RayTaskError):
        return Unavailable(f"a Ray worker failed: {one_line(str(failure.cause))[:300] if failure.cause else said}", hint=again)
    if isinstance(failure, RayActorError):
        return Unavailable(f"a Ray worker died, or could not start: {said}", hint=f"look for memory and for llmops on the workers; {again}")
    return Unavailable(f"the Ray cluster failed: {said}", hint=again)

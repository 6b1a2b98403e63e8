"""A real server for the tests of this folder: one for the whole run, and a way to start others."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI

from llmops.access import keys
from llmops.home import Home
from llmops.settings import Settings
from llmops.store.store import Store
from llmops.testing import FaultyProvider
from llmops.types import Asker
from server.app import DOORS, make_app
from server.door import DoorRoute

LLMOPS = str(Path(sys.executable).parent / "llmops")
FAULTS = ["ok", "cut:4", "error:4", "malformed:4", "stall:4", "silent", "500", "400", "slow:30", "slow:400"]
GUIDE = """# Starting and stopping the server

`llmops serve` starts the server on port 8000. Press Ctrl-C to stop the server; it drains for at most 15 seconds.

## Keys

Every request needs a key. `llmops keys create` makes a key and shows it once.
"""
GUIDE_JA = "# サーバーの起動と停止\n\nサーバーを起動するには `llmops serve` を実行します。サーバーを停止するには Ctrl-C を押します。\n"


@dataclass
class Server:
    """A running `llmops serve` and how to speak to it."""

    folder: Path
    process: subprocess.Popen[str]
    url: str
    store_url: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / ".llmops"

    def client(self, role: str = "admin", **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keys[role]}"} if role else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False, **options)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Its store, opened beside it."""
        address = {"LLMOPS__STORE__URL": self.store_url} if self.store_url else {}
        with Home(Settings.load(environ={"LLMOPS_HOME": str(self.home), **address})) as home:
            yield home.store

    def children(self, name: str = "") -> list[psutil.Process]:
        """Its children, or those that were started as `name`: http or worker."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        with suppress(psutil.NoSuchProcess):  # one may have ended just now
            return [child for child in found if child.status() != psutil.STATUS_ZOMBIE and (not name or name in child.cmdline())]
        return []

    def ready(self) -> dict[str, Any] | None:
        """What /readyz says when it is 503; None when all is well."""
        reply = httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False)
        return None if reply.status_code == 200 else reply.json()

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)


def wait_until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true value of `condition`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"not so within {seconds} s"
        time.sleep(0.05)
    return value


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMOPS_") or name == "LLMOPS_CACHE"}
    return {**kept, "LLMOPS_HOME": str(folder / ".llmops"), "HF_HUB_OFFLINE": "1"}


def start_server(folder: Path, *options: str, wait: bool = True) -> Server:
    """`llmops serve --port 0` in `folder`, once it says where it is."""
    command = [LLMOPS, "serve", "--json", *(options or ("--port", "0"))]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=(folder / "stderr").open("a"), text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (folder / "stderr").read_text()
    server = Server(folder, process, json.loads(line)["url"])
    if wait:
        wait_until(lambda: server.ready() is None)
    return server


def make_key(folder: Path, name: str, role: str, workspace: str = "poc", **options: Any) -> str:
    """A key of the home in `folder`, whose store is made where there is none yet."""
    file = folder / "llmops.toml"
    with Home(Settings.load(file if file.exists() else None, environ={"LLMOPS_HOME": str(folder / ".llmops")})) as home:
        return home.store.write(lambda c: keys.create(c, Asker(workspace, owner=True), keys.Wanted(name, role, **options))).key


@contextmanager
def running_provider(*tokens: str) -> Iterator[FaultyProvider]:
    """A model's provider on loopback, with faults by model name, in a thread of its own."""
    started: threading.Event = threading.Event()
    faulty = FaultyProvider(*tokens)
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def run() -> None:
        async with faulty:
            started.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert started.wait(10)
    yield faulty
    loop.call_soon_threadsafe(over.set)
    thread.join(10)


@pytest.fixture(scope="session")
def provider() -> Iterator[FaultyProvider]:
    with running_provider("Stop", " it.", " Then", " wait", ".") as faulty:
        yield faulty


@pytest.fixture(scope="session")
def citing() -> Iterator[FaultyProvider]:
    """A model that cites as it likes: right, several at once, none that there is, in Japanese, and on what was not asked."""
    replies = ["Press Ctrl-C to stop the server.", " [1] It drains for at most 15", " seconds [1][2].", " Ctrl-C を押します。[2]"]
    replies += [" The moon is made of cheese. [42]", " `llmops keys create`", " makes a key and shows it once.", " So it is [0, 1, 99]."]
    with running_provider(*replies) as model:
        yield model


def configuration(provider: FaultyProvider, citing: FaultyProvider | None = None, **server: float) -> str:
    """An llmops.toml with a route and a chain for each fault, and one for the model that cites."""
    lines = ["[mlflow]", 'tracking_uri = "off"', "[server]", *(f"{name} = {value}" for name, value in server.items())]
    places = [(fault.replace(":", "-"), fault, provider.url) for fault in FAULTS]
    for name, model, url in [*places, *([("citing", "ok", citing.url)] if citing else [])]:
        lines += ["[[routes]]", f'name = "route-{name}"', "timeouts = { stall = 60, first_token = 60, attempt = 100 }"]
        lines += ["[[routes.targets]]", 'provider = "openai"', f'model = "{model}"', f'base_url = "{url}"']
        lines += ["[[chains]]", f'name = "rag-{name}"', f'route = "route-{name}"']
    return "\n".join(lines)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, provider: FaultyProvider, citing: FaultyProvider) -> Iterator[Server]:
    """A server with a small collection `docs`, and keys: `alice` reads all of it, `eve` writes and reads less, `other` is of another workspace."""
    with serving_docs(tmp_path_factory.mktemp("live"), configuration(provider, citing, max_body_mb=1, max_upload_mb=2)) as server:
        yield server


@contextmanager
def serving_docs(folder: Path, toml: str, store_url: str = "") -> Iterator[Server]:
    (folder / "llmops.toml").write_text(toml + (f'\n[store]\nurl = "{store_url}"\n' if store_url else ""))
    keys = {role: make_key(folder, role, role) for role in ("admin", "application")}
    keys["other"] = make_key(folder, "other", "admin", workspace="dev")
    keys["alice"] = make_key(folder, "alice", "data-scientist", user="alice", groups=["hr"])
    keys["eve"] = make_key(folder, "eve", "data-engineer", user="eve")
    server = start_server(folder)
    server.keys, server.store_url = keys, store_url
    with server.client() as client:
        texts = [("serve.md", GUIDE, None), ("serve.ja.md", GUIDE_JA, None)]
        texts += [("pay.md", "# Pay\n\nThe salary of the director is 100 gold coins a year.\n", ["group:hr"])]
        documents = [{"external_id": name, "text": text, "acl": acl, "metadata": {"page": n}} for n, (name, text, acl) in enumerate(texts)]
        finished(client, client.post("/api/v1/documents", json={"collection": "docs", "documents": documents}))
    yield server
    assert server.stop() == 0
    assert "Traceback" not in (folder / "stderr").read_text()


def finished(client: httpx.Client, accepted: httpx.Response) -> dict[str, Any]:
    """The job that was accepted, once it is over."""
    assert accepted.status_code == 202, accepted.text
    job_id = accepted.json()["id"]
    return wait_until(lambda: (job := client.get(f"/api/v1/jobs/{job_id}").json())["state"] in ("done", "failed", "cancelled") and job, 90)


def events(lines: Iterator[str]) -> Iterator[Any]:
    """The data of server-sent events; `[DONE]` as it stands."""
    for line in lines:
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


# --- The application in this process, without a server ------------------------------------------------------------------

Client = httpx.AsyncClient


@pytest.fixture
async def app(home: Home) -> FastAPI:
    """The application with everything loaded and nothing in the background."""
    app = make_app(home)
    await app.state.rooms.load()
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[Client]:
    async with Client(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def key(home: Home) -> Callable[..., str]:
    def make(role: str = "admin", workspace: str = "poc", **options: Any) -> str:
        wanted = keys.Wanted(f"{role}-{time.monotonic_ns()}", role, **options)
        return home.store.write(lambda c: keys.create(c, Asker(workspace, owner=True), wanted)).key

    return make


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def routes() -> list[DoorRoute]:
    return [route for door in DOORS for route in door.routes]

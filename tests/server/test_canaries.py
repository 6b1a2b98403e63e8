"""Secrets are put wherever one may stand, every class of error is forced, and then everything that is kept or said is searched for them."""

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from llmops import plugins
from llmops.access import audit
from llmops.home import Home
from llmops.jobs import rows, run
from llmops.logs import RedactingFilter
from llmops.redact import know
from llmops.types import Asker
from tests.conftest import OWNER, postgres_database
from tests.server.conftest import (
    GUIDE,
    LLMOPS,
    Client,
    Server,
    bearer,
    environment,
    finished,
    make_key,
    routes,
    running_provider,
    start_server,
    wait_until,
)

PROVIDER = "CanaryProvider/Key+7f3a="
STORE = "CanaryStore:pw/9c"
TOKEN = "llmops_0123456789abcdef_CanaryAuthorization5d"
BEARER = "CanaryAuthorizationOfNoKnownShape"
QUERY = "CanaryQueryOfNoKnownShape"
QUESTION = "CanaryQuestionOfNoKnownShape"
SECRETS = {"provider": PROVIDER, "store": STORE, "token": "CanaryAuthorization5d", "bearer": BEARER, "query": QUERY}


def leaks(text: str | bytes, *more: str) -> list[str]:
    """Which canaries stand in a text, in any spelling."""
    given = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return [name for name, secret in [*SECRETS.items(), *((one, one) for one in more)] for spelling in spellings(secret) if spelling in given]


def spellings(secret: str) -> set[str]:
    """Plain, as in a URL, as in JSON, and in base64 behind anything: two letters at each end depend on what stands beside."""
    packed = [base64.b64encode(before + secret.encode() + after) for before in (b"", b"u", b"us") for after in (b"", b"@")]
    return {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], *(one.decode().rstrip("=")[4:-4] for one in packed)}


@pytest.fixture
def serving(tmp_path: Path, postgres_server: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, str]]:
    """A server on PostgreSQL, with routes that fail in every way, and the store's URL without a secret."""
    monkeypatch.setenv("CANARY_KEY", PROVIDER)
    with running_provider("An", " answer.") as provider, postgres_database(postgres_server) as plain:
        url = plain.replace("postgres:@", f"postgres:{quote(STORE, safe='')}@")
        assert url != plain
        lines = [f'[store]\nurl = "{url}"\nbusy_seconds = 1']
        for status in (400, 401, 403, 404, 422, 500, 503):
            lines += [f'[[routes]]\nname = "r{status}"\n[[routes.targets]]\nprovider = "openai"\nmodel = "{status}"']
            lines += [f'base_url = "{provider.url}"\napi_key_env = "CANARY_KEY"']
            lines += [f'[[chains]]\nname = "c{status}"\nroute = "r{status}"']
        (tmp_path / "llmops.toml").write_text("\n".join(lines))
        key = make_key(tmp_path, "admin", "admin")
        server = start_server(tmp_path)
        server.keys, server.store_url = {"admin": key}, plain
        yield server, plain
        server.stop()


def test_t12_t13_no_secret_is_in_anything_that_is_said_or_kept(serving: tuple[Server, str]) -> None:
    server, plain = serving
    with server.client() as client:
        finished(client, client.post("/api/v1/documents", json={"collection": "docs", "documents": [{"external_id": "g.md", "text": GUIDE}]}))
        replies = [*_failures(client), *_strangers(server.url)]
        with httpx.Client(base_url=server.url, headers=client.headers) as metrics:
            measured = metrics.get("/metrics").text
        for path in ("/api/v1/jobs", "/openapi.json", "/readyz"):
            replies.append(client.get(path))
        wait_until(lambda: _rows(plain, "select count(*) from outbox") == ["(0,)"], 60)  # all traces are in MLflow
        replies += _without_a_store(client, plain, server)
    statuses = {reply.status_code for reply in replies}
    assert {400, 401, 404, 405, 422, 502, 503} <= statuses, statuses
    for reply in replies:
        assert not leaks(reply.text + str(reply.headers)), reply.text
        if reply.status_code >= 400:
            assert QUESTION not in reply.text
    assert not leaks(measured, QUESTION)
    kept = [line for table in ("audit", "jobs", "outbox", "keys") for line in _rows(plain, f"select * from {table}")]
    assert kept and not leaks("\n".join(kept), QUESTION)
    told = _rows(plain, "select error, parameters from answers where error is not null")
    assert len(told) >= 7 and not leaks("\n".join(told), QUESTION)
    traces = server.home / "mlflow.db"
    assert b"provider_refused" in traces.read_bytes() and not leaks(traces.read_bytes()), "failed answers are traced with the codes of their errors"
    said = (server.folder / "stderr").read_text()
    assert "request " in said and not leaks(said, QUESTION)


def _failures(client: httpx.Client) -> list[httpx.Response]:
    """Every class of error that a key can meet, with a canary in the question and in the query string."""
    question = [{"role": "system", "content": f"The password is {QUESTION}."}, {"role": "user", "content": "How do I stop the server?"}]
    replies = []
    for status in (400, 401, 403, 404, 422, 500, 503):
        for model in (f"r{status}", f"c{status}"):
            replies.append(client.post("/v1/chat/completions", json={"model": model, "messages": question}))
        replies.append(client.post(f"/v1/chat/completions?api_key={QUERY}", json={"model": f"r{status}", "messages": question, "stream": True}))
    nothing = {"collection": "nothing", "query": QUESTION}
    replies += [client.post("/api/v1/search", json=nothing), client.post("/api/v1/search", json={**nothing, "k": -1})]
    replies += [client.get(f"/api/v1/jobs/x?key={QUERY}"), client.put(f"/v1/models?{QUERY}"), client.post("/api/v1/search", content=QUESTION)]
    address = {"external_id": "x", "url": f"http://user:{QUERY}@127.0.0.1/?token={QUERY}"}
    replies.append(client.post("/api/v1/documents", json={"collection": "docs", "documents": [address]}))
    assert all(reply.status_code >= 400 for reply in replies), [reply.text for reply in replies if reply.status_code < 400]
    return replies


def _strangers(url: str) -> list[httpx.Response]:
    given = [f"Bearer {TOKEN}", f"Bearer {BEARER}", BEARER, f"Basic {base64.b64encode(f'u:{BEARER}'.encode()).decode()}"]
    with httpx.Client(base_url=url, trust_env=False) as client:
        return [client.get(f"/v1/models?api_key={QUERY}", headers={"Authorization": one, "X-Api-Key": BEARER, "Cookie": BEARER}) for one in given]


def _without_a_store(client: httpx.Client, plain: str, server: Server) -> list[httpx.Response]:
    """What the server and the command line say while the database has another name."""
    url = make_url(plain)
    here, away = str(url.database), f"{url.database}_away"
    maintenance = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(maintenance, autocommit=True) as connection:
        _rename(connection, here, away)
        try:
            replies = [client.get("/api/v1/jobs"), client.post("/api/v1/search", json={"collection": "docs", "query": "x"})]
            for options in ([], ["--debug"]):
                command = [LLMOPS, "search", "stop", "--collection", "docs", *options]
                done = subprocess.run(command, cwd=server.folder, env=environment(server.folder), capture_output=True, text=True)
                assert done.returncode == 3 and not leaks(done.stdout + done.stderr), done.stderr
        finally:
            _rename(connection, away, here)
    return replies


def _rename(connection: psycopg.Connection[Any], old: str, new: str) -> None:
    """However busy it is: whoever is connected is thrown out, until nobody came back in between."""
    for _ in range(100):
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (old,))
        try:
            connection.execute(f"alter database {old} rename to {new}")
        except psycopg.errors.ObjectInUse:
            continue
        return
    raise AssertionError(f"{old} is never free")


def _rows(url: str, statement: str) -> list[str]:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return [str(row) for row in connection.execute(statement).fetchall()]


# --- What no client can force -------------------------------------------------------------------------------------------


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What this process logs, as `log_to_stderr` would write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


async def test_t12_a_failure_that_nobody_foresaw_tells_no_secret(
    client: Client, key: Callable[..., str], log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(PROVIDER)

    async def broken(**_: Any) -> None:
        raise RuntimeError(f"key {PROVIDER}, postgresql://u:{quote(STORE, safe='')}@h/db, Authorization: Bearer {TOKEN}, /x?token={QUERY}")

    [collections] = [route for route in routes() if route.path == "/api/v1/collections" and route.methods == {"GET"}]
    monkeypatch.setattr(collections.dependant, "call", broken)
    reply = await client.get(f"/api/v1/collections?token={QUERY}", headers=bearer(key()))
    assert reply.status_code == 500 and not leaks(reply.text)
    assert "RuntimeError" in log.getvalue() and not leaks(log.getvalue())


def test_t12_a_job_that_fails_and_what_is_audited_tell_no_secret(home: Home, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    know(PROVIDER)
    monkeypatch.setattr(run, "RETRY_AFTER", ())
    kept = "key " + PROVIDER + " in base64 " + base64.b64encode(PROVIDER.encode()).decode()

    def fail(*_: object) -> None:
        raise RuntimeError(kept)

    plugins.register("jobs", "canary")(fail)
    job_id = home.store.write(lambda c: rows.enqueue(c, "canary", "poc", "owner", {}))
    job = home.store.write(lambda c: rows.claim(c, "test"))
    assert job is not None
    run.run(home, job)
    home.store.write(lambda c: audit.record(c, Asker("poc", name=kept, origin=kept), "test", kept, {"why": kept}))
    failed = home.store.read(lambda c: rows.require(c, "poc", job_id))
    entries = home.store.read(lambda c: audit.entries(c, "poc"))
    assert "[redacted]" in str(entries) and not leaks(str(entries))
    assert failed.state == "failed" and "[redacted]" in str(failed.error) and not leaks(str(failed.shown_to(OWNER)))
    assert "RuntimeError" in log.getvalue() and not leaks(log.getvalue())

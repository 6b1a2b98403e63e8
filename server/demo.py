"""`make demo`: this project's own pages as documents, a server that stays up, and two cited answers; `make stop` ends it.

Everything it does, a user could do with the commands that it prints.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from llmops.errors import LLMOpsError, NotAuthenticated, Unavailable
from llmops.settings import Settings
from server.listen import holder_of

ROOT = Path(__file__).parent.parent
QUESTIONS = ("How do I stop the server?", "サーバーを停止するにはどうすればよいですか？")
PORT = 8000
NOTE = "demo.json"
PATIENCE = 120.0
"""Seconds for the server to become ready; the first time it makes the encoder's int8 form."""
LEAVING = 20.0
"""Seconds for the server to end."""


def main() -> int:
    """Run the demo, or with `--stop` end its server. Returns the exit code."""
    home = Settings.load().home
    try:
        if sys.argv[1:] == ["--stop"]:
            return stop(home)
        return demo(home)
    except LLMOpsError as failure:
        click.echo(f"error: {failure}\nhint: {failure.hint}", err=True)
        return failure.exit_code


def demo(home: Path) -> int:
    """Documents, server, key, two questions. A server of this home that is not the demo's is asked, and left as it is."""
    own = _end_server(home)
    others = holder_of(home)
    _run("ingest", str(ROOT / "docs"), "--collection", "docs", "--prune")
    if others is None:
        port = _free_port(own or PORT)
        pid = _start(home, port)
        url = f"http://127.0.0.1:{port}"
    else:
        pid, url = 0, others.url
        port = int(url.rpartition(":")[2])
        click.echo(f"\nA server of this home runs already, at {url}: the demo asks it and leaves it running.")
    name, key = _key(home)
    _note(home, {"url": url, "name": name, "key": key, "port": port, "pid": pid})
    for question in QUESTIONS:
        click.echo(f"\n❓ {question}")
        _tell(asyncio.run(_ask(url, key, question)))
    click.echo(f"\nThe server stays up at {url}; `make stop` ends it. Address and key are in {os.path.relpath(home / NOTE)}:")
    click.echo(f"  KEY=$({os.path.relpath(sys.executable)} -c \"import json; print(json.load(open('{os.path.relpath(home / NOTE)}'))['key'])\")")
    click.echo(f'  curl {url}/v1/chat/completions -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\')
    click.echo("""    -d '{"model": "rag", "messages": [{"role": "user", "content": "What is a snapshot?"}]}'""")
    return 0


def stop(home: Path) -> int:
    """End the demo's server, if it runs, and revoke the demo's key."""
    click.echo("the server has ended" if _end_server(home) else "the demo's server does not run")
    if others := holder_of(home):
        click.echo(f"a server that is not the demo's runs at {others.url}; it stays")
    if name := _noted(home).get("name"):
        try:
            _run("keys", "revoke", name, shown=False)
        except Unavailable as failure:
            click.echo(f"the demo's key {name!r} was not revoked: {failure.hint}", err=True)
    (home / NOTE).unlink(missing_ok=True)
    return 0


def _end_server(home: Path) -> int | None:
    """End the server that an earlier demo started. Returns its port; None where it does not run."""
    noted, holder = _noted(home), holder_of(home)
    if holder is None or holder.pid != noted.get("pid"):
        return None
    os.kill(holder.pid, signal.SIGTERM)
    until = time.monotonic() + LEAVING
    while holder_of(home) is not None:
        if time.monotonic() > until:
            raise Unavailable(f"the server with pid {holder.pid} does not end", hint=f"kill -9 {holder.pid}; nothing that was acknowledged is lost")
        time.sleep(0.1)
    return int(noted["port"])


def _key(home: Path) -> tuple[str, str]:
    """Name and key: those of the last demo, if they still open something, else new ones."""
    from llmops.access.keys import authenticate
    from llmops.home import Home

    noted = _noted(home)
    with Home(Settings.load()) as opened, suppress(NotAuthenticated, KeyError):
        opened.store.read(lambda connection: authenticate(connection, noted["key"]))
        return noted["name"], noted["key"]
    made = json.loads(_run("keys", "create", f"demo-{secrets.token_hex(3)}", "--role", "admin", "--json", shown=False))
    return made["name"], made["key"]


def _run(*arguments: str, shown: bool = True) -> str:
    """Run a command of `llmops` as a user would; its output is shown, with the command above it."""
    if shown:
        click.echo(f"$ llmops {' '.join(os.path.relpath(part) if part.startswith('/') else part for part in arguments)}")
    quiet = None if shown else subprocess.PIPE
    done = subprocess.run([*_llmops(), *arguments], stdout=subprocess.PIPE, stderr=quiet, text=True)  # noqa: S603
    if done.returncode:
        raise Unavailable(f"`llmops {arguments[0]}` failed", hint=(done.stderr or "its message is above").strip())
    if shown:
        click.echo(done.stdout.rstrip())
    return done.stdout


def _llmops() -> list[str]:
    return [sys.executable, "-P", "-m", "llmops"]


def _free_port(wanted: int) -> int:
    """The wanted port, or a free one where another program has it."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            free = int(probe.getsockname()[1])
            if free != wanted:
                click.echo(f"\nAnother program has port {wanted}; the server takes {free}.")
            return free
    raise Unavailable("no free port", hint="stop another server")


def _start(home: Path, port: int) -> int:
    """Start the server in the background and wait until it is ready; returns its process."""
    click.echo(f"\n$ llmops serve --port {port} &")
    log = home / "server.log"
    with log.open("ab") as out:
        server = subprocess.Popen(  # noqa: S603
            [*_llmops(), "serve", "--port", str(port)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    until = time.monotonic() + PATIENCE
    while asyncio.run(_status(f"http://127.0.0.1:{port}/readyz")) != 200:
        if server.poll() is not None or time.monotonic() > until:
            raise Unavailable("the server did not become ready", hint=f"see {log}")
        time.sleep(0.2)
    return server.pid


def _noted(home: Path) -> dict[str, Any]:
    """What the last demo wrote down."""
    with suppress(OSError, ValueError):
        values = json.loads((home / NOTE).read_text(encoding="utf-8"))
        return values if isinstance(values, dict) else {}
    return {}


def _note(home: Path, values: dict[str, Any]) -> None:
    """Write down how to reach the server; it holds a key, so only its owner may read it."""
    file = home / NOTE
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(values, out)


async def _status(url: str) -> int:
    """The status of a page; 0 where nothing answers."""
    from llmops.outbound import Http

    http = Http()
    try:
        async with http.get(url, connect=1) as reply:
            return reply.status
    except LLMOpsError:
        return 0
    finally:
        await http.aclose()


async def _ask(url: str, key: str, question: str) -> dict[str, Any]:
    from llmops.outbound import Http

    http = Http()
    body = json.dumps({"model": "rag", "messages": [{"role": "user", "content": question}]}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        async with http.post(f"{url}/v1/chat/completions", body=body, headers=headers, connect=5) as reply:
            answer: dict[str, Any] = json.loads(await reply.read(1 << 20))
    finally:
        await http.aclose()
    if "error" in answer:
        raise Unavailable(answer["error"]["message"], hint=answer["error"]["hint"])
    return answer


def _tell(answer: dict[str, Any]) -> None:
    """Print an answer and what it rests on. One that rests on nothing is a failure of the demo."""
    if answer["llmops"]["abstained"] or not answer["llmops"]["citations"]:
        raise Unavailable("the demo's answer cites nothing", hint="are these the project's own pages, and is the route `default` the one that ships?")
    click.echo(answer["choices"][0]["message"]["content"])
    for line in dict.fromkeys(
        f"   [{c['marker']}] {c['source']}/{c['external_id']}, characters {c['start']}–{c['end']}" for c in answer["llmops"]["citations"]
    ):
        click.echo(line)


if __name__ == "__main__":
    sys.exit(main())

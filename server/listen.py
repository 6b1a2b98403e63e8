"""What a server takes before it starts: the home's server lock and the socket. Both fail with one clear error."""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from llmops.errors import Conflict, InvalidInput
from llmops.flock import ALONE, SHARED, try_flock
from llmops.home import make_home

LOCK_NAME = "serve.lock"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@contextmanager
def server_lock(home: Path) -> Iterator[Path]:
    """Hold the lock that keeps a second server off this home; yields its file. `Conflict` names who holds it."""
    make_home(home)
    file = home / LOCK_NAME
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not try_flock(descriptor, ALONE):
        os.close(descriptor)
        raise Conflict(f"a server already serves this home: {_holder(file)}", hint="stop it first, or set LLMOPS_HOME to another folder")
    os.ftruncate(descriptor, 0)  # a former holder's number must not be taken for ours
    try:
        yield file
    finally:
        os.close(descriptor)


def note_holder(file: Path, url: str) -> None:
    """Write into the lock's file who holds it."""
    file.write_text(json.dumps({"pid": os.getpid(), "url": url}), encoding="utf-8")


class Holder(NamedTuple):
    """The server of a home: its process, and where it listens."""

    pid: int
    url: str


def holder_of(home: Path) -> Holder | None:
    """Who serves a home; None where nobody does, or it is just starting."""
    file = home / LOCK_NAME
    try:
        with file.open("rb") as opened:
            if try_flock(opened.fileno(), SHARED):
                return None
    except FileNotFoundError:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(file.read_text(encoding="utf-8"))
        return Holder(int(noted["pid"]), str(noted["url"]))
    return None


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, on which nobody listens yet. Port 0 takes a free one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError):
        raise InvalidInput(f"no such host: {host!r}", hint="--host takes an address of this machine, as 127.0.0.1 or 0.0.0.0") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as failure:
        listener.close()
        if failure.errno == errno.EADDRINUSE:
            raise Conflict(f"port {port} of {host} is in use", hint="choose another with --port, or 0 for any free one") from None
        raise InvalidInput(f"cannot listen on {host} port {port}: {failure.strerror}", hint="choose another with --host and --port") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """The address under which a client on this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def known_hosts(listener: socket.socket, configured: Collection[str]) -> frozenset[str]:
    """The host names to answer to: on loopback only its own names and the configured ones; elsewhere any, unless some are configured."""
    if not configured and not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        return frozenset()
    return LOOPBACK | frozenset(configured)


def _holder(file: Path) -> str:
    try:
        holder = json.loads(file.read_text(encoding="utf-8"))
        return f"pid {holder['pid']}, {holder['url']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it is just starting"

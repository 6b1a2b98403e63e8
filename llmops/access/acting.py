"""In whose name a command acts: the owner of the home, or a key's where `LLMOPS_KEY` holds one."""

from __future__ import annotations

import getpass
import os
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from llmops.access import keys
from llmops.access.principals import named, parse_principals
from llmops.access.roles import ADMIN
from llmops.access.rows import mark_used
from llmops.errors import NotAuthenticated, NotPermitted
from llmops.types import Asker

if TYPE_CHECKING:
    from llmops.store.store import Store

VARIABLE = "LLMOPS_KEY"


def owner(workspace: str) -> Asker:
    """The person at the machine: sees every document, and may do what the role `admin` may."""
    return Asker(workspace, owner=True, role=ADMIN, origin=_here())


def owner_as(workspace: str, principals: str) -> Asker:
    """The owner, seeing exactly what these principals may read."""
    parsed = parse_principals(principals)
    return replace(owner(workspace), owner=False, principals=parsed, name=f"owner as {named(parsed)}")


def require_owner(permission: str) -> None:
    """Raise `NotPermitted` where a key acts: what concerns the whole home is for its owner."""
    if VARIABLE in os.environ:
        raise NotPermitted(f"a key lacks the permission {permission}, which the owner of the home alone has", hint=f"unset {VARIABLE}")


def key_holder(store: Store, token: str, workspace: str | None, principals: str | None) -> Asker:
    """The asker of a key, or of those whom it speaks for. A workspace that is named must be the key's own."""
    try:
        key = store.read(lambda connection: keys.authenticate(connection, token))
    except NotAuthenticated as failure:
        raise NotAuthenticated(str(failure), hint=f"{VARIABLE} holds it; unset it to act as the owner, or put a good key into it") from None
    store.write(lambda connection: mark_used(connection, {key.id: time.time()}), durable=False)
    if workspace not in (None, key.workspace):
        raise NotPermitted(f"the key {key.name!r} is one of workspace {key.workspace!r}", hint=f"leave --workspace out, or unset {VARIABLE}")
    return key.asker(_here()) if principals is None else key.asker_as(parse_principals(principals), _here())


def _here() -> str:
    """Who calls a command, and on which machine."""
    try:
        return f"cli {getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # no such user, as in a container
        return f"cli {socket.gethostname()}"

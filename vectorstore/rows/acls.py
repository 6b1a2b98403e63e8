"""Access lists: sets of principals, each kept once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, select

from llmops.access.principals import parse_principal, principal
from llmops.errors import InvalidInput
from llmops.settings import canonical
from llmops.store.upsert import upsert
from vectorstore.tables import acl_principals, acls

MOST_PRINCIPALS = 1000


def parse_acl(principals: Iterable[str], workspace: str) -> list[str]:
    """The principals of an access list in a workspace, checked and sorted. An empty list means nobody but the owner."""
    try:
        found = sorted({parse_principal(name) for name in principals})
        if other := next((name for name in found if name.startswith("workspace:") and name != principal("workspace", workspace)), ""):
            hint = f"write workspace:{workspace} for all of it; a promotion turns that into the other workspace's name"
            raise InvalidInput(f"nobody in workspace {workspace!r} is {other}", hint=hint)
        if len(found) > MOST_PRINCIPALS:
            raise InvalidInput(f"an access list of {len(found):,} principals", hint=f"at most {MOST_PRINCIPALS:,}; make groups of them")
        return found
    except InvalidInput as wrong:
        raise InvalidInput(str(wrong), hint=wrong.hint, param="acl") from None


def workspace_only(workspace: str) -> list[str]:
    """The access list of what nobody said more of: its whole workspace."""
    return [principal("workspace", workspace)]


def intern(connection: Connection, principals: list[str]) -> str:
    """The id of an access list; it is written down the first time it is seen."""
    acl_id = id_of(principals)
    if connection.execute(select(acls.c.id).where(acls.c.id == acl_id)).first() is None:
        connection.execute(upsert(connection, acls).values(id=acl_id, principals=principals).on_conflict_do_nothing())
        let_find(connection, acl_id, principals)
    return acl_id


def id_of(principals: list[str]) -> str:
    """The id of a list of these principals, sorted."""
    return hashlib.sha256(canonical(principals).encode()).hexdigest()[:32]


def let_find(connection: Connection, acl_id: str, principals: list[str]) -> None:
    """Let a search find an access list by those whom it names."""
    if principals:
        rows = [{"acl_id": acl_id, "principal": principal} for principal in principals]
        connection.execute(upsert(connection, acl_principals).on_conflict_do_nothing(), rows)


def names_any(connection: Connection, acl_id: str, principals: Iterable[str]) -> bool:
    """Whether an access list names one of these principals."""
    wanted = acl_principals.c.principal.in_(sorted(principals)) & (acl_principals.c.acl_id == acl_id)
    return connection.execute(select(acl_principals.c.acl_id).where(wanted).limit(1)).first() is not None


def readable(connection: Connection, acl_ids: Iterable[str], principals: Iterable[str]) -> set[str]:
    """Which of these access lists name one of the principals."""
    wanted = acl_principals.c.principal.in_(sorted(principals)) & acl_principals.c.acl_id.in_(sorted(set(acl_ids)))
    return set(connection.execute(select(acl_principals.c.acl_id).where(wanted).distinct()).scalars())


def principals(connection: Connection, acl_id: str) -> list[str]:
    """Whom an access list names."""
    return list(connection.execute(select(acls.c.principals).where(acls.c.id == acl_id)).scalar_one())


def moved(connection: Connection, acl_id: str, source: str, target: str) -> str:
    """The access list as it reads in another workspace: for who was of the one it is for who is of the other."""
    before = principals(connection, acl_id)
    return intern(connection, sorted({principal("workspace", target) if name == principal("workspace", source) else name for name in before}))

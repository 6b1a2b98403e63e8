"""Roles and principals."""

from __future__ import annotations

import pytest

from llmops.access.principals import parse_principals, principals_of
from llmops.access.roles import KINDS, PERMISSIONS, ROLES, check_permitted, permits
from llmops.errors import InvalidInput, NotPermitted, UnknownName
from llmops.types import Asker


@pytest.mark.parametrize("kind", KINDS)
def test_an_application_chats_searches_and_gives_feedback_and_nothing_else(kind: str):
    allowed = {"chat:use", "search:use", "feedback:write"}
    assert {p for p in PERMISSIONS if permits(kind, "application", p)} == (set() if kind == "pipeline" else allowed)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_audit_and_retention_are_the_admins(kind: str):
    for permission in ("keys:manage", "audit:read", "retention:run"):
        assert [role for role in ROLES.values() if permits(kind, role, permission)] == ["admin"]


def test_in_poc_people_read_and_ingest_and_an_admin_and_an_ml_engineer_promote():
    everybody = set(ROLES.values()) - {"application"}
    for permission in ("documents:read", "documents:write", "search:use", "chat:use"):
        assert everybody <= PERMISSIONS[permission]["poc"]
    assert PERMISSIONS["promotion:send"]["poc"] == {"admin", "ml-engineer"}


def test_in_prod_nobody_changes_a_document_by_hand():
    assert not PERMISSIONS["documents:write"]["prod"] and not PERMISSIONS["collections:write"]["prod"]
    assert "ml-engineer" in PERMISSIONS["promotion:receive"]["prod"]
    for role in ("data-scientist", "business-user"):
        assert {p for p in PERMISSIONS if permits("prod", role, p)} == {"metrics:read", "openapi:read"}


def test_a_role_or_a_kind_that_is_not_known_may_nothing():
    assert not any(permits("poc", role, permission) for role in ("", "root", "Admin") for permission in PERMISSIONS)
    assert not any(permits(kind, "admin", permission) for kind in ("", "Prod") for permission in PERMISSIONS)


def test_a_permission_that_is_misspelled_fails():
    with pytest.raises(UnknownName, match="permission"):
        permits("poc", "admin", "chat:us")


def test_a_scope_narrows_a_role_and_widens_none():
    narrow = Asker("poc", role="application", scopes=frozenset({"search:use", "keys:manage"}))
    check_permitted("poc", narrow, "search:use")
    for permission in ("chat:use", "keys:manage"):
        with pytest.raises(NotPermitted) as refused:
            check_permitted("poc", narrow, permission)
        assert refused.value.hint


def test_principals_are_exactly_those_named():
    assert parse_principals(" user:alice, group:x ,user:alice") == {"user:alice", "group:x"}
    assert principals_of("poc", None, []) == {"workspace:poc"}


@pytest.mark.parametrize(
    "text", ["", " ", "alice", "usr:alice", "role:admin", "user:", "user:a,,", "user:a:b", "user:*", "group:\x00", "user:" + "x" * 500]
)
def test_what_is_no_principal(text: str):
    with pytest.raises(InvalidInput) as refused:
        parse_principals(text)
    assert refused.value.hint

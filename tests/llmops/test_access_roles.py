"""Roles and principals."""

from __future__ import annotations

import pytest

from llmops.access.principals import parse_principals, principals_of
from llmops.access.roles import PERMISSIONS, ROLES, permits
from llmops.errors import InvalidInput, UnknownName
from server.app import DOORS


def test_an_application_chats_searches_and_gives_feedback_and_nothing_else():
    assert {p for p in PERMISSIONS if permits("application", p)} == {"chat:use", "search:use", "feedback:write"}


def test_an_admin_has_every_permission():
    assert all(permits("admin", permission) for permission in PERMISSIONS)


def test_every_permission_guards_a_route():
    assert {route.permission for door in DOORS for route in door.routes if route.permission} == set(PERMISSIONS)


def test_a_business_user_changes_nothing_but_feedback():
    allowed = {p for p in PERMISSIONS if permits("business-user", p)}
    assert {p for p in allowed if p.endswith(("write", "cancel", "manage"))} == {"feedback:write"}


def test_a_role_that_is_not_known_may_nothing():
    assert not any(permits(role, permission) for role in ("", "root", "Admin") for permission in PERMISSIONS)


def test_a_permission_that_is_misspelled_fails():
    with pytest.raises(UnknownName, match="permission"):
        permits("admin", "chat:us")


def test_the_table_names_known_roles_only():
    assert all(roles <= set(ROLES) for roles in PERMISSIONS.values())


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

"""Keys that are narrowed, that speak for others, and that make keys: none can do more than it was given."""

from __future__ import annotations

import time

import pytest

from llmops.access import audit, keys
from llmops.access.acting import VARIABLE
from llmops.access.principals import fits, named, parse_pattern
from llmops.errors import InvalidInput, NotAuthenticated, NotPermitted, UnknownName
from llmops.store.store import Store
from llmops.types import Asker
from tests.conftest import OWNER


def make(store: Store, name: str = "bot", role: str = "admin", by: Asker = OWNER, **rest) -> keys.NewKey:
    return store.write(lambda c: keys.create(c, by, keys.Wanted(name, role, **rest)))


def use(store: Store, made: keys.NewKey) -> keys.Key:
    return store.read(lambda c: keys.authenticate(c, made.key))


# --- Patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        ("user:*", "user:alice", True),
        ("user:*", "group:alice", False),
        ("group:sales-*", "group:sales-eu", True),
        ("group:sales-*", "group:sales-", True),
        ("group:sales-*", "group:sales", False),
        ("user:alice", "user:alice2", False),
        ("user:*", "workspace:poc", False),
    ],
)
def test_an_asterisk_at_the_end_stands_for_the_rest_of_a_name(pattern: str, name: str, fit: bool) -> None:
    assert fits(name, [parse_pattern(pattern)]) is fit


@pytest.mark.parametrize("pattern", ["", "*", "alice", "role:*", "user:", "user:a*b", "user:**", "*:alice", "user:*,group:*"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_pattern(pattern)
    assert refused.value.hint


def test_who_is_spoken_for_has_one_short_name_of_its_own() -> None:
    assert named({"user:alice", "group:a", "group:b"}) == "user:alice"
    assert named({"group:b", "group:a"}) == "group:a,group:b"
    many = [named({f"group:{n}-{m}" for m in range(500)}) for n in range(2)]
    assert len(set(many)) == 2 and all(len(name) <= 80 for name in many)


# --- Speaking for others ----------------------------------------------------------------------------------------------


def test_a_key_speaks_for_its_end_users_with_their_rights_and_not_with_its_own(store: Store) -> None:
    key = use(store, make(store, user="shop", groups=("staff",), act_as=("user:*", "group:sales-*")))
    asker = key.asker_as(frozenset({"user:alice", "group:sales-eu"}), "10.0.0.1")
    assert asker.principals == {"user:alice", "group:sales-eu", "workspace:poc"}
    assert (asker.owner, asker.name, asker.origin, asker.role) == (False, "key:bot as user:alice", "10.0.0.1", "admin")
    for beyond in ("group:hr", "workspace:dev", "group:sales"):
        with pytest.raises(NotPermitted, match="may not speak for"):
            key.asker_as(frozenset({"user:alice", beyond}))
    with pytest.raises(NotPermitted):
        use(store, make(store, "plain")).asker_as(frozenset({"user:alice"}))


# --- Keys that make keys ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [{"user": "ceo"}, {"groups": ("hr",)}, {"act_as": ("user:*",)}, {"act_as": ("group:sales-*", "group:*")}],
    ids=str,
)
def test_t07_an_admins_key_makes_none_that_reads_more_than_itself(store: Store, wanted: dict) -> None:
    boss = use(store, make(store, "boss", user="boss", groups=("staff",), act_as=("group:sales-*",))).asker()
    with pytest.raises(NotPermitted) as refused:
        make(store, by=boss, **wanted)
    assert "the owner" in refused.value.hint
    assert [key.name for key in store.read(lambda c: keys.list_keys(c, "poc"))] == ["boss"]


def test_t07_it_makes_what_it_may_and_the_log_says_who_when_and_what(store: Store) -> None:
    boss = use(store, make(store, "boss", user="boss", groups=("staff",), act_as=("group:sales-*",))).asker("192.0.2.7")
    made = make(store, "shop", "application", boss, groups=("staff", "sales-eu"), act_as=("group:sales-eu*",))
    assert use(store, made).groups == ("staff", "sales-eu")
    entry = store.read(lambda c: audit.entries(c, "poc"))[0]
    assert (entry.actor, entry.origin, entry.action, entry.object) == ("key:boss", "192.0.2.7", "keys.create", "key:shop")
    assert entry.detail["after"]["groups"] == ["staff", "sales-eu"] and time.time() - entry.at < 60
    assert made.key[-24:] not in str(entry)


def test_t07_a_key_with_scopes_makes_none_without(store: Store) -> None:
    boss = use(store, make(store, "boss", scopes=("keys:manage", "search:use"))).asker()
    for scopes in (None, ("chat:use",), ("search:use", "audit:read")):
        with pytest.raises(NotPermitted):
            make(store, by=boss, scopes=scopes)
    assert use(store, make(store, by=boss, scopes=("search:use",))).scopes == {"search:use"}
    with pytest.raises(UnknownName, match="scope"):
        make(store, "wrong", scopes=("search:us",))
    with pytest.raises(InvalidInput):
        make(store, "none", scopes=())


def test_t07_who_may_not_make_a_key_may_not_have_its_new_secret_either(store: Store) -> None:
    ceos = make(store, "ceo", user="ceo")
    boss = use(store, make(store, "boss", user="boss")).asker()
    with pytest.raises(NotPermitted):
        store.write(lambda c: keys.rotate(c, boss, "ceo"))
    assert use(store, ceos).user == "ceo"
    assert store.write(lambda c: keys.revoke(c, boss, "ceo")).state == "revoked", "to take a right away takes none"


# --- Rotation ---------------------------------------------------------------------------------------------------------


def test_a_rotated_key_keeps_all_but_its_secret(store: Store) -> None:
    old = make(store, user="alice", scopes=("search:use",), act_as=("user:*",))
    before = use(store, old)
    new = store.write(lambda c: keys.rotate(c, OWNER, "bot"))
    assert use(store, new) == before and new.key != old.key
    with pytest.raises(NotAuthenticated):
        use(store, old)


def test_the_former_secret_is_good_for_its_grace_and_no_longer(store: Store) -> None:
    old = make(store)
    new = store.write(lambda c: keys.rotate(c, OWNER, "bot", 0.5))
    assert use(store, old).id == use(store, new).id
    newest = store.write(lambda c: keys.rotate(c, OWNER, "bot", 0.5))
    with pytest.raises(NotAuthenticated):
        use(store, old)
    time.sleep(0.6)
    with pytest.raises(NotAuthenticated):
        use(store, new)
    assert use(store, newest).name == "bot"


def test_t05_a_revoked_key_is_not_rotated_back_to_life(store: Store) -> None:
    made = make(store)
    store.write(lambda c: keys.rotate(c, OWNER, "bot", 3600))
    store.write(lambda c: keys.revoke(c, OWNER, "bot"))
    with pytest.raises(Exception, match="is revoked"):
        store.write(lambda c: keys.rotate(c, OWNER, "bot"))
    with pytest.raises(NotAuthenticated, match="revoked"):
        use(store, made)


def test_the_rotation_of_a_key_on_the_command_line(cli) -> None:
    first = cli("keys", "create", "bot", "--role", "admin", "--json").json
    second = cli("keys", "rotate", "bot", "--grace", "1h", "--json")
    assert second.json["id"] == first["id"] and second.json["key"] != first["key"]
    for made in (first, second.json):
        assert cli("keys", "list", env={VARIABLE: made["key"]}).rc == 0
    third = cli("keys", "rotate", "bot", "--json").json
    assert [cli("keys", "list", env={VARIABLE: made["key"]}).rc for made in (first, second.json, third)] == [2, 2, 0]
    assert [entry["action"] for entry in cli("audit", "list", "--json").json["data"]] == ["keys.rotate", "keys.rotate", "keys.create"]


# --- Ways around ------------------------------------------------------------------------------------------------------


def test_t07_no_key_outlives_the_one_that_makes_it(store: Store) -> None:
    boss = use(store, make(store, "boss", expires_at=time.time() + 60)).asker()
    for expires_at in (None, time.time() + 120):
        with pytest.raises(NotPermitted, match="longer life"):
            make(store, by=boss, expires_at=expires_at)
    make(store, "short", by=boss, expires_at=time.time() + 30)
    make(store, "lasting")
    with pytest.raises(NotPermitted):
        store.write(lambda c: keys.rotate(c, boss, "lasting"))


def test_a_scope_is_one_that_the_role_has(store: Store) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        make(store, role="application", scopes=("keys:manage",))


def test_no_name_stands_before_an_id(store: Store) -> None:
    victim = make(store, "victim")
    make(store, victim.id)
    assert store.write(lambda c: keys.revoke(c, OWNER, victim.id)).name == "victim"


def test_t06_an_empty_key_is_no_way_to_be_the_owner(cli) -> None:
    refused = cli("keys", "list", env={VARIABLE: ""})
    assert refused.rc == 2 and VARIABLE in refused.stderr and refused.stdout == ""


@pytest.mark.parametrize("options", [["create", "new", "--role", "admin", "--expires", ""], ["rotate", "old", "--grace", ""]], ids=lambda o: o[0])
def test_an_empty_span_is_no_span(cli, options: list[str]) -> None:
    cli("keys", "create", "old", "--role", "admin")
    refused = cli("keys", *options)
    assert refused.rc == 2 and "write 30m" in refused.stderr
    assert [key["name"] for key in cli("keys", "list", "--json").json["data"]] == ["old"]


def test_the_use_of_a_key_on_the_command_line_is_noted(cli) -> None:
    key = cli("keys", "create", "bot", "--role", "admin", "--json").json["key"]
    cli("jobs", "list", env={VARIABLE: key})
    assert cli("keys", "list", "--json").json["data"][0]["used_at"]

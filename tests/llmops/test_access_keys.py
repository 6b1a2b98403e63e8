"""Keys: what they are, what is kept of them, and what they never let through."""

from __future__ import annotations

import base64
import logging
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from llmops.access import keys
from llmops.access.tables import audit as audit_table
from llmops.access.tables import keys as keys_table
from llmops.errors import Conflict, InvalidInput, NotAuthenticated, UnknownName
from llmops.home import Home
from llmops.settings import Settings
from llmops.store.store import Store
from llmops.types import Asker
from tests.conftest import OWNER

BOSS = Asker("poc", name="boss", role="admin")


def make(store: Store, name: str = "bot", role: str = "application", workspace: str = "poc", **rest) -> keys.NewKey:
    return store.write(lambda connection: keys.create(connection, Asker(workspace, owner=True), keys.Wanted(name, role, **rest)))


def use(store: Store, token: str) -> keys.Key:
    return store.read(lambda connection: keys.authenticate(connection, token))


def test_a_key_opens_what_it_was_made_for(store: Store):
    made = make(store, user="alice", groups=["sales", "hr", "sales"])
    key = use(store, made.key)
    assert (key.id, key.name, key.role, key.workspace, key.state) == (made.id, "bot", "application", "poc", "active")
    asker = key.asker()
    assert asker.principals == {"user:alice", "group:sales", "group:hr", "workspace:poc"}
    assert (asker.owner, asker.workspace, asker.name) == (False, "poc", "key:bot")


def test_no_role_is_a_principal(store: Store):
    asker = use(store, make(store, role="admin").key).asker()
    assert asker.principals == {"workspace:poc"}
    assert not asker.owner


def test_a_key_has_its_form(store: Store):
    made = make(store)
    start, public, secret = made.key.split("_", 2)
    assert (start, public) == ("llmops", made.id)
    assert len(public) == 16
    assert len(secret) >= 43
    assert made.key not in repr(made)


@pytest.mark.parametrize("damage", ["last", "secret", "id", "upper"])
def test_a_key_that_differs_opens_nothing(store: Store, damage: str):
    key = make(store).key
    other = {
        "last": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "secret": key[:24] + "A" * 43,
        "id": "llmops_" + "0" * 16 + key[23:],
        "upper": key.upper(),
    }[damage]
    with pytest.raises(NotAuthenticated):
        use(store, other)


HOSTILE = [
    "",
    "llmops_",
    "' OR 1=1--",
    "llmops_' OR 1=1--_x",
    "\x00",
    "llmops_" + "\x00" * 60,
    "é" * 90,
    "\ud800",
    "x" * 1_000_000,
    "llmops_" + "0" * 1_000_000,
]


@pytest.mark.parametrize("token", HOSTILE, ids=range(len(HOSTILE)))
def test_t03_hostile_tokens_are_refused_and_never_an_error(store: Store, token: str):
    key = make(store).key
    for hostile in (token, key + (token or " "), f"{key[:24]}{token}", f"{key}\n"):
        with pytest.raises(NotAuthenticated):
            use(store, hostile)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.from_regex(r"llmops_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", fullmatch=True) | st.text().map(lambda t: f"llmops_{t}_{t}"))
def test_t03_any_text_is_refused(store: Store, token: str):
    with pytest.raises(NotAuthenticated):
        use(store, token)


def test_t03_the_token_is_never_part_of_the_statement(store: Store):
    statements: list[str] = []
    event.listen(store.read_engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: statements.append(statement))
    with pytest.raises(NotAuthenticated):
        use(store, "llmops_" + "abcdef0123456789" + "_" + "A" * 43)
    assert statements
    assert not any("abcdef0123456789" in statement for statement in statements)


def test_an_expired_key_opens_nothing(store: Store, monkeypatch: pytest.MonkeyPatch):
    made = make(store, expires_at=time.time() + 60)
    assert use(store, made.key).state == "active"
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(NotAuthenticated, match="expired"):
        use(store, made.key)


@pytest.mark.parametrize("expires_at", [0.0, float("nan"), float("inf"), 1e20])
def test_an_expiry_is_in_a_time_to_come(store: Store, expires_at: float):
    with pytest.raises(InvalidInput):
        make(store, expires_at=expires_at)


@pytest.mark.parametrize("by", ["name", "id"])
def test_t05_a_revoked_key_opens_nothing_at_once(store: Store, by: str):
    made = make(store)
    named = made.name if by == "name" else made.id
    assert store.write(lambda connection: keys.revoke(connection, BOSS, named)).state == "revoked"
    with pytest.raises(NotAuthenticated, match="revoked"):
        use(store, made.key)
    store.write(lambda connection: keys.revoke(connection, BOSS, named))
    rows = store.read(lambda connection: connection.execute(select(audit_table.c.action, audit_table.c.actor).order_by(audit_table.c.row)).all())
    assert [tuple(row) for row in rows] == [("keys.create", "owner"), ("keys.revoke", "boss")]


def test_t05_keys_that_begin_alike_and_are_equally_long_never_stand_for_each_other(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Ids, and secrets, that differ in their last character alone: whoever compares a part of a key would mix them up."""
    ids, ends = iter(["0123456789abcde0", "0123456789abcde1"]), iter("AB")
    monkeypatch.setattr("secrets.token_hex", lambda _: next(ids))
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: "s" * 42 + next(ends))
    one, other = make(store, "one", "admin"), make(store, "other", "application", user="bob")
    assert len(one.key) == len(other.key) and one.key[:22] == other.key[:22]
    for _ in range(2):  # the second time, whatever was remembered of the first would answer
        for made, name in ((one, "one"), (other, "other")):
            assert use(store, made.key).name == name
    crossed = [f"{one.key[:24]}{other.key[24:]}", f"{other.key[:24]}{one.key[24:]}"]
    assert not {one.key, other.key} & set(crossed)
    for token in (*crossed, one.key[:-1], f"{one.key}A"):
        with pytest.raises(NotAuthenticated):
            use(store, token)
    store.write(lambda connection: keys.revoke(connection, OWNER, one.id))
    with pytest.raises(NotAuthenticated, match="revoked"):
        use(store, one.key)
    assert use(store, other.key).role == "application"


def test_t05_a_key_that_one_home_revokes_is_refused_by_another_at_once(store_settings: Settings):
    with Home(store_settings) as here, Home(store_settings) as there:
        made = [make(here.store, f"bot{n}") for n in range(10)]
        for one in made:
            assert use(there.store, one.key).state == "active"
        for gone, one in enumerate(made):
            here.store.write(lambda connection, one=one: keys.revoke(connection, OWNER, one.id))
            for number, each in enumerate(made):
                if number <= gone:
                    with pytest.raises(NotAuthenticated, match="revoked"):
                        use(there.store, each.key)
                else:
                    assert use(there.store, each.key).state == "active"


def test_t09_another_workspace_cannot_see_or_revoke_a_key(store: Store):
    made = make(store, workspace="dev")
    assert store.read(lambda connection: keys.list_keys(connection, "poc")) == []
    with pytest.raises(UnknownName) as refused:
        store.write(lambda connection: keys.revoke(connection, OWNER, made.id))
    assert "bot" not in refused.value.hint
    assert use(store, made.key).workspace == "dev"


def test_names_are_unique_within_a_workspace_and_free_in_another(store: Store):
    make(store)
    make(store, workspace="dev")
    with pytest.raises(Conflict) as refused:
        make(store)
    assert refused.value.hint
    assert [key.name for key in store.read(lambda connection: keys.list_keys(connection, "poc"))] == ["bot"]


def test_many_who_make_the_same_name_at_once_get_one_key(store: Store):
    from concurrent.futures import ThreadPoolExecutor

    def attempt(_: int) -> str:
        try:
            return make(store).id
        except Conflict:
            return ""

    with ThreadPoolExecutor(8) as pool:
        made = [key for key in pool.map(attempt, range(16)) if key]
    assert len(made) == 1
    assert len(store.read(lambda connection: connection.execute(select(audit_table)).all())) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "x" * 101},
        {"name": "a\x00"},
        {"name": "bot\n"},
        {"role": "admn"},
        {"role": ""},
        {"user": ""},
        {"user": "a,b"},
        {"user": "a:b"},
        {"user": "a\x1b[2J"},
        {"user": " a"},
        {"user": "*"},
        {"user": "u" * 200},
        {"groups": ["ok", ""]},
        {"groups": ["a,user:admin"]},
        {"groups": ["\ud800"]},
        {"groups": [f"g{n}" for n in range(1001)]},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_what_a_key_cannot_be(store: Store, wrong: dict):
    with pytest.raises(InvalidInput) as refused:
        make(store, **{"name": "bot", "role": "application", **wrong})
    assert refused.value.exit_code == 2
    assert refused.value.hint
    assert store.read(lambda connection: connection.execute(select(keys_table)).all()) == []


def test_names_of_people_may_be_japanese_or_mail_addresses(store: Store):
    key = use(store, make(store, user="山田 太郎", groups=["sales@example.com"]).key)
    assert key.asker().principals == {"user:山田 太郎", "group:sales@example.com", "workspace:poc"}


def test_a_failed_audit_makes_no_key(store: Store, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr("llmops.access.audit.record", broken)
    with pytest.raises(RuntimeError):
        make(store)
    assert store.read(lambda connection: keys.list_keys(connection, "poc")) == []


def test_t04_no_file_of_the_home_and_no_log_holds_a_secret(cli, settings, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    made = [cli("keys", "create", f"bot{n}", "--role", "application", "--json") for n in range(2)]
    tokens = [ran.json["key"] for ran in made]
    assert cli("keys", "revoke", "bot1").rc == 0
    listed = cli("keys", "list", "--json").stdout + cli("audit", "list", "--json").stdout
    with Home(settings) as home:
        use(home.store, tokens[0])
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert any(path.name == "llmops.db-wal" for path in files)
        content = (
            b"".join(path.read_bytes() for path in files) + listed.encode() + caplog.text.encode() + "".join(ran.stderr for ran in made).encode()
        )
    for token in tokens:
        secret = token.split("_", 2)[2]
        assert token.split("_")[1].encode() in content  # the scan sees what is there
        for form in _forms(secret):
            assert form not in content


def _forms(secret: str) -> list[bytes]:
    raw = secret.encode()
    whole = [base64.b64encode(b"x" * shift + raw)[(4 if shift else 0) : -4] for shift in range(3)]
    return [raw, raw.hex().encode(), *whole, base64.urlsafe_b64decode(secret + "=")]

"""`init` and `config`: a starter that changes nothing, and what counts in the end."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from llmops.settings import Settings
from llmops.starter import STARTER


def uncommented() -> str:
    return "\n".join(line[1:] if line.startswith("#") and line[1:2].strip() and line[1] != " " else line for line in STARTER.splitlines())


def test_init_writes_a_file_that_changes_nothing_and_can_be_appended_to(cli, tmp_path: Path):
    ran = cli("init", "new/place", "--json")
    path = tmp_path / ran.json["path"]
    assert tomllib.loads(path.read_text()) == {}
    assert (
        Settings.load(path, environ={}).model_dump() == Settings.load(path.parent / "llmops.toml", environ={}).model_dump() == Settings().model_dump()
    )
    path.write_text(path.read_text() + '\n[store]\ndurability = "power"\n')
    assert cli("--config", path, "config", "show", "--json").json["store"]["durability"] == "power"


def test_each_table_of_the_starter_is_good_when_it_is_uncommented(tmp_path: Path):
    file = tmp_path / "llmops.toml"
    file.write_text(uncommented())
    together = Settings.load(file, environ={})
    assert [route.name for route in together.routes] == ["large", "default"]
    values = tomllib.loads(uncommented())
    assert set(values) == set(Settings.model_fields)
    for name, value in values.items():
        Settings.model_validate({name: value})


def test_the_starter_has_every_key_and_its_defaults():
    def keys(place: dict) -> set[str]:
        return set(place.get("properties", {}))

    schema = Settings.model_json_schema()
    spelled = tomllib.loads(uncommented())
    shapes = {
        "StoreSettings": spelled["store"],
        "MLflowSettings": spelled["mlflow"],
        "EncoderSettings": spelled["encoder"],
        "IndexSettings": spelled["index"],
    }
    shapes |= {
        "ServerLimits": spelled["server"],
        "OutboundSettings": spelled["outbound"],
        "RetentionSettings": spelled["retention"],
        "RaySettings": spelled["ray"],
        "Workspace": {"name": "told in words", "kind": "told in words"},
        "Route": spelled["routes"][0],
        "Timeouts": spelled["routes"][0]["timeouts"],
    }
    shapes |= {"Target": spelled["routes"][0]["targets"][0], "ModelPrice": spelled["models"][0], "Chain": spelled["chains"][0]}
    assert {name: set(shape) for name, shape in shapes.items()} == {name: keys(place) for name, place in schema["$defs"].items()}
    defaults = Settings().model_dump(mode="json")
    for table in ("store", "mlflow", "index", "server", "outbound"):
        assert spelled[table] == defaults[table]


def test_init_never_overwrites(cli, tmp_path: Path):
    (tmp_path / "llmops.toml").write_text("# mine\n")
    ran = cli("init")
    assert (ran.rc, ran.stdout) == (2, "")
    assert "hint: " in ran.stderr
    assert (tmp_path / "llmops.toml").read_text() == "# mine\n"


@pytest.mark.parametrize("place", ["file", "file/below", "a\x01b/" + "x" * 300, "/proc/nowhere"])
def test_init_where_no_file_can_be(cli, tmp_path: Path, place: str):
    (tmp_path / "file").write_text("")
    ran = cli("init", place)
    assert ran.rc == 2
    assert len(ran.stderr.splitlines()) == 2


def test_config_show_is_what_counts_and_holds_no_password(cli, tmp_path: Path):
    (tmp_path / "llmops.toml").write_text('[store]\nurl = "postgresql+psycopg://u:CANARY@host/db"\n')
    env = {"LLMOPS__ENCODER__THREADS": "3"}
    shown = cli("config", "show", "--json", env=env)
    assert shown.json["encoder"]["threads"] == 3
    assert shown.json["home"] == str(tmp_path / ".llmops")
    text = cli("config", "show", env=env).stdout
    assert tomllib.loads(text)["encoder"]["threads"] == 3
    assert tomllib.loads(text)["routes"][0]["timeouts"]["stall"] == 10
    assert "CANARY" not in text + shown.stdout

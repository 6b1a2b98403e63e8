"""What each role may do on the command line, where LLMOPS_KEY holds its key: every command is in one of two tables."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from llmops import plugins
from llmops.access import keys
from llmops.access.roles import KINDS, ROLES
from llmops.cli import main
from llmops.context import Context
from llmops.home import Home
from llmops.types import Asker

# By kind of workspace (poc dev pipeline prod) the roles that may: Admin, data Scientist, Data engineer, Ml engineer, Business user, aPplication.
MATRIX = """
access set --collection c --acl user:a    ASDMB- AS-M-- A-D--- A-----
access show --collection c                ASDMB- AS-M-- A-D--- A-----
ask q                                     ASDMBP AS-M-P A-D--- A-DM-P
audit export                              A----- A----- A----- A-----
audit list                                A----- A----- A----- A-----
audit verify                              A----- A----- A----- A-----
backup f                                  ------ ------ ------ ------
collections copy c --to dev               A--M-- A--M-- A-DM-- A-----
collections create c                      ASDMB- A----- A-D--- ------
collections diff c 0                      ASDMB- AS-M-- A-D--- A-DM--
collections list                          ASDMB- ASDM-- A-DM-- A-DM--
collections show c                        ASDMB- ASDM-- A-DM-- A-DM--
collections snapshot c                    ASDMB- ASDM-- A-DM-- A-DM--
doctor                                    ------ ------ ------ ------
documents delete d                        ASDMB- A----- A-D--- ------
documents chunk c                         ASDMB- AS-M-- A-D--- A-DM--
documents original d -o o                 ASDMB- AS-M-- A-D--- A-DM--
documents list --collection c             ASDMB- AS-M-- A-D--- A-DM--
documents show d                          ASDMB- AS-M-- A-D--- A-DM--
feedback export                           ASDMB- AS-M-- A----- A--M--
feedback list                             ASDMB- AS-M-- A----- A--M--
ingest . --collection c                   ASDMB- A----- A-D--- ------
jobs cancel j                             ASDMB- AS-M-- A-D--- A-DM--
jobs list                                 ASDMB- ASDM-- A-DM-- A-DM--
jobs retry j                              ASDMB- A--M-- A-DM-- A-----
jobs show j                               ASDMB- ASDM-- A-DM-- A-DM--
jobs wait j                               ASDMB- ASDM-- A-DM-- A-DM--
keys create n --role admin                A----- A----- A----- A-----
keys list                                 A----- A----- A----- A-----
keys revoke n                             A----- A----- A----- A-----
keys rotate n                             A----- A----- A----- A-----
restore f                                 ------ ------ ------ ------
retention run                             A----- A----- A----- A-----
search q --collection c                   ASDMBP AS-M-P A-D--- A-DM-P
"""
OPEN = {"access matrix", "access workspaces", "completion", "config show", "init", "retention show", "serve"}
"""Commands that show and change nothing of a workspace. It grows by a reviewed line."""


class Entered(Exception):
    """The command was let in."""


def table() -> list[tuple[list[str], dict[tuple[str, str], bool]]]:
    rows = []
    for line in MATRIX.strip().splitlines():
        *arguments, poc, dev, pipeline, prod = shlex.split(line)
        cells = dict(zip(KINDS, (poc, dev, pipeline, prod), strict=True))
        rows.append((arguments, {(kind, role): letter in cell for kind, cell in cells.items() for letter, role in ROLES.items()}))
    return rows


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, *path, name)
    else:
        yield " ".join(path), command


def every_command() -> dict[str, click.Command]:
    shipped = (name for name in plugins.names("commands") if ("commands", name) not in plugins._registered)
    return {path: command for name in shipped for path, command in commands(plugins.find("commands", name), name)}


def test_t06_every_command_is_in_the_matrix_or_shows_nothing_of_a_workspace() -> None:
    found = every_command()
    named = {" ".join(arguments[:n]) for arguments, _ in table() for n in (1, 2)} & found.keys()
    assert named | OPEN == found.keys() and not named & OPEN
    assert {path for path, command in found.items() if command.callback.permission == ""} == OPEN


@pytest.mark.parametrize("kind", KINDS)
def test_t06_each_role_may_call_what_the_matrix_says_and_nothing_else(home: Home, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    check = Context.check_permitted

    def checked(context: Context, permission: str) -> None:
        check(context, permission)
        raise Entered

    monkeypatch.setattr(Context, "check_permitted", checked)
    for role in ROLES.values():
        made = home.store.write(lambda c, role=role: keys.create(c, Asker(kind, owner=True), keys.Wanted(role, role)))
        monkeypatch.setenv("LLMOPS_KEY", made.key)
        for arguments, may in table():
            ran = CliRunner().invoke(main, arguments)
            entered = "Entered" in ran.stderr
            assert entered == may[kind, role], (role, arguments, ran.stderr)
            assert entered or (ran.exit_code == 2 and "lacks the permission" in ran.stderr and "hint: " in ran.stderr), ran.stderr


def test_t06_a_key_on_the_command_line_acts_in_its_own_workspace_and_for_its_own_people(cli) -> None:
    key = cli("keys", "create", "shop", "--role", "admin", "--act-as", "user:*", "--json").json["key"]
    env = {"LLMOPS_KEY": key}
    assert cli("keys", "list", "--workspace", "poc", "--json", env=env).json["data"][0]["name"] == "shop"
    other = cli("keys", "list", "--workspace", "dev", env=env)
    assert other.rc == 2 and "of workspace 'poc'" in other.stderr
    assert cli("search", "x", "--collection", "none", "--as", "user:alice", env=env).stderr.startswith("error: unknown collection")
    refused = cli("search", "x", "--collection", "none", "--as", "group:hr", env=env)
    assert refused.rc == 2 and "may not speak for group:hr" in refused.stderr
    wrong = cli("keys", "list", env={"LLMOPS_KEY": key[:-2] + "zz"})
    assert wrong.rc == 2 and "no such API key" in wrong.stderr


def test_t06_the_owner_changes_nothing_in_prod_by_hand(cli) -> None:
    for arguments in (["ingest", ".", "--collection", "docs"], ["collections", "create", "docs"], ["documents", "delete", "doc_1"]):
        refused = cli(*arguments, "--workspace", "prod")
        assert refused.rc == 2 and "lacks the permission" in refused.stderr and "collections copy" in refused.stderr

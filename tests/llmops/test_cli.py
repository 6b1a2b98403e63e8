"""The root command: exit codes, one error line with a hint, clean output, and how quickly it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from llmops import plugins
from llmops.cli import main
from llmops.context import Context, as_option, common, group
from llmops.errors import CheckFailed, Conflict, ProviderError
from llmops.settings import Settings

HEAVY = [
    "sqlalchemy",
    "pydantic",
    "numpy",
    "torch",
    "mlflow",
    "fastapi",
    "onnxruntime",
    "chromadb",
    "langchain",
    "transformers",
    "httpx",
    "alembic",
    "uvicorn",
]


# --- Commands of the tests' own ---------------------------------------------------------------------------------------


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Run the root command in this process, with some commands that do what tests need."""
    monkeypatch.setattr(plugins, "_registered", dict(plugins._registered))
    for name, function in COMMANDS.items():
        plugins.register("commands", name)(function)
    plugins.register("commands", "not-a-command")("text")

    def invoke(*arguments: str):
        return CliRunner().invoke(main, list(arguments))

    return invoke


@click.command()
@as_option
@common("")
def tell(context: Context, as_: str | None) -> None:
    """Tell what was understood."""
    asker = context.asker(as_)
    context.message("a message")
    context.emit({"workspace": context.workspace, "owner": asker.owner, "principals": sorted(asker.principals), "config": context.config})


@click.command()
@common("")
async def later(context: Context) -> None:
    for number in range(2):
        context.emit({"n": number}, f"number {number}")
    context.write("piece")


@click.command()
@common("")
def hostile(context: Context) -> None:
    context.emit_list([{"name": "a\x1b[2Jb\r\nc\u202e\ud800\x9b", "n": None}, {"name": "日本", "n": 1.5}], columns=["name", "n"])


@click.command()
@click.argument("kind")
@common("")
def fail(context: Context, kind: str) -> None:
    context.home.store  # noqa: B018  # it must be closed again
    errors = {
        "check": CheckFailed("2 of 3 failed", hint="look at them"),
        "input": Conflict("there\nis one", hint="choose\nanother"),
        "system": ProviderError("no answer", hint="wait"),
        "bug": RuntimeError("boom sk-abcdefghijklmnop1234567890"),
        "stop": KeyboardInterrupt(),
        "exit": click.exceptions.Exit(1),
    }
    raise errors[kind]


@group
def pets() -> None:
    """Some pets."""


@pets.command("feed")
@common("")
def feed(context: Context) -> None:
    context.emit({"fed": True})


COMMANDS = {"tell": tell, "later": later, "hostile": hostile, "fail": fail, "pets": pets}


# --- Options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["--json", "--workspace", "dev", "tell"], ["tell", "--json", "--workspace", "dev"], ["--workspace", "poc", "tell", "--workspace=dev", "--json"]],
)
def test_shared_options_stand_before_or_after_the_command(run, arguments: list[str]):
    ran = run(*arguments)
    assert ran.exit_code == 0, ran.stderr
    assert json.loads(ran.stdout) == {"workspace": "dev", "owner": True, "principals": [], "config": None}
    assert ran.stderr == "a message\n"


@pytest.mark.parametrize("arguments", [["--json", "pets", "feed"], ["pets", "--json", "feed"], ["pets", "feed", "--json"]])
def test_shared_options_stand_anywhere_around_a_group(run, arguments: list[str]):
    assert json.loads(run(*arguments).stdout) == {"fed": True}


def test_as_gives_exactly_the_principals_named(run):
    assert json.loads(run("tell", "--json", "--as", "user:alice,group:x").stdout)["principals"] == ["group:x", "user:alice"]
    assert json.loads(run("tell", "--json", "--as", "user:alice").stdout)["owner"] is False


@pytest.mark.parametrize("as_", ["", "alice", "usr:alice"])
def test_as_that_names_nobody_is_refused_and_never_the_owner(run, as_: str):
    ran = run("tell", "--as", as_)
    assert (ran.exit_code, ran.stdout) == (2, "")


def test_a_stream_is_json_lines_or_text(run):
    assert [json.loads(line) for line in run("later", "--json").stdout.splitlines()] == [{"n": 0}, {"n": 1}]
    assert run("later").stdout == "number 0\nnumber 1\npiece"


def test_names_cannot_speak_to_the_terminal(run):
    plain, as_json = run("hostile").stdout, run("hostile", "--json").stdout
    for text in (plain, as_json):
        assert not set(text) & set("\x1b\r\x9b\u202e\ud800")
    assert "a\\x1b[2Jb c\\u202e\\ud800\\x9b" in plain
    assert json.loads(as_json)["data"][0]["name"] == "a\x1b[2Jb\r\nc\u202e\ud800\x9b"


# --- Exit codes and errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("check", 1, "error: 2 of 3 failed\nhint: look at them\n"),
        ("input", 2, "error: there is one\nhint: choose another\n"),
        ("system", 3, "error: no answer\nhint: wait\n"),
        ("bug", 3, "error: unexpected RuntimeError: boom [redacted]\nhint: --debug shows the traceback\n"),
        ("stop", 130, ""),
        ("exit", 1, ""),
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_failure_is_one_line_a_hint_and_an_exit_code(run, kind: str, code: int, said: str, options: list[str]):
    ran = run("fail", kind, *options)
    assert (ran.exit_code, ran.stdout, ran.stderr) == (code, "", said)


@pytest.mark.parametrize("arguments", [["--debug", "fail", "bug"], ["fail", "bug", "--debug"]])
def test_t12_debug_shows_the_traceback_without_secrets(run, arguments: list[str]):
    ran = run(*arguments)
    assert "Traceback" in ran.stderr
    assert "abcdefghijklmnop" not in ran.stderr
    assert ran.stderr.splitlines()[-2] == "error: unexpected RuntimeError: boom [redacted]"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["serach"], "hint: did you mean 'search'?"),
        (["pets", "fed"], "hint: did you mean 'feed'?"),
        (["pets", "zzz"], "hint: known: feed"),
        (["tell", "--jsn"], "hint: did you mean '--json'"),
        (["--wrkspace", "x", "tell"], "hint: did you mean '--workspace'?"),
        (["tell", "--workspace", "pco"], "hint: did you mean 'poc'?"),
        (["tell", "extra"], "hint: `llmops tell --help` shows how it is used"),
        (["fail"], "hint: `llmops fail --help` shows how it is used"),
        (["tell", "--workspace"], "hint: `llmops --help` shows how it is used"),
        (["--config", "gone.toml", "tell"], "hint: `llmops init` writes one"),
        (["\x1b[2J"], "hint: known: "),
    ],
    ids=str,
)
def test_bad_usage_is_exit_2_and_names_the_way_out(run, arguments: list[str], hint: str):
    ran = run(*arguments)
    error, said = ran.stderr.splitlines()
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert error.startswith("error: ")
    assert "\x1b" not in error
    assert said.startswith(hint)


def test_a_broken_configuration_names_its_line(run, tmp_path: Path):
    (tmp_path / "llmops.toml").write_text("[store]\n\nurll = 'x'\n")
    ran = run("tell")
    assert ran.exit_code == 2
    assert "llmops.toml:3" in ran.stderr
    assert "did you mean 'url'" in ran.stderr


def test_no_command_shows_the_help_and_is_bad_input(run):
    ran = run()
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "Commands:" in ran.stderr


def test_a_command_that_cannot_be_loaded_takes_no_other_with_it(run):
    listed = run("--help")
    assert listed.exit_code == 0
    assert "(cannot be loaded)" in listed.stdout
    ran = run("not-a-command", "--any", "thing")
    assert ran.exit_code == 3
    assert "cannot be loaded" in ran.stderr


def test_a_reader_that_goes_away_is_no_error(cli, tmp_path: Path):
    program = Path(sys.executable).parent / "llmops"
    ran = subprocess.run(["bash", "-c", f"{program} config show | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stderr == ""
    assert ran.returncode in {0, 141}


def test_full_output_is_a_failure_of_the_system(tmp_path: Path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([Path(sys.executable).parent / "llmops", "config", "show"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert ran.returncode == 3
    assert ran.stderr.startswith("error: ")
    assert "Traceback" not in ran.stderr


def test_output_that_stdout_cannot_encode_is_escaped(cli, settings: Settings):
    env = {"PYTHONIOENCODING": "latin-1"}
    assert cli("keys", "create", "bot", "--role", "application", "--user", "山田", env=env).rc == 0
    listed = cli("keys", "list", "--json", env=env)
    assert listed.json["data"][0]["user"] == "山田"
    assert "\\u5c71" in cli("keys", "list", env=env).stdout


# --- How it starts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["keys", "--help"], ["config", "show", "--help"], ["completion", "zsh"], ["keys", "lst"]], ids=str
)
def test_help_imports_nothing_heavy(tmp_path: Path, arguments: list[str]):
    code = f"""
import sys
from llmops.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stderr.splitlines()[-1] == "[]"


def test_every_command_of_this_room_loads():
    for name in ("audit", "completion", "config", "init", "keys"):
        assert isinstance(plugins.find("commands", name), click.Command)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(cli, shell: str):
    assert "_LLMOPS_COMPLETE" in cli("completion", shell).stdout


def test_completion_knows_commands_and_options(cli):
    def completed(words: str) -> list[str]:
        env = {"_LLMOPS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
        return cli(env=env).stdout.split()

    assert completed("llmops ke") == ["plain,keys"]
    assert completed("llmops keys cr") == ["plain,create"]
    assert completed("llmops keys create --ro") == ["plain,--role"]


# --- keys and audit, as a user sees them ------------------------------------------------------------------------------


def test_keys_are_made_before_the_first_serve_on_both_stores(store_settings: Settings, cli):
    made = cli("keys", "create", "bot", "--role", "application", "--user", "alice", "--groups", "g1, g2", "--expires", "90d", "--json")
    assert set(made.json) == {"id", "name", "key"}
    (key,) = cli("keys", "list", "--json").json["data"]
    assert (key["id"], key["user"], key["groups"], key["state"]) == (made.json["id"], "alice", ["g1", "g2"], "active")
    assert key["expires_at"] > key["created_at"]
    assert cli("keys", "list", "--workspace", "dev", "--json").json == {"data": []}
    assert cli("keys", "revoke", made.json["id"], "--json").json["state"] == "revoked"
    assert [entry["action"] for entry in cli("audit", "list", "--json").json["data"]] == ["keys.revoke", "keys.create"]
    assert "keys.create  key:bot" in cli("audit", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["keys", "create", "bot", "--role", "admn"], "did you mean 'admin'?"),
        (["keys", "create", "bot"], "`llmops keys create --help` shows how it is used"),
        (["keys", "create", "a b", "--role", "admin"], "letters, digits"),
        (["keys", "create", "bot", "--role", "admin", "--expires", "soon"], "write 30m"),
        (["keys", "create", "bot", "--role", "admin", "--expires", "999999999w"], "write 30m"),
        (["keys", "create", "bot", "--role", "admin", "--user", "a:b"], "name several principals"),
        (["keys", "create", "bot", "--role", "admin", "--groups", "a,,b"], "write it as group:NAME"),
        (["keys", "revoke", "bot"], ""),
        (["audit", "list", "--limit", "0"], "`llmops audit list --help` shows how it is used"),
    ],
    ids=str,
)
def test_what_keys_and_audit_refuse(run, arguments: list[str], hint: str):
    ran = run(*arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) == (2 if hint else 1)
    assert lines[-1].startswith(f"hint: {hint}" if hint else "error: ")


def test_the_page_of_commands_is_made_from_their_help():
    from llmops import cli_page

    context = click.Context(main, info_name="llmops", terminal_width=cli_page.WIDTH)
    page = "\n".join(cli_page._sections(plugins.find("commands", "keys"), "keys", context))
    assert "### llmops keys create" in page
    assert "--role ROLE" in page
    assert "--workspace" not in page

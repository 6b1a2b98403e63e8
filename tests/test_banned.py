"""No room does what turns foreign bytes or foreign text into code, and the tools that look for it look rightly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.banned import violations
from tests.test_layers import MAY_IMPORT, ROOT, modules

BANDIT = str(Path(sys.executable).parent / "bandit")
BAD_SQL = [
    'text(f"select {name}")',
    'text("select %s" % name)',
    'text("select " + name)',
    'text("select {}".format(name))',
    'text(" ".join(parts))',
    "text(name)",
    'connection.execute(f"select {name}")',
    'connection.execute("select " + name)',
    'connection.execute("select " + name + " from t")',
    'connection.exec_driver_sql(f"select {name}")',
    "connection.exec_driver_sql(name)",
    'query = f"select {name}"\nconnection.execute(query)',
    'query = "select"\nquery += name\nconnection.execute(query)',
    "sa.literal_column(name)",
    "sa.text(name)",
    'sql("select " + name)',
]


def test_t37_no_room_runs_or_loads_what_bytes_or_texts_say() -> None:
    found = [line for path in modules() for line in violations(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())]
    assert len(modules()) > 100 and not found, "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads as l",
        "def f():\n    import dill",
        "from cloudpickle import loads",
        "import joblib",
        "import marshal",
        "import torch\ntorch.load('x', weights_only=True)",
        "import torch as t\nt.load('x')",
        "from torch import load as l\nl('x')",
        "import torch\nload = torch.load\nload('x')",
        "import torch\ngetattr(torch, 'load')('x')",
        "import yaml\nyaml.load('x')",
        "import yaml\nyaml.load('x', Loader=yaml.SafeLoader)",
        "from yaml import unsafe_load as read\nread('x')",
        "import yaml\nyaml.full_load('x')",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=wanted)",
        "options = {'trust_remote_code': True}",
        "np.load('x', allow_pickle=True)",
        "load_file('x', weights_only=False)",
        "from_pretrained('x', use_safetensors=False)",
        "eval('1')",
        "exec('1')",
        "compile('1', '', 'exec')",
        "run = eval\nrun('1')",
        "import builtins\nbuiltins.eval('1')",
        "__builtins__['eval']('1')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=wanted)",
        "import os\nos.system('ls')",
        "from asyncio import create_subprocess_shell as run\nrun('ls')",
        "from langchain_core.load import loads\nloads('{}')",
    ],
)
def test_t37_what_is_banned_is_seen_under_any_name(code: str) -> None:
    assert violations(code)


@pytest.mark.parametrize("code", BAD_SQL)
def test_t03_sql_made_of_text_is_seen(code: str) -> None:
    assert violations(f"import sqlalchemy as sa\nfrom sqlalchemy import text\nfrom sqlalchemy import text as sql\n{code}")


@pytest.mark.parametrize(
    "code",
    ["import httpx", "from urllib import request", "import http.client as h", "import requests", "import asyncio\nasyncio.open_connection('h', 1)"],
)
def test_t16_a_client_of_ones_own_is_seen(code: str) -> None:
    assert violations(code) and violations(code, "server/a.py")


@pytest.mark.parametrize(
    "code",
    [
        "import re\nre.compile('x')",
        "model.eval()",
        "import yaml\nyaml.safe_load('x')",
        "from urllib.parse import quote",
        "np.load('x', allow_pickle=False)",
        "SentenceTransformer('x', trust_remote_code=False)",
        "from sqlalchemy import text\nconnection.execute(text('select :a'), {'a': 1})",
        "from sqlalchemy import text\ntext('select 1 '\n'from t')",
        "connection.exec_driver_sql('BEGIN IMMEDIATE' if writes else 'BEGIN')",
        "connection.execute(sa.select(table.c.a + table.c.b))",
        "def text(version):\n    return version\ntext(3)",
        "subprocess.run(['ls'], shell=False)",
    ],
)
def test_what_is_harmless_stays(code: str) -> None:
    assert not violations(code)


def test_t03_bandit_calls_sql_made_of_text_an_error(tmp_path: Path) -> None:
    """With the configuration that `make check` uses."""
    (tmp_path / "bad.py").write_text("def find(c, name):\n    return c.execute(\"select id from users where name = '%s'\" % name)\n")
    (tmp_path / "good.py").write_text("def find(c, name):\n    return c.execute('select id from users where name = :name', {'name': name})\n")
    command = [BANDIT, "-q", "-c", "pyproject.toml", "-f", "json"]
    bad = subprocess.run([*command, str(tmp_path / "bad.py")], cwd=ROOT, capture_output=True, text=True)
    assert bad.returncode == 1 and [issue["test_id"] for issue in json.loads(bad.stdout)["results"]] == ["B608"]
    assert subprocess.run([*command, str(tmp_path / "good.py")], cwd=ROOT, capture_output=True).returncode == 0


def test_bandit_reads_every_room_in_make_check() -> None:
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if "/bandit " in line]
    assert set(MAY_IMPORT) <= set(line.split())

"""Nothing that this system imports calls home."""

from __future__ import annotations

import subprocess
import sys

import pytest

WATCH = """
import sys
reached = []

def watch(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}:
        where = arguments[0] if event in {"socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"} else arguments[1]
        host = where[0] if isinstance(where, tuple) else where
        if isinstance(host, str) and host not in {"localhost", "127.0.0.1", "::1"} and not host.startswith("/"):
            reached.append(f"{event} {host}")
            raise OSError("no network")

sys.addaudithook(watch)
"""
OURS = (
    WATCH
    + """
import pkgutil
import llmops, prompts, vectorstore, chains, evals, server

for room in (llmops, prompts, vectorstore, chains, evals, server):
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
"""
)
THEIRS = (
    WATCH
    + """
import llmops
import mlflow, mlflow.tracking, chromadb, langchain, langchain_core, langgraph, sentence_transformers, transformers, onnxruntime, torch, fastapi
chromadb.EphemeralClient().get_or_create_collection("collection")
"""
)
REPORT = """
import threading, time
time.sleep(1.5)  # a thread that reports does so a little later
assert not reached, reached
print("quiet", [thread.name for thread in threading.enumerate() if "telemetry" in thread.name.lower()])
"""


@pytest.mark.parametrize("code", [OURS, THEIRS], ids=["all of ours", "all of theirs"])
def test_no_import_reaches_the_network(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code + REPORT], capture_output=True, text=True, timeout=240)
    assert done.stdout.strip().endswith("quiet []"), done.stdout + done.stderr[-3000:]


def test_telemetry_is_off_before_anything_else_is_imported() -> None:
    names = ["MLFLOW_DISABLE_TELEMETRY", "RAGAS_DO_NOT_TRACK", "ANONYMIZED_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "DO_NOT_TRACK"]
    code = f"import os, llmops; print(*(os.environ[name] for name in {names}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={"PATH": ""})
    assert done.stdout.split() == ["true", "true", "False", "0", "true"], done.stderr


def test_the_operators_own_choice_wins() -> None:
    code = "import os, llmops; print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={"MLFLOW_DISABLE_TELEMETRY": "false"})
    assert done.stdout.strip() == "false", done.stderr

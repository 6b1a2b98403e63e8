"""T51: on a disk that is full nothing is half written, what was written is read, the refusal says why, and all goes on once there is room."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import LLMOPS
from tests.server.conftest import Server, finished, wait_until
from tests.small_disk import SmallDisk, small_disk

PAGE = "The bridge number {} is long and crosses the river. "


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", megabytes=16) as made:
        yield made


@pytest.fixture
def env(disk: SmallDisk, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "llmops.toml").write_text('[mlflow]\ntracking_uri = "off"\n')
    (disk.inside / "tmp").mkdir()
    return {"LLMOPS_HOME": str(disk.folder / "home"), "TMPDIR": str(disk.folder / "tmp"), "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def llmops(disk: SmallDisk, env: dict[str, str], tmp_path: Path):
    return lambda *arguments: disk.run([LLMOPS, *arguments], cwd=tmp_path, env=env)


@pytest.fixture
def served(disk: SmallDisk, env: dict[str, str], tmp_path: Path, llmops) -> Iterator[Server]:
    key = json.loads(llmops("keys", "create", "admin", "--role", "admin", "--json").stdout)["key"]
    command = disk.command([LLMOPS, "serve", "--json", "--port", "0"], tmp_path)
    with (tmp_path / "stderr").open("a") as errors:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (tmp_path / "stderr").read_text()
    server = Server(tmp_path, process, json.loads(line)["url"], keys={"admin": key})
    wait_until(lambda: server.ready() is None, 30)
    yield server
    assert server.stop() == 0
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def documents(number: int, size: int = 1) -> dict:
    return {"collection": "docs", "documents": [{"external_id": f"d{number}", "text": PAGE.format(number) * size}]}


def test_t51_a_server_on_a_full_disk_refuses_reads_on_and_heals(served: Server, disk: SmallDisk, llmops) -> None:
    search = {"collection": "docs", "query": "the bridge over the river", "k": 1}
    ask = {"model": "rag", "messages": [{"role": "user", "content": "How long is the bridge number 1?"}]}
    with served.client() as client:
        assert finished(client, client.post("/api/v1/documents", json=documents(1)))["state"] == "done"
        disk.fill()
        for number in range(2, 40):  # what is free inside the store's own files may take a few
            refused = client.post("/api/v1/documents", json=documents(number, 2000))
            if refused.status_code != 202:
                break
        error = refused.json()["error"]
        assert refused.status_code in (503, 507) and refused.headers["Retry-After"]
        assert error["code"] == "disk_full" and "space" in error["hint"], error
        upload = client.post("/api/v1/documents", data={"collection": "docs"}, files={"file": ("a.md", PAGE.encode() * 20_000)})
        assert upload.status_code in (503, 507), upload.text
        assert client.post("/v1/chat/completions", json=ask).status_code in (200, 503)
        assert client.post("/api/v1/search", json=search).json()["hits"], "reads go on"
        assert client.get("/healthz").status_code == client.get("/api/v1/jobs").status_code == client.get("/metrics").status_code == 200
        disk.free()
        accepted = client.post("/api/v1/documents", json=documents(100))
        assert finished(client, accepted)["state"] == "done", "it heals by itself"
        wait_until(lambda: not {"queued", "running"} & {job["state"] for job in client.get("/api/v1/jobs").json()["data"]}, 90)
        assert client.post("/v1/chat/completions", json=ask).status_code == 200
    said = llmops("doctor")
    assert said.returncode == 0, said.stdout + said.stderr


def test_t51_an_ingestion_on_a_full_disk_says_so_and_goes_on_later(disk: SmallDisk, llmops, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for number in range(300):
        (pages / f"{number}.md").write_text(PAGE.format(number) * 8)
    assert llmops("keys", "create", "a", "--role", "admin").returncode == 0
    for leave in (0, 100_000, 1_000_000):
        disk.fill(leave)
        full = llmops("ingest", "pages", "--collection", "docs")
        assert full.returncode == 3 and "full" in full.stderr and "hint: " in full.stderr, full.stderr
        assert "Traceback" not in full.stderr
        disk.free()
    done = llmops("ingest", "pages", "--collection", "docs", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ready"] + told["unchanged"] == 300 and not told["failed"]
    said = llmops("doctor")
    assert said.returncode == 0, said.stdout + said.stderr
    rows = json.loads(llmops("documents", "list", "--collection", "docs", "--json").stdout)["data"]
    assert [row["state"] for row in rows] == ["ready"] * 300 and {row["version"] for row in rows} == {1}


def test_t51_a_segment_a_backup_and_a_restore_that_find_no_room_leave_nothing(disk: SmallDisk, llmops, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,text\n" + "".join(f"r{n},{PAGE.format(n)}\n" for n in range(400)))
    ingest = ("ingest", "rows.csv", "--collection", "docs", "--id-field", "id", "--text-field", "text")
    assert llmops(*ingest).returncode == 0
    home = disk.inside / "home"
    segment = next(path for path in (home / "indexes").glob("*/*") if path.is_dir())
    for file in segment.iterdir():
        file.unlink()
    segment.rmdir()
    disk.fill(200_000)
    again = llmops(*ingest)
    assert again.returncode == 0 and "cannot be written" in again.stderr, again.stderr
    assert not list(segment.parent.iterdir()), "no half of a segment is left"
    assert llmops("search", "bridge number 7", "--collection", "docs").returncode == 0
    for target in (disk.folder / "b.zip",):
        full = llmops("backup", target)
        assert full.returncode == 3 and "full" in full.stderr and "hint: " in full.stderr, full.stderr
    assert not list(disk.inside.glob("*b.zip*"))
    disk.free()
    assert llmops(*ingest).returncode == 0 and list(segment.parent.iterdir()), "the next ingestion writes it"
    assert llmops("backup", tmp_path / "b.zip").returncode == 0
    disk.fill(300_000)
    full = llmops("restore", tmp_path / "b.zip", "--force")
    assert full.returncode == 3 and "full" in full.stderr, full.stderr
    disk.free()
    assert not [path.name for path in home.iterdir() if "restor" in path.name]
    said = llmops("doctor")
    assert said.returncode == 0, said.stdout + said.stderr
    assert llmops("restore", tmp_path / "b.zip", "--force").returncode == 0


@pytest.mark.prove
def test_t51_an_encoder_that_finds_no_room_for_its_export_says_so(disk: SmallDisk, env: dict[str, str], tmp_path: Path) -> None:
    cache = {**env, "LLMOPS_CACHE": str(disk.folder / "cache")}
    full = disk.run([LLMOPS, "ingest", tmp_path / "llmops.toml", "--collection", "docs"], cwd=tmp_path, env=cache)
    assert full.returncode == 3 and "LLMOPS_CACHE" in full.stderr and "Traceback" not in full.stderr, full.stderr
    assert not list((disk.inside / "cache/encoder").glob("minilm-*[!k]")), "no half of an export is left"

"""Names that come over the API are names and never paths: nothing outside the home is read, written or made for one."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmops.access import keys
from llmops.home import Home
from llmops.jobs import worker
from server.app import make_app
from tests.conftest import OWNER
from tests.server.conftest import Client, bearer

SECRET = "swordfish"
CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate", "shutil.rmtree"}
Send = Callable[..., httpx.Response]

_watching: list[tuple[str, Any]] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching is not None and (event == "open" or event in CHANGES):
        _watching.append((event, arguments))


sys.addaudithook(_note)


@contextmanager
def confined(home: Path) -> Iterator[None]:
    """Nothing in the block opens the secret beside the home, or writes anywhere but in the home."""
    global _watching
    _watching = seen = []
    try:
        yield
    finally:
        _watching = None
    for event, (what, *how) in seen:
        if isinstance(what, int):
            continue
        path = os.path.realpath(os.fsdecode(what))
        assert os.path.basename(path) not in ("secret.md", "passwd", "hostname"), f"{event} {path}"
        writes = event != "open" or (isinstance(how[1], int) and how[1] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        at_home = any(path == place or path.startswith(f"{place}/") for place in (os.path.realpath(home), "/dev"))
        assert not writes or at_home or _is_spooled(path), f"{event} {path} {how}"


def _is_spooled(path: str) -> bool:
    """A large upload's file on the way, or a parser's folder: of the system's own temporary ones, with a name that nobody chose."""
    return os.path.dirname(path) == os.path.realpath(tempfile.gettempdir()) and os.path.basename(path).startswith(("tmp", "llmops-parser-"))


def test_the_watch_itself_sees_what_it_should(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret.md").touch()
    with confined(home):
        (home / "a").write_text("a")
        (home / "a").unlink()
        Path(__file__).read_text()
    for do in (lambda: (tmp_path / "secret.md").read_text(), lambda: (tmp_path / "b").write_text("b"), lambda: (tmp_path / "c").mkdir()):
        with pytest.raises(AssertionError), confined(home):
            do()


@pytest.fixture
def send(home: Home, tmp_path: Path) -> Iterator[Send]:
    """Send one request to an application in this process, and let its jobs run."""
    (tmp_path / "secret.md").write_text(f"# Secret\n\nThe password is {SECRET}.\n")
    app = make_app(home)
    token = home.store.write(lambda c: keys.create(c, OWNER, keys.Wanted("admin", "admin"))).key
    with asyncio.Runner() as runner:
        runner.run(app.state.rooms.load())

        def request(method: str, path: str, **options: Any) -> httpx.Response:
            async def go() -> httpx.Response:
                transport = httpx.ASGITransport(app, raise_app_exceptions=False)
                async with Client(transport=transport, base_url="http://localhost", headers=bearer(token)) as client:
                    return await client.request(method, path, **options)

            reply = runner.run(go())
            if reply.status_code == 202:
                worker.finish(home, "poc", reply.json()["id"])
            return reply

        assert request("POST", "/api/v1/documents", json=_document("first.md")).status_code == 202  # whatever is opened once
        yield request


def _document(external_id: str, **more: Any) -> dict[str, Any]:
    return {"collection": "docs", "documents": [{"external_id": external_id, "text": "# Boats\n\nThe boat is blue."}], **more}


def hostile() -> st.SearchStrategy[str]:
    """Names that lead elsewhere where they are taken for paths."""
    steps = st.sampled_from(
        ["..", "../..", ".", "", "secret.md", "%2e%2e", "%2e%2e%2f", "..\\", "\\", "C:\\", "~", "a\0b", "\0", "‥", "．．", "://", "#x", "?x"]
    )
    made = st.lists(steps, min_size=1, max_size=6).map("/".join)
    known = ["../secret.md", "/etc/passwd", "....//secret.md", "..%2fsecret.md", "%2e%2e/secret.md", "..\\secret.md", "secret.md\0.md", "CON.md"]
    known += ["file:///etc/passwd", "/proc/self/environ", "~/secret.md", "llmops.db", "../llmops.toml", "indexes/x.md", "a" * 400 + ".md"]
    texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
    return st.one_of(st.sampled_from(known), made, texts).map(lambda name: name if name.endswith(".md") else f"{name}.md") | st.sampled_from(known)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=hostile())
@example("../../../../../../etc/passwd")
@example("../secret.md")
@example("..\\..\\secret.md")
def test_t40_the_name_of_an_uploaded_file_is_no_path(send: Send, home: Home, tmp_path: Path, name: str) -> None:
    before = _tree(tmp_path)
    with confined(home.settings.home):
        filename = name.replace('"', "%22").replace("\r", " ").replace("\n", " ")
        body = '--b\r\nContent-Disposition: form-data; name="collection"\r\n\r\ndocs\r\n--b\r\nContent-Disposition: form-data; name="file"; '
        body += f'filename="{filename}"\r\n\r\n# Boats\n\nThe boat is blue.\r\n--b--\r\n'
        reply = send("POST", "/api/v1/documents", content=body.encode(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert reply.status_code in (202, 400, 422), reply.text
    assert _tree(tmp_path) == before
    if reply.status_code == 202:
        listed = send("GET", "/api/v1/documents", params={"collection": "docs", "limit": 1000}).json()["data"]
        assert all("/" not in one["external_id"] and "\\" not in one["external_id"] for one in listed)
    assert SECRET not in send("POST", "/api/v1/search", json={"collection": "docs", "query": SECRET}).text.replace('"query"', "")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(external_id=hostile(), source=hostile())
@example("../secret.md", "../..")
def test_t40_external_ids_and_sources_are_no_paths(send: Send, home: Home, tmp_path: Path, external_id: str, source: str) -> None:
    before = _tree(tmp_path)
    with confined(home.settings.home):
        reply = send("POST", "/api/v1/documents", json=_document(external_id, source=source))
    assert reply.status_code in (202, 422), reply.text
    assert _tree(tmp_path) == before
    if reply.status_code == 202:
        found = send("GET", "/api/v1/documents", params={"collection": "docs", "limit": 1000}).json()["data"]
        assert any((one["external_id"], one["source"]) == (external_id, source) for one in found), "kept as it was given"


PLACES = [
    ("GET", "/api/v1/collections/{}", {}),
    ("GET", "/api/v1/documents/{}", {}),
    ("GET", "/api/v1/documents/{}/text", {}),
    ("DELETE", "/api/v1/documents/{}", {}),
    ("GET", "/api/v1/jobs/{}", {}),
    ("GET", "/api/v1/answers/{}", {}),
    ("GET", "/v1/models/{}", {}),
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=hostile(), place=st.sampled_from(PLACES), encode=st.booleans())
def test_t40_ids_in_addresses_are_no_paths(send: Send, home: Home, tmp_path: Path, name: str, place: tuple[str, str, Any], encode: bool) -> None:
    method, path, _ = place
    before = _tree(tmp_path)
    part = quote(name, safe="") if encode else quote(name, safe="/%\\:~.")
    with confined(home.settings.home):
        reply = send(method, path.format(part))
    assert 400 <= reply.status_code < 500 or part.strip("./") == "", (reply.status_code, reply.text)
    assert _tree(tmp_path) == before and SECRET not in reply.text.replace(name, "")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "%2e%2e", "docs/../x", "a\0b", "..", ".", "~", "a\\b"])
def test_t40_collections_models_and_prompts_are_names(send: Send, home: Home, name: str) -> None:
    with confined(home.settings.home):
        for path, body in (
            ("/api/v1/documents", {**_document("a.md"), "collection": name}),
            ("/api/v1/search", {"collection": name, "query": "boat"}),
            ("/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "boat"}]}),
            ("/v1/chat/completions", {"model": "rag", "messages": [{"role": "user", "content": "boat"}], "llmops": {"collection": name}}),
            ("/v1/embeddings", {"model": name, "input": "boat"}),
            ("/api/v1/feedback", {"answer_id": name, "rating": "up"}),
        ):
            assert send("POST", path, json=body).status_code in (404, 422), (path, name)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "file://localhost/etc/passwd", "/etc/passwd", "../secret.md", "FILE:/etc/passwd", "\\\\host\\x"]
)
def test_t40_an_address_is_no_path(send: Send, home: Home, url: str) -> None:
    with confined(home.settings.home):
        documents = [{"external_id": "a", "url": url}]
        assert send("POST", "/api/v1/documents", json={"collection": "docs", "documents": documents}).status_code == 422


def _tree(folder: Path) -> dict[str, int]:
    """What lies beside the home."""
    return {path: os.lstat(folder / path).st_size for path in os.listdir(folder) if path != ".llmops"}

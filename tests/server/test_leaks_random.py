"""T10 at random: many askers and questions, rights that change meanwhile, every door, and a model that repeats all it is given."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from chains.bridge import LLMOpsRetriever
from llmops import plugins
from llmops.access import keys
from llmops.cli import main
from llmops.home import Home
from llmops.settings import Settings
from llmops.testing import HashEncoder
from llmops.types import Asker, ChatChunk, ChatRequest
from server.app import make_app
from tests.conftest import OWNER
from tests.vectorstore.filled import fill, new_version
from vectorstore.rows import collections, documents, vectors
from vectorstore.search import Searcher

WORDS = ("river", "harbour", "garden", "winter", "bridge", "tunnel", "market", "canal")
PEOPLE = [f"user:u{n}" for n in range(20)] + [f"group:g{n}" for n in range(20)]
DOCUMENTS, ASKERS, BLOCK = 120, 24, 500
CONFIGURATION = """
[mlflow]
tracking_uri = "off"
[[routes]]
name = "parrot"
targets = [{ provider = "parrot" }]
[[chains]]
name = "asked"
route = "parrot"
"""
_CANARY = re.compile(r"zq(\d+)x")


class Parrot:
    """A model that says everything that it was given."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        given = " ".join([*(str(message["content"]) for message in request.messages), *(passage.text for passage in request.passages)])
        yield ChatChunk(text=given, finish_reason="stop", model="parrot")


@dataclass
class World:
    """Documents with rights, askers, and what was handed out so far."""

    home: Home
    draw: random.Random
    token: str
    client: httpx.AsyncClient
    acls: dict[int, list[str]] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    versions: list[documents.NewVersion] = field(default_factory=list)
    askers: list[frozenset[str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    drawn: int = 0
    compared: int = 0
    found: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)

    def readable(self, who: frozenset[str]) -> set[int]:
        return {number for number, acl in self.acls.items() if set(acl) & (who | {"workspace:poc"})}

    def alone(self, who: frozenset[str]) -> str:
        """A collection that holds nothing but what they may read, in the same order, for equal scores are told apart by it."""
        return f"alone-{self.drawn}-{self.askers.index(who)}"

    def question(self) -> str:
        return f"Which topic{self.draw.randrange(DOCUMENTS)} of the {' '.join(self.draw.choices(WORDS, k=3))}?"


def text_of(number: int, draw: random.Random) -> str:
    return "\n\n".join(f"The topic{number} of the {' '.join(draw.choices(WORDS, k=4))} is zq{number}x in part {part}." for part in range(3))


def publish(world: World, name: str, versions: list[Any]) -> None:
    """As `fill`, with the vectors of the encoder."""
    texts = {chunk.text_hash: f"{v.title}\n{v.text[chunk.start : chunk.end]}" for v in versions for chunk in v.chunks}
    embedded = dict(zip(texts, world.home.encoder.embed(list(texts.values())), strict=True)) if texts else {}
    world.home.store.write(lambda c: vectors.keep(c, HashEncoder.identity, embedded))
    fill(world.home, name, versions)


def draw_rights(world: World, numbers: list[int]) -> None:
    """Give these documents new rights, and every asker the collection that a search must agree with."""
    collection = world.home.store.read(lambda c: collections.find(c, "poc", "docs"))
    states = world.home.store.read(lambda c: documents.states_of(c, collection.row, "api", map(str, numbers)))
    for number in numbers:
        size = world.draw.choice([0, 1, 1, 2, 3, 4])
        acl = ["workspace:poc"] if world.draw.random() < 0.1 else sorted(world.draw.sample(PEOPLE, size))
        world.acls[number] = acl
        world.home.store.write(lambda c, n=number, a=acl: documents.set_rights(c, collection, [states[str(n)].row], a))
    world.drawn += 1
    for who in world.askers:
        fill(world.home, world.alone(who), [version for version in world.versions if int(version.external_id) in world.readable(who)])


@pytest.fixture
def world(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    (tmp_path / "llmops.toml").write_text(CONFIGURATION)
    monkeypatch.setattr(plugins, "_registered", dict(plugins._registered))
    plugins.register("providers", "parrot")(lambda target, context: Parrot())
    monkeypatch.setattr("llmops.encoder.load_encoder", lambda settings: HashEncoder())
    with Home(Settings.load(tmp_path / "llmops.toml")) as home:
        wanted = keys.Wanted("backend", "admin", act_as=("user:*", "group:*"))
        made = home.store.write(lambda c: keys.create(c, OWNER, wanted))
        app = make_app(home)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=60)
        seed = request.config.getoption("markexpr") == "prove"
        world = World(home, random.Random() if seed else random.Random(10), made.key, client)
        asyncio.run(app.state.rooms.load())
        world.askers = [frozenset(world.draw.sample(PEOPLE, world.draw.choice([1, 2, 3, 6]))) for _ in range(ASKERS)]
        world.askers = list(dict.fromkeys(world.askers))
        world.versions = [new_version(str(n), text_of(n, world.draw), {"n": n % 3}) for n in range(DOCUMENTS)]
        publish(world, "docs", world.versions)
        listed = home.store.read(lambda c: _ids(c))
        world.ids = {int(name): document_id for name, document_id in listed.items()}
        draw_rights(world, list(range(DOCUMENTS)))
        yield world


def _ids(connection: Any) -> dict[str, str]:
    from vectorstore.documents import listed

    return {row["external_id"]: row["document_id"] for row in listed(connection, OWNER, "docs")}


# --- The doors --------------------------------------------------------------------------------------------------------


async def http(world: World, who: frozenset[str], method: str, path: str, **how: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {world.token}", "Llmops-As": ",".join(sorted(who))}
    reply = await world.client.request(method, path, headers=headers, **how)
    assert reply.status_code in (200, 404), reply.text
    return reply


async def search(world: World, who: frozenset[str], question: str) -> str:
    """And what is found is what a search over the readable ones alone finds."""
    filter = world.draw.choice([None, None, {"n": 1}, {"n": {"$in": [0, 2]}}, {"$or": [{"n": 1}, {"n": 2}]}])
    reply = await http(world, who, "POST", "/api/v1/search", json={"collection": "docs", "query": question, "k": 10, "filter": filter})
    hits = reply.json()["hits"]
    alone = Searcher(world.home).search(question, collection=world.alone(who), asker=OWNER, k=10, filter=filter)
    expected = {(hit.passage.external_id, hit.passage.start) for hit in alone.hits}
    world.compared += len(expected)
    world.found += len(expected & {(hit["external_id"], hit["start"]) for hit in hits})
    return reply.text


async def chat(world: World, who: frozenset[str], question: str, *, stream: bool = False) -> str:
    body = {"model": "asked", "stream": stream, "messages": [{"role": "user", "content": question}]}
    reply = await http(world, who, "POST", "/v1/chat/completions", json=body)
    world.answers += re.findall(r"ans_[0-9a-f]{32}", reply.text)[:1]
    return reply.text


async def stream(world: World, who: frozenset[str], question: str) -> str:
    return await chat(world, who, question, stream=True)


async def answer(world: World, who: frozenset[str], question: str) -> str:
    return (await http(world, who, "GET", f"/api/v1/answers/{world.draw.choice(world.answers)}")).text if world.answers else ""


async def document(world: World, who: frozenset[str], question: str) -> str:
    number = world.draw.randrange(DOCUMENTS)
    path = f"/api/v1/documents/{world.ids[number]}{world.draw.choice(['', '/text', '/acl', '/text?version=1'])}"
    reply = await http(world, who, "GET", path)
    assert (reply.status_code == 200) == (number in world.readable(who))
    return reply.text


async def listing(world: World, who: frozenset[str], question: str) -> str:
    reply = await http(world, who, "GET", "/api/v1/documents", params={"collection": "docs", "limit": 1000})
    assert {int(row["external_id"]) for row in reply.json()["data"]} == world.readable(who)
    counted = (await http(world, who, "GET", "/api/v1/collections/docs")).json()
    assert counted["documents"]["ready"] == len(world.readable(who))
    return " ".join(f"zq{row['external_id']}x" for row in reply.json()["data"])


async def feedback(world: World, who: frozenset[str], question: str) -> str:
    if world.answers:
        said = {"answer_id": world.draw.choice(world.answers), "rating": "up"}
        reply = await world.client.post("/api/v1/feedback", json=said, headers={"Authorization": f"Bearer {world.token}", "Llmops-As": min(who)})
        assert reply.status_code in (201, 404, 429), reply.text
    return (await http(world, who, "GET", "/api/v1/feedback", params={"limit": 50})).text


async def langchain(world: World, who: frozenset[str], question: str) -> str:
    asker = Asker("poc", who | {"workspace:poc"}, name="langchain")
    found = await LLMOpsRetriever(searcher=Searcher(world.home), collection="docs", asker=asker, k=20).ainvoke(question)
    return " ".join(document.page_content for document in found)


def command(world: World, who: frozenset[str], question: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LLMOPS_KEY", world.token)
    options = ["--json", "--as", ",".join(sorted(who)), "--config", "llmops.toml"]
    asked = world.draw.choice([["search", question, "--collection", "docs"], ["ask", question, "--chain", "asked"], ["feedback", "export"]])
    ran = CliRunner().invoke(main, [*asked, *options])
    assert ran.exit_code == 0, ran.output
    return ran.output


DOORS: dict[Callable[..., Any], int] = {search: 45, chat: 14, stream: 8, answer: 10, document: 14, listing: 2, feedback: 3, langchain: 4}


async def ask(world: World, who: frozenset[str], door: Callable[..., Any]) -> None:
    told = await door(world, who, world.question())
    seen = {int(number) for number in _CANARY.findall(told)}
    assert seen <= world.readable(who), (door.__name__, sorted(who), sorted(seen - world.readable(who)))
    world.calls[door.__name__] += 1
    world.shown[door.__name__] += bool(seen)


def go_through(world: World, pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in range(0, pairs, BLOCK):

        async def block(count: int) -> None:
            for door in world.draw.choices(list(DOORS), list(DOORS.values()), k=count):
                await ask(world, world.draw.choice(world.askers), door)

        asyncio.run(block(min(BLOCK, pairs - first)))
        for _ in range(5):
            who = world.draw.choice(world.askers)
            seen = {int(number) for number in _CANARY.findall(command(world, who, world.question(), monkeypatch))}
            assert seen <= world.readable(who)
            world.calls["command"] += 1
        draw_rights(world, world.draw.sample(range(DOCUMENTS), 20))
    assert world.found == world.compared > pairs, "recall@10 of what the asker may see is 1"
    silent = [door for door in world.calls if not world.shown[door] and door not in ("command", "feedback")]
    assert not silent, f"doors that showed nothing prove nothing: {silent} of {json.dumps(world.calls)}"


def test_t10_no_door_shows_anybody_what_is_not_for_them_whoever_asks_what(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    go_through(world, 300, monkeypatch)


@pytest.mark.prove(10_000)
@pytest.mark.timeout(1800)
def test_t10_ten_thousand_askers_and_questions_leak_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    go_through(world, 10_000, monkeypatch)

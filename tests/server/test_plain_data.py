"""What looks like an object's description to some library stays the plain data that it came as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmops.errors import InvalidInput
from llmops.home import Home
from llmops.jobs import worker
from llmops.types import Asker
from tests.conftest import Ran
from tests.server.conftest import Client, bearer
from tests.server.test_paths import Send, send  # noqa: F401  # a fixture
from vectorstore import documents
from vectorstore.documents import Handed
from vectorstore.filters import compile_filter
from vectorstore.index.columns import Columns

TELLING = [
    "lc",
    "type",
    "id",
    "kwargs",
    "__class__",
    "__proto__",
    "constructor",
    "$ref",
    "$type",
    "@type",
    "py/object",
    "py/reduce",
    "!!python/object",
]
VALUES = [
    1,
    "constructor",
    "secret",
    "OPENAI_API_KEY",
    "os.system",
    "#/definitions/x",
    "builtins.eval",
    "{{''.__class__}}",
    "langchain",
    True,
    None,
    2.5,
]
VALUES += ['{"lc": 1, "type": "constructor", "id": ["langchain", "llms", "OpenAI"], "kwargs": {}}', "!!python/object/apply:os.system ['true']"]
PLAIN = (
    st.sampled_from(VALUES) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20) | st.integers(-(2**40), 2**40)
)
METADATA = st.dictionaries(st.sampled_from(TELLING) | st.text("ab_$@", min_size=1, max_size=5), PLAIN, max_size=6)
LANGCHAIN: dict[str, Any] = {"lc": 1, "type": "constructor", "id": ["langchain", "llms", "openai", "OpenAI"], "kwargs": {"api_key": "x"}}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metadata=METADATA)
@example({"lc": 1, "type": "secret", "id": "OPENAI_API_KEY"})
@example({"__class__": "os.system", "__proto__": "x", "$ref": "#/x", "py/object": "os.system"})
def test_t38_metadata_come_back_as_they_were_given(send: Send, metadata: dict[str, Any]) -> None:  # noqa: F811
    document = {"external_id": "boat.md", "text": "# Boats\n\nThe boat is blue.", "metadata": metadata, "title": json.dumps(metadata)[:900]}
    reply = send("POST", "/api/v1/documents", json={"collection": "docs", "documents": [document]})
    assert reply.status_code == 202, reply.text
    [listed] = [one for one in send("GET", "/api/v1/documents", params={"collection": "docs"}).json()["data"] if one["external_id"] == "boat.md"]
    shown = send("GET", f"/api/v1/documents/{listed['document_id']}").json()
    assert shown["metadata"] == {"language": shown["metadata"]["language"], **metadata} and shown["title"] == document["title"]
    for name, value in metadata.items():
        if not name.startswith("$") and value is not None:
            found = send("POST", "/api/v1/search", json={"collection": "docs", "query": "boat", "filter": {name: value}})
            assert found.status_code == 200 and any(hit["external_id"] == "boat.md" for hit in found.json()["hits"]), (name, value)


@pytest.mark.parametrize("metadata", [LANGCHAIN, {"a": LANGCHAIN}, {"__proto__": {"owner": True}}, {"a": [LANGCHAIN]}, {"__class__": {"x": 1}}])
def test_t38_objects_within_metadata_are_refused(send: Send, metadata: dict[str, Any]) -> None:  # noqa: F811
    document = {"external_id": "boat.md", "text": "x", "metadata": metadata}
    assert send("POST", "/api/v1/documents", json={"collection": "docs", "documents": [document]}).status_code == 422


@pytest.mark.parametrize(
    "filter_", [LANGCHAIN, {"a": LANGCHAIN}, {"$ref": "#/x"}, {"__proto__": {"owner": True}}, {"$where": "1"}, {"a": {"$regex": "x"}}]
)
def test_t38_a_filter_is_its_own_few_operators(send: Send, filter_: dict[str, Any]) -> None:  # noqa: F811
    reply = send("POST", "/api/v1/search", json={"collection": "docs", "query": "boat", "filter": filter_})
    assert (reply.status_code, reply.json()["error"]["param"]) in [(422, "filter")] or not reply.json()["hits"], reply.text


@given(
    spec=st.recursive(
        PLAIN | st.sampled_from(["$eq", "$and"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*TELLING, "$and", "$or", "$in", "$gt", "a"]), inner, max_size=3),
        max_leaves=8,
    )
)
def test_t38_any_filter_is_a_predicate_or_an_error_of_ours(spec: Any) -> None:
    try:
        matches = compile_filter(spec)
    except InvalidInput:
        return
    told = matches(Columns().with_versions({(1, 1): {"a": 1, "lc": 1, "type": "constructor", "__class__": "x"}}))
    assert told.tolist() in ([True], [False])


async def test_t38_fields_of_messages_stay_plain_on_record(client: Client, key: Any, home: Home) -> None:
    token = key()
    more = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "SystemMessage"], "__class__": "x", "kwargs": LANGCHAIN}
    worker.finish(home, "poc", documents.accept(home, Asker("poc", owner=True), "docs", [Handed("a.md", "a.md", b"# Boats\n\nThe boat is blue.")]))
    messages = [{"role": "user", "content": "Which colour has the boat?", **more}]
    body = {"model": "rag", "messages": messages, "metadata": LANGCHAIN, "__proto__": {"owner": True}}
    reply = await client.post("/v1/chat/completions", headers=bearer(token), json=body)
    assert reply.status_code == 200, reply.text
    shown = await client.get(f"/api/v1/answers/{reply.json()['llmops']['answer_id']}", headers=bearer(token))
    assert shown.json()["messages"] == messages and shown.json()["parameters"]["metadata"] == LANGCHAIN
    assert shown.json().get("owner", False) is False


def test_t38_front_matter_rows_and_the_command_line_make_no_objects(home: Home, cli: Any, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    ran = tmp_path / "ran"
    (folder / "a.md").write_text(f"---\ntitle: !!python/object/apply:os.system ['touch {ran}']\nlc: 1\n---\n# Boats\n\nThe boat is blue.\n")
    row = {"text": "The boat is red.", "lc": 1, "type": "constructor", "__class__": "x", "nested": LANGCHAIN}
    (folder / "b.jsonl").write_text(json.dumps(row) + "\n")
    done: Ran = cli("ingest", folder, "--collection", "docs", "--text-field", "text", "--json")
    assert done.rc == 0 and not ran.exists(), done.stderr
    found: Ran = cli("search", "boat", "--collection", "docs", "--filter", json.dumps({"lc": 1, "type": "constructor"}), "--json")
    assert found.rc == 0 and [hit["external_id"] for hit in found.json["hits"]] == ["b.jsonl#1"], found.stdout
    shown: Ran = cli("documents", "show", found.json["hits"][0]["document_id"], "--json")
    assert (shown.json["metadata"]["lc"], shown.json["metadata"]["type"], shown.json["metadata"]["__class__"]) == (1, "constructor", "x")


@pytest.mark.parametrize("given_", [[1.5], [[0.1, 0.2]], [{"lc": 1}], {"a": 1}, [None], [True], 3, [], [[1, 2]], None])
async def test_t46_an_embedding_takes_texts_and_nothing_else(client: Client, key: Any, given_: Any) -> None:
    reply = await client.post("/v1/embeddings", headers=bearer(key()), json={"model": "minilm", "input": given_})
    assert reply.status_code in (400, 422) and reply.json()["error"]["message"], reply.text

"""T34: an ingestion that is killed loses nothing it accepted and shows nothing by halves."""

from __future__ import annotations

import random

import pytest

from tests.crash import LLMOPS, crash_after, crash_at
from tests.vectorstore.invariants import check_collection

DOCUMENTS, PROVED = 120, 300  # more than are published at once; the second where `make prove` does it at its full count
# How often each is passed with PROVED: a document is read and parsed alone, and published with a hundred others.
FAILPOINTS = {"ingest.read": 300, "ingest.parsed": 300, "ingest.embedded": 3, "ingest.publishing": 3, "ingest.published": 3, "ingest.indexed": 1}


@pytest.fixture
def folder(tmp_path, request):
    root = tmp_path / "pages"
    root.mkdir()
    words = ["river", "mountain", "harbour", "library", "engine", "garden", "winter", "bridge"]
    for number in range(PROVED if request.node.get_closest_marker("prove") else DOCUMENTS):
        chosen = random.Random(number).choices(words, k=12)
        (root / f"page-{number:03d}.md").write_text(f"# Page {number}\n\nNumber {number} tells of {' and '.join(chosen)}.\n")
    return root


def settle(cli, folder, home, collection="docs"):
    """What a user does after a crash: the same command again."""
    documents = len(list(folder.iterdir()))
    again = cli("ingest", folder, "--collection", collection, "--json")
    assert again.rc == 0, again.stderr
    assert again.json["failed"] == []
    assert again.json["ready"] + again.json["unchanged"] == documents
    rows = cli("documents", "list", "--collection", collection, "--json").json["data"]
    assert [row["state"] for row in rows] == ["ready"] * documents
    assert {row["version"] for row in rows} == {1}, "a document was made twice"
    check_collection(home, collection, ["a garden in winter", "number 112"])


ONCE = [*FAILPOINTS, "ingest.embedded:2", "ingest.read:110", "ingest.published:2", "ingest.publishing:2"]


# Each on one of the stores, in turn; `make prove` kills five times at each on both.
@pytest.mark.parametrize(
    ("store_settings", "failpoint"), [(("sqlite", "postgresql")[place % 2], name) for place, name in enumerate(ONCE)], indirect=["store_settings"]
)
def test_t34_killed_at_a_failpoint(store_home, cli, folder, tmp_path, failpoint):
    crash_at(failpoint, ["ingest", folder, "--collection", "docs"], program=LLMOPS, cwd=tmp_path)
    settle(cli, folder, store_home)


@pytest.mark.prove(5)
@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_t34_killed_five_times_at_each_failpoint(store_home, cli, folder, tmp_path, failpoint):
    draw = random.Random(failpoint)
    for number in range(5):
        collection = f"docs-{number}"
        crash_at(
            f"{failpoint}:{draw.randint(1, FAILPOINTS[failpoint])}", ["ingest", folder, "--collection", collection], program=LLMOPS, cwd=tmp_path
        )
        settle(cli, folder, store_home, collection)


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=[pytest.mark.prove(50), pytest.mark.timeout(3600)])])
def test_t34_killed_at_random_times(home, cli, folder, tmp_path, kills):
    draw, end = random.Random(kills), len(list(folder.iterdir())) / 100  # by then it is over, on an idle machine
    for number in range(kills):
        collection = f"docs-{number}"
        crash_after(draw.uniform(0.2, end), ["ingest", folder, "--collection", collection], program=LLMOPS, cwd=tmp_path)
        settle(cli, folder, home, collection)

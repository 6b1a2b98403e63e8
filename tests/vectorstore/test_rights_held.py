"""T10, T11: nobody comes to read, replace or take away what is not for them by ingesting, pruning or promoting. On both stores."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.access import audit
from llmops.errors import InvalidInput, NotPermitted, UnknownName
from llmops.home import Home
from llmops.jobs import rows as jobs
from llmops.jobs.worker import finish
from llmops.types import Asker, Json
from tests.conftest import OWNER
from tests.vectorstore.filled import fill, new_version
from vectorstore import documents, ingest, promotion, sharing
from vectorstore.documents import Handed
from vectorstore.rows import listing
from vectorstore.search import Searcher
from vectorstore.sources import Order

DEV = Asker("dev", owner=True, role="admin")
MAL = Asker("poc", frozenset({"user:mal", "workspace:poc"}), name="key:mal", role="ml-engineer")
EVE = Asker("poc", frozenset({"user:eve", "workspace:poc"}), name="key:eve", role="data-engineer")


def hand_in(home: Home, asker: Asker, texts: dict[str, str], acl: list[str] | None = None) -> Json:
    handed = [Handed(name, name, text.encode(), acl=acl) for name, text in texts.items()]
    job = finish(home, asker.workspace, documents.accept(home, asker, "docs", handed))
    assert job.state == "done", job.error
    return dict(job.result or {})


def promote(home: Home, by: Asker, to: str) -> Json:
    job = finish(home, by.workspace, promotion.order(home, by, "docs", to))
    assert job.state == "done", job.error
    return dict(job.result or {})


def texts(home: Home, asker: Asker, **where: Any) -> list[str]:
    found = Searcher(home).search("record", collection="docs", asker=asker, k=100, **where)
    return sorted(hit.passage.text for hit in found.hits)


def rights(home: Home, asker: Asker, name: str) -> Json:
    [row] = [row for row in home.store.read(lambda c: documents.listed(c, asker, "docs")) if row["external_id"] == name]
    return home.store.read(lambda c: {**listing.rights_of(c, row["row"]), "id": row["document_id"]})


# --- Promotion --------------------------------------------------------------------------------------------------------


def test_t10_a_promotion_opens_replaces_and_withdraws_nothing_that_its_key_may_not_read(quick: Home) -> None:
    hand_in(quick, DEV, {"pay.md": "record of the salary", "bonus.md": "record of the bonus"}, ["group:hr"])
    hand_in(quick, MAL, {"pay.md": "record that is not true", "new.md": "record that is new"}, ["user:mal", "workspace:poc"])
    told = promote(quick, MAL, "dev")
    assert told["complete"] is False and not {"documents", "withdrawn", "refused"} & told.keys(), "and no number tells of what is hidden"
    member = Asker("dev", frozenset({"workspace:dev", "user:mal"}), name="key:member")
    assert texts(quick, member) == ["record that is new"] and texts(quick, member, at=1) == []
    assert texts(quick, Asker("dev", frozenset({"group:hr"}))) == ["record of the bonus", "record of the salary"]
    with pytest.raises(UnknownName):
        quick.store.read(lambda c: documents.text(c, member, rights(quick, DEV, "pay.md")["id"], 1))
    assert quick.store.read(lambda c: audit.entries(c, "dev", 1))[0].detail["refused"] == 2, "the audit log has the numbers"
    assert promote(quick, OWNER, "dev")["complete"] is True
    assert texts(quick, DEV) == ["record that is new", "record that is not true"], "the owner may"


def test_t10_a_promotion_widens_no_collection_that_is_closed_to_its_key(quick: Home) -> None:
    quick.store.write(lambda c: documents.create_collection(c, DEV, "docs", "hash", ["group:hr"]))
    hand_in(quick, DEV, {"pay.md": "record of the salary"})
    hand_in(quick, MAL, {"new.md": "record that is new"})
    promote(quick, MAL, "dev")
    assert quick.store.read(lambda c: sharing.collection_rights(c, DEV, "docs"))["acl"] == ["group:hr"]
    assert texts(quick, Asker("dev", frozenset({"workspace:dev"}))) == ["record that is new"]


def test_t10_what_kept_another_list_follows_the_collection_no_more(quick: Home) -> None:
    """A document that a promotion withdrew must not be dragged along when the collection is opened later."""
    quick.store.write(lambda c: documents.create_collection(c, DEV, "docs", "hash", ["group:hr"]))
    hand_in(quick, DEV, {"pay.md": "record of the salary"})
    shown = rights(quick, DEV, "pay.md")["id"]
    hand_in(quick, OWNER, {"new.md": "record that is new"})
    promote(quick, OWNER, "dev")
    quick.store.write(lambda c: sharing.share_collection(c, DEV, "docs", ["workspace:dev", "user:w"]))
    assert texts(quick, Asker("dev", frozenset({"user:w"})), at=1) == []
    assert quick.store.read(lambda c: sharing.rights(c, DEV, shown)) == {"document_id": shown, "acl": ["group:hr"], "inherited": False}


def test_a_promotion_into_a_source_makes_its_files_be_read_again(quick: Home, tmp_path) -> None:
    (tmp_path / "a.md").write_text("record of its own")
    order = Order("docs", "api", str(tmp_path / "a.md")).to_json()

    def ingest_again() -> Json:
        return finish(quick, "dev", quick.store.write(lambda c: jobs.enqueue(c, "ingest", "dev", "owner", order))).result

    assert ingest_again()["ready"] == 1
    hand_in(quick, OWNER, {"a.md": "record that was promoted"})
    promote(quick, OWNER, "dev")
    assert texts(quick, DEV) == ["record that was promoted"]
    assert ingest_again()["ready"] == 1 and texts(quick, DEV) == ["record of its own"]


# --- Ingestion --------------------------------------------------------------------------------------------------------


def test_t10_a_document_that_is_closed_while_a_job_runs_is_not_replaced(quick: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    hand_in(quick, OWNER, {"plan.md": "record of the plan"})
    shared = rights(quick, OWNER, "plan.md")["id"]
    run = ingest._Ingestion.run

    def late(ingestion: Any) -> None:
        quick.store.write(lambda c: sharing.share(c, OWNER, shared, ["group:hr"]))
        fill(quick, "docs", [new_version("late.md", "record that came meanwhile", acl=["group:hr"])])
        run(ingestion)

    monkeypatch.setattr(ingest._Ingestion, "run", late)
    told = hand_in(quick, EVE, {"plan.md": "record of Eve", "late.md": "record of Eve", "mine.md": "record of Eve alone"}, ["user:eve"])
    assert (told["ready"], {row["external_id"]: row["error"] for row in told["failed"]}) == (
        1,
        dict.fromkeys(["plan.md", "late.md"], ingest.ANOTHERS),
    )
    assert texts(quick, EVE) == ["record of Eve alone"] and rights(quick, OWNER, "plan.md")["acl"] == ["group:hr"]
    assert texts(quick, Asker("poc", frozenset({"group:hr"}))) == ["record of the plan", "record that came meanwhile"]


def test_t10_a_key_prunes_nothing_that_it_may_not_read(quick: Home, tmp_path) -> None:
    hand_in(quick, OWNER, {"bobs.md": "record of Bob"}, ["user:bob"])
    hand_in(quick, EVE, {"old.md": "record of Eve"}, ["user:eve"])
    (tmp_path / "new.md").write_text("record that is new")
    order = Order("docs", "api", str(tmp_path / "new.md"), prune=True, principals=sorted(EVE.principals)).to_json()
    told = finish(quick, "poc", quick.store.write(lambda c: jobs.enqueue(c, "ingest", "poc", EVE.name, order))).result
    assert (told["ready"], told["withdrawn"]) == (1, 1)
    assert texts(quick, OWNER) == ["record of Bob", "record that is new"]


def test_t11_the_same_file_with_the_same_list_takes_back_what_was_shared_otherwise(quick: Home, tmp_path) -> None:
    (tmp_path / "a.md").write_text("record of a")
    order = Order("docs", "api", str(tmp_path / "a.md"), acl=["group:hr"]).to_json()
    for _ in range(2):
        assert finish(quick, "poc", quick.store.write(lambda c: jobs.enqueue(c, "ingest", "poc", "owner", order))).state == "done"
        assert rights(quick, OWNER, "a.md")["acl"] == ["group:hr"]
        quick.store.write(lambda c: sharing.share(c, OWNER, rights(quick, OWNER, "a.md")["id"], ["workspace:poc"]))


def test_t06_a_key_that_may_not_share_gives_no_list_with_its_documents(quick: Home) -> None:
    writer = Asker("poc", frozenset({"workspace:poc"}), name="key:w", role="data-engineer", scopes=frozenset({"documents:write"}))
    with pytest.raises(NotPermitted):
        documents.accept(quick, writer, "docs", [Handed("a.md", "a.md", b"record", acl=["user:w"])])
    hand_in(quick, writer, {"a.md": "record"})


def test_a_list_names_no_other_workspace(quick: Home) -> None:
    for acl in (["workspace:pocc"], ["user:alice", "workspace:dev"]):
        with pytest.raises(InvalidInput) as refused:
            documents.accept(quick, OWNER, "docs", [Handed("a.md", "a.md", b"record", acl=acl)])
        assert (refused.value.param, "workspace:poc" in refused.value.hint) == ("acl", True)
    with pytest.raises(InvalidInput, match="1,001 principals"):
        documents.accept(quick, OWNER, "docs", [Handed("a.md", "a.md", b"record", acl=[f"user:u{n}" for n in range(1001)])])

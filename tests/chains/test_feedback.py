"""T43: feedback is bound to an answer that the rater may see, one voice each, and a flood is held up. On both stores."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from chains import feedback
from chains.tables import answers
from chains.tables import feedback as feedback_table
from llmops.errors import InvalidInput, RateLimited, UnknownName
from llmops.store.store import Store
from llmops.types import Asker, Json
from tests.conftest import OWNER

ALICE, BOB = (Asker("poc", frozenset({f"user:{name}"}), name=f"key:shop as user:{name}") for name in ("alice", "bob"))


def abstained(store: Store, asker: Asker, workspace: str = "poc") -> str:
    """An answer of somebody's that rests on no document."""
    plain = {"Integer": 1, "Double": 1.0, "Boolean": False, "LargeBinary": b""}
    values: dict[str, Any] = {column.name: plain.get(type(column.type).__name__, "x") for column in answers.columns if column.name != "row"}
    values |= {name: [] for name in ("principals", "messages", "passages", "citations")}
    values |= {
        "id": f"ans_{uuid.uuid4().hex}",
        "workspace": workspace,
        "asker": asker.name,
        "seq": 1,
        "filter": None,
        "parameters": {},
        "timings": {},
    }
    store.write(lambda c: c.execute(answers.insert().values(**values)))
    return values["id"]


def give(store: Store, asker: Asker, answer_id: str, rating: Any = "up", **more: str) -> Json:
    return store.write(lambda c: feedback.give(c, asker, answer_id, rating, **more))


def rows(store: Store) -> list[Json]:
    return store.read(lambda c: [dict(row) for row in c.execute(feedback_table.select()).mappings()])


def test_t43_a_forged_answer_and_anothers_take_no_rating(store: Store) -> None:
    mine, others, elsewhere = abstained(store, ALICE), abstained(store, BOB), abstained(store, ALICE, "dev")
    for forged in (others, elsewhere, f"ans_{'0' * 32}", "", "' or 1=1 --", mine.upper()):
        with pytest.raises(UnknownName):
            give(store, ALICE, forged)
    assert give(store, ALICE, mine)["answer_id"] == mine and len(rows(store)) == 1


def test_t43_a_rating_that_is_sent_again_is_one_voice_and_what_was_said_last_counts(store: Store) -> None:
    mine = abstained(store, ALICE)
    given = {give(store, ALICE, mine, rating, comment=f"said {n}")["id"] for n, rating in enumerate(["up", "up", 1, "down"])}
    [row] = rows(store)
    assert len(given) == 1 and (row["rating"], row["comment"], row["rater"]) == ("down", "said 3", ALICE.name)
    give(store, OWNER, mine, 5)
    assert sorted(row["rating"] for row in rows(store)) == ["5", "down"], "another's voice is another's"


def test_t43_a_flood_of_ratings_is_held_up_and_hinders_nobody_else(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "MOST_PER_MINUTE", 20)
    for _ in range(20):
        give(store, ALICE, abstained(store, ALICE))
    with pytest.raises(RateLimited) as held_up:
        give(store, ALICE, abstained(store, ALICE))
    assert (held_up.value.status, held_up.value.retry_after) == (429, 60) and len(rows(store)) == 20
    give(store, BOB, abstained(store, BOB))
    elsewhere = Asker("dev", name=ALICE.name)
    give(store, elsewhere, abstained(store, elsewhere, "dev"))


def test_t43_the_same_rating_again_and_again_is_a_flood_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "MOST_PER_MINUTE", 20)
    mine = abstained(store, ALICE)
    for number in range(20):
        give(store, ALICE, mine, comment=str(number))
    with pytest.raises(RateLimited):
        give(store, ALICE, mine)


@pytest.mark.parametrize("rating", [None, True, 0, 6, "UP", "", 1.5, [1], {"up": 1}], ids=str)
def test_t43_what_is_no_rating(store: Store, rating: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        give(store, ALICE, abstained(store, ALICE), rating)
    assert refused.value.param == "rating" and not rows(store)


def test_t43_a_text_is_kept_as_it_was_given_or_refused(store: Store) -> None:
    mine = abstained(store, ALICE)
    with pytest.raises(InvalidInput):
        give(store, ALICE, mine, comment="x" * (feedback.LONGEST + 1))
    give(store, ALICE, mine, better="日本語の答え\n=cmd", comment="x" * feedback.LONGEST)
    [shown] = store.read(lambda c: list(feedback.all_of(c, ALICE)))
    assert shown["better"] == "日本語の答え\n=cmd" and len(shown["comment"]) == feedback.LONGEST


def test_feedback_is_shown_to_those_who_may_see_the_answer_page_by_page(store: Store) -> None:
    for asker in (ALICE, BOB, ALICE, ALICE):
        give(store, asker, abstained(store, asker))
    assert len(store.read(lambda c: list(feedback.all_of(c, ALICE)))) == 3
    assert len(store.read(lambda c: list(feedback.all_of(c, OWNER)))) == 4
    seen, before, pages = [], None, 0
    while True:
        page, before = store.read(lambda c, b=before: feedback.listed(c, ALICE, b, 2))
        seen, pages = seen + page, pages + 1
        if before is None:
            break
    assert len({row["id"] for row in seen}) == len(seen) == 3 and pages == 3

"""The dated result of `make prove`."""

from __future__ import annotations

import re

from tests.proof import PAGE, ROOT, Proved, render


def test_a_row_says_what_was_done_how_often_and_what_came_of_it() -> None:
    held = Proved("test_t34_killed_at_random_times", "vectorstore/test_ingest_crash.py", 50, {"a"}, set(), 311.6)
    broke = Proved("test_t53_t54_a_kill", "llmops/test_migrations.py", 40, {"a", "b"}, {"b"}, 9.4)
    page = render([broke, held]).splitlines()
    assert page[-2] == "| T34 | [killed at random times](../tests/vectorstore/test_ingest_crash.py) | 50 | held | 312 |"
    assert page[-1] == "| T53, T54 | [a kill](../tests/llmops/test_migrations.py) | 40 | 1 of 2 runs failed | 9 |"


def test_the_page_tells_of_tests_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| [T\d, ]*\| \[([\w ]+)\]\(\.\./tests/([\w/.]+)\) \| \d+ \|", text, re.MULTILINE)
    assert rows and re.search(r"\d{4}-\d\d-\d\d, commit", text)
    for words, file in rows:
        assert f"_{words.replace(' ', '_')}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{words}: run `make prove` again"

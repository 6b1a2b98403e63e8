"""The quality report of a collection, and that of one run: what its asker may read, computed from rows whenever it is asked for."""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from llmops.store.store import Connection
from llmops.types import Asker, Json
from vectorstore import drift, duplicates
from vectorstore.load import loader_for
from vectorstore.load.parsed import NO_TEXT, READ_IN_PART, UNREAD_PAGES
from vectorstore.profile import vocabulary
from vectorstore.rows import collections
from vectorstore.rows import quality as rows
from vectorstore.rows.quality import Row, Scope
from vectorstore.shingles import Hashes, shingles, words

if TYPE_CHECKING:
    from llmops.home import Home
    from vectorstore.sources import Order

log = logging.getLogger(__name__)
TOO_SHORT = 10
"""Estimated tokens below which a text says hardly anything: two shingles' worth of words."""
MOST_SHOWN = 20
MOST_OF_A_GROUP = 10
MOST_REASONS = 20
MOST_GAPS = 50
MOST_COMPARED = 20_000
MOST_CHARACTERS = 20_000_000
"""Texts and their characters that one report reads again to check near duplicates: some seconds."""
MOST_OF_A_RUN = 20_000
"""Documents that a run's report reads the profiles of, a few kilobytes each."""
SAMPLED = 2_000
"""Documents that a run's drift is told from, so that a small run into a large source stays cheap."""


def of_collection(connection: Connection, asker: Asker, name: str, since: int | None = None) -> Json:
    """The report of a collection as the asker may see it.

    Its change is told since the sequence number `since`; without one since where the last run began that brought a document.
    Raises `UnknownName` for the collection, `InvalidInput` for a time to come.
    """
    collection = collections.find(connection, asker.workspace, name)
    if since is not None:
        collections.check_seq(collection, since, "since")
    scope = Scope(collection.row, asker)
    since = rows.last_run(connection, scope, collection.seq) if since is None else since
    found = rows.live(connection, scope, [collection.seq] if since is None else [collection.seq, since])
    now = [row for row in found if row.is_live(collection.seq)]
    change = None
    if since is not None:
        before = [row for row in found if row.is_live(since)]
        change = {"since": since, **rows.changes(connection, scope, since, collection.seq), "drift": _drift(before, now)}
    profiled = _profiled(now)
    return {
        "collection": name,
        "seq": collection.seq,
        **_content(now, rows.failures(connection, scope)),
        "exact_duplicates": _shown(_exact(profiled)),
        "near_duplicates": _near(connection, profiled),
        "change": change,
    }


def of_run(home: Home, before: collections.Collection, order: Order, asker: Asker) -> Json:
    """What a run brought, by its source; empty where that cannot be told, for the run itself has done its work.

    It names no document, for it is kept as the job's result, and rights change: numbers, names of fields, reasons of failures.
    `before` is the collection as it was when the run began. Exact duplicates are counted in the whole collection, near ones
    among what the run brought; the drift is that of the source. Costs what the run brought, at most `MOST_OF_A_RUN` documents of it:
    then `sampled` says of how many all but `ready`, `failures` and `change` is told.
    """
    try:
        return {order.source: _of_run(home, before, order, asker)}
    except Exception:
        log.exception("the quality of what a run brought into %r cannot be told", before.name)
        return {}


def _of_run(home: Home, before: collections.Collection, order: Order, asker: Asker) -> Json:
    principals = order.principals
    asker = Asker(before.workspace, frozenset(principals or ()), owner=principals is None, name=asker.name)

    def read(connection: Connection) -> Json:
        seq = collections.find(connection, before.workspace, before.name).seq
        source, everything = Scope(before.row, asker, order.source), Scope(before.row, asker)
        count, new = rows.begun(connection, source, before.seq, MOST_OF_A_RUN)
        profiled = _profiled(new)
        same = rows.same_texts(connection, everything, sorted({row.text_hash for row in profiled}))
        near = _near(connection, profiled)
        sampled = rows.sample(connection, source, [before.seq, seq], SAMPLED) if new else []
        moved = _drift([row for row in sampled if row.is_live(before.seq)], [row for row in sampled if row.is_live(seq)])
        content = _content(new, rows.failures(connection, source))
        content["documents"]["ready"] = count
        return {
            "seq": seq,
            **content,
            "sampled": len(new) if len(new) < count else None,
            "exact_duplicates": sum(same.get(row.text_hash, 1) > 1 for row in profiled),
            "near_duplicates": near["documents"],
            "change": {"since": before.seq, **rows.changes(connection, source, before.seq, seq), "drift": moved},
        }

    told: Json = home.store.read(read)
    return told


def _profiled(found: Iterable[Row]) -> list[Row]:
    return [row for row in found if row.characters is not None]


def _content(found: Sequence[Row], failures: list[tuple[str, int]]) -> Json:
    """What these documents hold, in numbers."""
    profiled = _profiled(found)
    reasons: Counter[str] = Counter()
    for error, count in failures:
        reasons[_reason(error)] += count
    pii: dict[str, Counter[str]] = defaultdict(Counter)
    for row in profiled:
        for label, count in row.pii.items():
            pii[label].update(documents=1, found=count)
    sizes = sorted(row.characters or 0 for row in profiled)
    return {
        "documents": {"ready": len(found), "failed": sum(reasons.values()), "without_profile": len(found) - len(profiled)},
        "characters": {"total": sum(sizes), "median": sizes[len(sizes) // 2] if sizes else 0, "longest": sizes[-1] if sizes else 0},
        "tokens": sum(row.tokens for row in profiled),
        "empty": sum(count for reason, count in reasons.items() if reason.startswith(NO_TEXT)),
        "too_short": sum(row.tokens < TOO_SHORT for row in profiled),
        "failures": [{"reason": reason, "documents": count} for reason, count in reasons.most_common(MOST_REASONS)],
        "languages": dict(Counter(row.language for row in profiled).most_common()),
        "pages_without_text": sum(_unread_pages(row) for row in found),
        "untitled": sum(row.untitled for row in found),
        "missing_metadata": _gaps(found),
        "pii": {label: dict(counts) for label, counts in sorted(pii.items())},
    }


def _unread_pages(row: Row) -> int:
    pages = row.metadata.get(UNREAD_PAGES)
    return max(0, pages) if isinstance(pages, int) else 0


def _reason(error: str) -> str:
    """Why a document failed, without what is its own: numbers, quotations, the way out, and what the ingestion added."""
    reason = re.sub(r" \(.*\)(?:; .*)?$", "", error).split("; ")[0]
    reason = re.sub(r"'[^']*'|\"[^\"]*\"", "…", reason)
    return re.sub(r"[0-9][0-9,.]*", "N", reason)[:200] or "no reason"


def _gaps(found: Iterable[Row]) -> list[Json]:
    """The fields that some documents of a source have and others of the same kind of file lack, those that fewest lack first."""
    documents: Counter[tuple[str, str]] = Counter()
    fields: Counter[tuple[tuple[str, str], str]] = Counter()
    for row in found:
        alike = row.source, _kind(row.external_id)
        documents[alike] += 1
        fields.update((alike, name) for name, value in row.metadata.items() if value is not None and value != "" and name not in READ_IN_PART)
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for (alike, name), have in fields.items():
        sums[alike[0], name][0] += have
        sums[alike[0], name][1] += documents[alike] - have
    gaps = [{"source": source, "field": name, "have": have, "lack": lack} for (source, name), (have, lack) in sums.items() if lack]
    return sorted(gaps, key=lambda gap: (gap["lack"], gap["source"], gap["field"]))[:MOST_GAPS]


def _kind(external_id: str) -> str:
    """What kind of file a document comes from, as its id tells: an attachment, the file of a row, or the file itself; "" where it does not."""
    parts = external_id.split("#")
    return loader_for(parts[-1]) or loader_for(parts[0]) or ""


def _exact(profiled: Iterable[Row]) -> list[list[Row]]:
    by_text: dict[bytes, list[Row]] = defaultdict(list)
    for row in profiled:
        by_text[row.text_hash].append(row)
    return [group for group in by_text.values() if len(group) > 1]


def _near(connection: Connection, profiled: Iterable[Row]) -> Json:
    """Groups of near duplicates; of documents with the same text the first stands for all."""
    different = {row.text_hash: row for row in reversed(list(profiled)) if row.signature}
    compared = sorted(different.values(), key=lambda row: row.document_row)
    found = duplicates.candidates(duplicates.as_signatures(row.signature for row in compared))
    groups = duplicates.groups(found, _shingles_of(connection, compared, found))
    shown = _shown([[compared[number] for number in group] for group in groups.members])
    return {"threshold": duplicates.THRESHOLD, "estimated": groups.estimated, **shown}


def _shingles_of(connection: Connection, compared: Sequence[Row], found: duplicates.Candidates) -> dict[int, Hashes]:
    """The shingles of the texts that occur in a pair, as many as a report may read again."""
    wanted, characters = {}, 0
    for number in found.texts()[:MOST_COMPARED].tolist():
        characters += compared[number].characters or 0
        if characters > MOST_CHARACTERS:
            break
        wanted[compared[number].key] = number
    return {wanted[key]: shingles(words(text)) for key, text in rows.texts(connection, list(wanted))}


def _shown(groups: list[list[Row]]) -> Json:
    """How many groups of documents there are, and the largest by name."""
    largest = sorted(groups, key=lambda group: (-len(group), group[0].document_row))[:MOST_SHOWN]
    named = [
        [{"document_id": row.document_id, "source": row.source, "external_id": row.external_id} for row in group[:MOST_OF_A_GROUP]]
        for group in largest
    ]
    return {"groups": len(groups), "documents": sum(map(len, groups)), "largest": named}


def _drift(before: Sequence[Row], now: Sequence[Row]) -> list[Json]:
    """How far the documents have moved; nothing where there is nothing to compare."""
    before, now = _profiled(before), _profiled(now)
    if not before or not now:
        return []
    return [
        drift.lengths([row.characters or 0 for row in before], [row.characters or 0 for row in now]),
        drift.languages(*(Counter(row.language for row in side) for side in (before, now))),
        drift.vocabulary(*(vocabulary([row.vocabulary for row in side]) for side in (before, now))),
    ]

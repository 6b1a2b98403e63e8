"""What `llmops doctor` asks of collections: documents, rights, vectors and indexes; and how what is derived is made again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from llmops.checks import MOST_TOLD, REBUILD, RESTORE, Check, Finding
from llmops.encoder.sound import embed
from llmops.errors import Conflict
from vectorstore.chunk import text_hash_of
from vectorstore.index import check as index
from vectorstore.index.segments import marker_of, write_segments
from vectorstore.rows import acls, checks, vectors
from vectorstore.rows.collections import Collection

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.store.store import Connection
    from llmops.types import Vectors

EMBEDDED_AT_ONCE = 64
_FLOAT = 4
_TOLERANCE = 0.01


def _look(home: Home) -> Iterator[Finding]:
    yield home.store.read(_documents)
    yield home.store.read(_access)
    on_disk = index.listed(home)  # before the rows are read: a segment that comes later may hold rows that are not read here
    yield home.store.read(_vectors)
    yield home.store.read(lambda connection: index.look(connection, home, on_disk))


def _rebuild(home: Home) -> Iterator[str]:
    """Make again what can be made; raises `Conflict` at the end for what cannot, so that nothing keeps the rest from being made."""
    refused: list[Conflict] = []
    if changed := home.store.write(checks.count_chunks_again):
        yield f"documents: the chunks of {changed} were counted again"
    changed, others = home.store.write(_find_lists_again)
    if changed:
        yield f"access: {changed} lists are found again by those whom they name"
    if others:
        refused.append(Conflict(f"{len(others)} lists name others than they were made for: {', '.join(others[:MOST_TOLD])}", hint=RESTORE))
    found = home.store.read(checks.every_collection)
    bad = {encoder: home.store.read(partial(_judged, encoder=encoder))[1] for encoder in {one.encoder for one in found}}
    for collection in found:
        try:
            yield from _embed_again(home, collection, bad[collection.encoder])
        except Conflict as conflict:
            refused.append(conflict)
    yield from (f"indexes: put aside as {place}" for place in index.put_bad_aside(home, index.listed(home)))
    for collection in found:
        if collection.encoder == home.encoder.identity:
            write_segments(home, collection)
    marker_of(home).parent.mkdir(parents=True, exist_ok=True)
    marker_of(home).touch()
    yield f"indexes: those of {len(found)} collections are as the rows say"
    if refused:
        raise Conflict("; ".join(map(str, refused)), hint="; ".join(dict.fromkeys(conflict.hint for conflict in refused)))


CHECK = Check(_look, _rebuild)


def _documents(connection: Connection) -> Finding:
    documents, chunks = checks.sizes(connection)
    faults = list(checks.faults_of_documents(connection))
    for collection in checks.every_collection(connection):
        changed = {text_hash for text_hash, text in checks.embedded_texts(connection, collection.row) if text_hash_of(text) != text_hash}
        if changed:
            faults.append(f"{len(changed)} chunks of {collection.name} have another text than they were embedded as")
    counts = all("number of live chunks" in fault for fault in faults)
    return Finding("documents", f"{documents} with {chunks} chunks", REBUILD if counts else RESTORE, faults)


def _access(connection: Connection) -> Finding:
    count, found = 0, Finding("access", hint=REBUILD)
    for acl_id, principals, found_by in checks.access_lists(connection):
        count += 1
        if acls.id_of(principals) != acl_id:
            found.faults.append(f"the list {acl_id} names others than it was made for")
            found.hint = RESTORE
        if principals != found_by:
            found.faults.append(f"the list {acl_id} is found by others than it names")
    for document in checks.not_inherited(connection):
        found.faults.append(f"{document} does not follow its collection's list")
        found.hint = "`llmops access set` sets the list anew"
    found.detail = f"{count} lists"
    return found


def _vectors(connection: Connection) -> Finding:
    found = Finding("vectors", hint=REBUILD)
    count = 0
    for encoder in sorted({collection.encoder for collection in checks.every_collection(connection)}):
        sound, bad = _judged(connection, encoder)
        count += sound
        if bad:
            found.faults.append(f"{len(bad)} of {encoder} have the wrong size, NaN or another length than 1")
    for collection in checks.every_collection(connection):
        if missing := checks.without_vector(connection, collection):
            found.faults.append(f"{len(missing)} texts of {collection.name} have none")
    found.detail = f"{count} of unit length"
    return found


def _judged(connection: Connection, encoder: str) -> tuple[int, set[bytes]]:
    """How many vectors of an encoder are sound, and the hashes of the texts whose are not. The commonest size is taken for the right one."""
    sizes: dict[int, set[bytes]] = {}
    bad: set[bytes] = set()
    for text_hash, packed in checks.vectors_of(connection, encoder):
        if len(packed) % _FLOAT or not len(packed):
            bad.add(text_hash)
            continue
        length = float(np.linalg.norm(np.frombuffer(packed, "<f4").astype(np.float64)))
        if not (abs(length - 1) <= _TOLERANCE or length == 0):
            bad.add(text_hash)
        else:
            sizes.setdefault(len(packed), set()).add(text_hash)
    right = max(sizes, key=lambda size: len(sizes[size]), default=0)
    return len(sizes.get(right, ())), bad.union(*(hashes for size, hashes in sizes.items() if size != right))


def _embed_again(home: Home, collection: Collection, bad: set[bytes]) -> Iterator[str]:
    """Give texts their vectors anew where those are missing or among the bad ones.

    Raises `Conflict` where the configuration has another encoder, and at the end where a text is not the one of its hash.
    """
    wanted = home.store.read(lambda c: checks.text_hashes(c, collection.row) & bad | checks.without_vector(c, collection))
    if wanted and collection.encoder != home.encoder.identity:
        raise Conflict(
            f"{len(wanted)} vectors of collection {collection.name!r} are of {collection.encoder}, the configuration says {home.encoder.identity}",
            hint="put the former [encoder] back and run it again, or ingest into a new collection",
        )
    if not wanted:
        return
    found = home.store.read(lambda c: [one for one in checks.embedded_texts(c, collection.row) if one.text_hash in wanted])
    texts = {text_hash: text for text_hash, text in found if text_hash_of(text) == text_hash}  # never a damaged text under a good one's hash
    hashes = sorted(texts)
    for first in range(0, len(hashes), EMBEDDED_AT_ONCE):
        part = hashes[first : first + EMBEDDED_AT_ONCE]
        made = dict(zip(part, embed(home.encoder, [texts[text_hash] for text_hash in part]), strict=True))

        def exchange(connection: Connection, made: dict[bytes, Vectors] = made) -> None:
            checks.drop_vectors(connection, collection.encoder, set(made))
            vectors.keep(connection, collection.encoder, made)

        home.store.write(exchange)
    if hashes:
        yield f"vectors: {len(hashes)} of {collection.name} were embedded again"
    if lost := len(wanted) - len(hashes):
        raise Conflict(f"{lost} chunks of {collection.name} have another text than they were embedded as", hint=RESTORE)


def _find_lists_again(connection: Connection) -> tuple[int, list[str]]:
    """Let searches find lists by those whom they name; returns how many, and the lists left alone: whom they name is no longer what their id says."""
    changed, others = 0, []
    for acl_id, principals, found_by in list(checks.access_lists(connection)):
        if acls.id_of(principals) != acl_id:
            others.append(acl_id)
        elif principals != found_by:
            checks.find_lists_again(connection, acl_id, principals)
            changed += 1
    return changed, others

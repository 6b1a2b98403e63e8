"""The job that makes documents searchable.

Bytes → parsed → chunked → embedded (each text once) → one transaction makes a batch visible → segments of the index.
Every step can be repeated: killed anywhere, the job goes on where the rows say it stopped.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.access import audit
from llmops.errors import InvalidInput
from llmops.failpoints import failpoint
from llmops.settings import canonical
from llmops.store import blobs
from llmops.text import storable
from llmops.types import Json
from vectorstore import chunk, quality
from vectorstore.engines import Engine, engine_for
from vectorstore.index import write_segments
from vectorstore.language import FIELD, language
from vectorstore.load import Failed, Parsed
from vectorstore.load.limits import Interrupted, OverLimit
from vectorstore.load.parsed import READ_IN_PART
from vectorstore.measure import Measure
from vectorstore.profile import profile
from vectorstore.publishing import Place, Step, prune, publish
from vectorstore.reading import RECIPE, Opened, Piece, Reader
from vectorstore.rows import acls, collections, documents, files
from vectorstore.rows.documents import Batch, Failure, NewChunk, NewVersion
from vectorstore.sources import Order, walk, wanted
from vectorstore.tally import Tally
from vectorstore.waiting import WaitingTexts

if TYPE_CHECKING:
    from llmops.home import Home
    from llmops.jobs.context import JobContext

EMBEDDED_AT_ONCE = 64
"""Texts between two looks whether the job must stop: a fraction of a second."""
BATCH_CHUNKS = 128
BATCH_DOCUMENTS = 100
BATCH_BYTES = 32 * 2**20
LONGEST_ERROR = 1900
ANOTHERS = "a document of that name is there, and this key may not read it, so it may not change it"


def run(home: Home, job: JobContext) -> Json:
    """Carry out an order; the part of kind `jobs` named `ingest`."""
    order = Order.from_json(dict(job.payload))
    encoder = home.encoder.identity
    collection = home.store.write(lambda c: collections.ensure(c, job.workspace, order.collection, encoder))
    with engine_for(home, order.engine, job.check) as engine:
        ingestion = _Ingestion(home, job, order, collection, engine)
        ingestion.run()
    entry = ingestion.entry({**ingestion.tally.counts(), "failed": len(ingestion.tally.failed)})
    detail = {"job": job.id, **entry["detail"]}
    job.write(home.store, lambda c: audit.record(c, job.asker, entry["action"], entry["object"], detail), lambda _: {})
    write_segments(home, collection)
    failpoint("ingest.indexed")
    return ingestion.tally.to_json(job.id) | {"quality": quality.of_run(home, collection, order, job.asker)}


class _Ingestion:
    """The state of one run over an order."""

    def __init__(self, home: Home, job: JobContext, order: Order, collection: collections.Collection, engine: Engine) -> None:
        self.home, self.job, self.order, self.collection, self.engine = home, job, order, collection, engine
        self.place = Place(collection, order.source, order.principals)
        self.tally = Tally(earlier=(job.job.so_far or {}).get("detail", {}))
        self.states = home.store.read(lambda c: documents.states(c, collection.row, order.source))
        self.known = home.store.read(lambda c: files.known(c, collection.row, order.source))
        self.holders = Counter(external_id for ingested in self.known.values() for external_id in ingested.external_ids)
        """How many files hold a document, of the files as they were last read."""
        self.seen: set[str] = set()
        self.closed_folders: list[str] = []
        self.measure = Measure(job)
        self.batch, self.batch_bytes = Batch(), 0
        self.kept: set[str] = set()
        """Bytes of the file under way that an earlier batch has kept."""
        self.held: set[str] = set()
        """What the file under way held when it was last read, and what has been published of it since."""
        self.files_done: dict[str, files.Ingested] = {}
        self.files_begun: list[tuple[str, list[str]]] = []
        self.shared: dict[str, list[str]] = {}
        """Documents that are to have an access list and are else as they should be."""
        self.texts = WaitingTexts(home.store, engine.encoder)
        self.reader = Reader(home.store, order, engine, self._must_be_parsed)
        self.changeable: dict[str, bool] = {}
        """By access list: whether the asker may change what stands under it."""

    def run(self) -> None:
        pieces = list(self._pieces())
        self.measure.expect([piece.size for piece in pieces])
        for opened in self.reader.opened(pieces, self._go_on):
            self.measure.begin(opened.piece.size)
            self._go_on()
            try:
                self._take(opened)
            finally:
                opened.drop()
            if self._is_full():
                self._flush()
        self._flush()
        self.measure.end()
        self._go_on()
        if self.order.prune and not self.closed_folders:
            self._prune({piece.path for piece in pieces})

    def _go_on(self) -> None:
        """Tell the progress; ends the job here where it was cancelled or must stop."""
        self.measure.tell()

    def entry(self, counts: dict[str, int]) -> Json:
        """The audit row of this ingestion."""
        detail = {"source": self.order.source, "acl": self.order.acl, "prune": self.order.prune, **counts}
        return {"action": "documents.ingest", "object": self.collection.name, "detail": detail}

    def _pieces(self) -> Iterator[Piece]:
        for upload in self.order.uploads:
            yield Piece(upload.external_id, upload=upload, size=upload.size)
        if not self.order.root:
            return
        for found in walk(Path(self.order.root), self.order.include, self.order.exclude):
            if found.path.endswith("/"):
                self.closed_folders.append(found.path)
                self.tally.failed[found.path] = f"{found.error}; nothing was pruned" if self.order.prune else found.error
            elif found.kind is None:
                self.tally.skip(found.path)
            else:
                yield Piece(found.path, file=found.file, error=found.error, size=found.size)

    def _must_be_parsed(self, piece: Piece, fingerprint: str) -> bool:
        """Whether a file is to be read at all (without its fingerprint), and read anew: as far as can be told before its turn."""
        before = self.known.get(piece.path)
        held = set(before.external_ids) if before else set()
        if any(map(self._is_anothers, {piece.path, *held})):
            return False
        return not (before and fingerprint and self._is_as_it_was(before, fingerprint))

    def _is_as_it_was(self, before: files.Ingested, fingerprint: str) -> bool:
        """Whether a file holds what it held, and all of it is ready or failed; nor would other limits let more of it be read."""
        return before.fingerprint in (fingerprint, self.reader.with_limits(fingerprint)) and self._all_settled(before.external_ids)

    def _take(self, opened: Opened) -> None:
        """Bring one file to what it should be: every document of it ready or failed."""
        piece = opened.piece
        before = self.known.get(piece.path)
        self.held = set(before.external_ids) if before else set()
        if not opened.is_read or any(map(self._is_anothers, {piece.path, *self.held})):
            self.seen.update(self.held)  # the file is there: nothing of it is pruned
            self._refuse(piece.path)
            return
        acl = piece.upload.acl if piece.upload else self.order.acl
        if opened.error:
            self._fail_whole(piece.path, files.UNFINISHED, opened.error, acl)
            return
        failpoint("ingest.read")
        if before and self._is_as_it_was(before, opened.fingerprint):
            for external_id in before.external_ids:  # they may have been shared otherwise since
                self._set_rights(external_id, acl)
            self._count_unchanged(before.external_ids)
            return
        self._take_documents(opened, acl)

    def _take_documents(self, opened: Opened, acl: list[str] | None) -> None:
        self.kept.clear()
        piece, blob = opened.piece, blobs.digest(opened.content)
        external_ids: list[str] = []
        flushed, fingerprint = 0, opened.fingerprint
        for parsed in self.reader.parsed(opened, self._go_on):
            if isinstance(parsed, InvalidInput):
                self._fail_whole(piece.path, self._fingerprint_of(opened, parsed), parsed.with_hint, acl, external_ids)
                return
            self.measure.document(parsed)
            if self._is_full():
                self._flush_part(piece.path, external_ids[flushed:])
                flushed = len(external_ids)
            external_id = _external_id(piece.path, parsed)
            external_ids.append(external_id)
            if self._is_anothers(external_id):
                self._refuse(external_id)
            elif isinstance(parsed, Failed):
                self._fail(external_id, parsed.error, acl)
            else:
                if READ_IN_PART & parsed.metadata.keys():
                    fingerprint = self.reader.with_limits(opened.fingerprint)
                self._add(piece, external_id, parsed, opened.content, blob, acl)
        failpoint("ingest.parsed")
        self._close(piece.path, files.Ingested(fingerprint, external_ids, blob))

    def _fingerprint_of(self, opened: Opened, failure: InvalidInput) -> str:
        """By which a file that failed is known: it is read again once it may take more, or at once where it is not to blame."""
        if isinstance(failure, Interrupted):
            return files.UNFINISHED
        return self.reader.with_limits(opened.fingerprint) if isinstance(failure, OverLimit) else opened.fingerprint

    def _add(self, piece: Piece, external_id: str, parsed: Parsed, content: bytes, blob: str, acl: list[str] | None) -> None:
        """Put a document into the batch, unless it is there already as it should be."""
        title = (piece.upload.title if piece.upload else "") or parsed.title
        written_in = language(parsed.text)
        metadata = {FIELD: written_in, **parsed.metadata, **(piece.upload.metadata if piece.upload else {})}
        content_hash = hashlib.sha256(canonical([RECIPE, title, parsed.text, metadata]).encode()).hexdigest()
        self._see(external_id)
        now = self.states.get(external_id)
        if now and now.state == "ready" and now.content_hash == content_hash:
            self._set_rights(external_id, acl)
            self._count_unchanged([external_id])
            return
        new_chunks = []
        for part in chunk.chunks(parsed):
            text = chunk.embedded_text(title, part.heading, parsed.text[part.start : part.end])
            text_hash = self.texts.add(text)
            new_chunks.append(NewChunk(part.start, part.end, part.page, part.heading[:1000], text_hash))
            if len(self.texts) >= EMBEDDED_AT_ONCE:
                self.measure.text(part.end / len(parsed.text))
                self.texts.embed(self._go_on)
        if blob not in self.kept and blob not in self.batch.blobs:
            self.batch.blobs[blob] = content
            self.batch_bytes += len(content)
        told = profile(parsed.text, written_in)
        self.batch.ready[external_id] = NewVersion(external_id, title, parsed.text, metadata, content_hash, blob, new_chunks, acl, told)
        self.batch_bytes += len(parsed.text)

    def _set_rights(self, external_id: str, acl: list[str] | None) -> None:
        if acl is not None:
            self.shared[external_id] = acl

    def _is_anothers(self, external_id: str) -> bool:
        """Whether the asker may not change a document, for may not even read what it would replace."""
        principals, now = self.order.principals, self.states.get(external_id)
        if principals is None or now is None:
            return False
        if now.acl_id not in self.changeable:
            self.changeable[now.acl_id] = self.home.store.read(lambda c: acls.names_any(c, now.acl_id, principals))
        return not self.changeable[now.acl_id]

    def _refuse(self, external_id: str) -> None:
        """Leave a document, its rights and its error as they are."""
        self._see(external_id)
        self.tally.failed[external_id] = ANOTHERS

    def _fail(self, external_id: str, error: str, acl: list[str] | None) -> None:
        self._see(external_id)
        now = self.states.get(external_id)
        if now and now.searched:
            error = f"{error[:LONGEST_ERROR]}; version {now.version} is still searched"
        self.tally.failed[external_id] = error = storable(error)
        self.batch.failed[external_id] = Failure(external_id, error, acl)

    def _fail_whole(self, path: str, fingerprint: str, error: str, acl: list[str] | None, found: Iterable[str] = ()) -> None:
        """A file cannot be read, or not beyond what was `found`: its other rows stay as they are, and it is listed under its own name."""
        before = self.known.get(path)
        rows = [external_id for external_id in before.external_ids if external_id != path] if before else []
        self.seen.update(rows)
        if live := sum(self.states[row].searched for row in rows if row in self.states):
            error = f"{error[:LONGEST_ERROR]}; {live} documents of it as they were are still searched"
        for row in rows:
            if row in self.states:
                self._set_rights(row, acl)
        self._fail(path, error, acl)
        self._close(path, files.Ingested(fingerprint, list(dict.fromkeys([path, *rows, *found]))))

    def _see(self, external_id: str) -> None:
        """This order has the document: what was to be withdrawn, for another file has it no more, stays."""
        self.seen.add(external_id)
        self.batch.gone.pop(external_id, None)
        self.batch.failed.pop(external_id, None)
        self.tally.failed.pop(external_id, None)
        self.tally.withdrawn.discard(external_id)
        if external_id in self.batch.ready:  # the same id a second time: what comes last counts
            self._flush()

    def _close(self, path: str, ingested: files.Ingested) -> None:
        """End a file: what no file holds any more goes in the transaction in which its last documents come."""
        self.holders.update(ingested.external_ids)
        self.holders.subtract(self.held)
        for external_id in self.held:
            if not self.holders[external_id]:
                self._withdraw(external_id)
        self.held = set()
        self.known[path] = self.files_done[path] = ingested

    def _withdraw(self, external_id: str) -> None:
        now = self.states.get(external_id)
        if now and now.state != "withdrawn" and not self._is_anothers(external_id):
            self.batch.gone[external_id] = now.row

    def _is_full(self) -> bool:
        batch = self.batch
        most = max(len(batch.ready), len(batch.failed), len(batch.gone), len(self.files_done), len(self.shared) // 100)
        chunks = sum(len(new.chunks) for new in batch.ready.values())
        return most >= BATCH_DOCUMENTS or chunks >= BATCH_CHUNKS or self.batch_bytes >= BATCH_BYTES

    def _flush_part(self, path: str, external_ids: list[str]) -> None:
        """Make visible what there is of a file under way, and note what it holds, so that nothing of it can be lost sight of."""
        new = [external_id for external_id in dict.fromkeys(external_ids) if external_id not in self.held]
        self.holders.update(new)
        self.held.update(new)
        self.files_begun.append((path, new))
        self._flush()

    def _fail_unembedded(self) -> None:
        """Take out of the batch what has a text without a vector. Its file is read again the next time: it is not the file's fault."""
        unembedded = {
            external_id: (self.texts.bad[part.text_hash], new.acl)
            for external_id, new in self.batch.ready.items()
            for part in new.chunks
            if part.text_hash in self.texts.bad
        }
        for external_id, (error, acl) in unembedded.items():
            del self.batch.ready[external_id]
            self._fail(external_id, error, acl)
        for path, done in self.files_done.items():
            if not unembedded.keys().isdisjoint(done.external_ids):
                self.files_done[path] = done._replace(fingerprint=files.UNFINISHED)

    def _flush(self) -> None:
        """Make the batch visible in one transaction."""
        step = Step(self.batch, self.shared, self.files_done, self.files_begun)
        if step.is_empty():
            return
        self.texts.embed(self._go_on)
        if self.texts.bad:
            self._fail_unembedded()
        failpoint("ingest.embedded")
        self._go_on()
        states, others = self.job.write(
            self.home.store, lambda c: publish(c, self.place, step), lambda done: self.entry(self.tally.counts_with(step, done[1]))
        )
        self.states.update(states)
        failpoint("ingest.published")
        self.tally.ready += len(self.batch.ready.keys() - others)
        self.tally.withdrawn.update(self.batch.gone.keys() - others)
        self.tally.failed.update(dict.fromkeys(others - self.batch.gone.keys(), ANOTHERS))
        self.tally.unchanged -= len(others & self.shared.keys())
        self.kept.update(self.batch.blobs)
        self.batch, self.batch_bytes, self.files_begun, self.files_done, self.shared = Batch(), 0, [], {}, {}

    def _all_settled(self, external_ids: list[str]) -> bool:
        return all((state := self.states.get(i)) is not None and state.state in ("ready", "failed") for i in external_ids)

    def _count_unchanged(self, external_ids: list[str]) -> None:
        for external_id in external_ids:
            state = self.states[external_id]
            self.seen.add(external_id)
            if state.state == "failed":
                self.tally.failed[external_id] = state.error or "failed"
            else:
                self.tally.unchanged += 1

    def _prune(self, paths: set[str]) -> None:
        """Withdraw the documents of this source that the order no longer has; files that its patterns pass over stay as they are."""
        passed_over = {path for path in self.known if not wanted(path, self.order.include, self.order.exclude)}
        kept = self.seen.union(*(self.known[path].external_ids for path in passed_over))
        gone = [i for i, state in self.states.items() if i not in kept and state.state != "withdrawn"]
        paths = set(self.known) - paths - passed_over
        counts = {**self.tally.counts(), "failed": len(self.tally.failed)}

        def entry(withdrawn: list[str]) -> Json:
            return self.entry({**counts, "withdrawn": counts["withdrawn"] + len(withdrawn)})

        withdrawn = self.job.write(self.home.store, lambda c: prune(c, self.place, gone, paths), entry)
        self.tally.withdrawn.update(withdrawn)


def _external_id(path: str, one: Parsed | Failed) -> str:
    """A row's own id where it has one, else the file's path with its part and the row's number: `mail.eml#report.csv#2`."""
    if one.id is not None:
        return one.id
    return "#".join(str(name) for name in (path, one.part, one.row) if name is not None)

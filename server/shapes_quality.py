"""The quality report of a collection, of the documents that the key may read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.sections import Name
from server.shapes import Count, DocumentId, Reply

Measure = Annotated[float, Field(ge=0)]


class NamedDocument(Reply):
    document_id: DocumentId
    source: str
    external_id: str


class ProfiledCounts(Reply):
    """`without_profile` are ready, and an earlier release read them: only what their fields say is counted."""

    ready: Count
    failed: Count
    without_profile: Count


class Sizes(Reply):
    total: Count
    median: Count
    longest: Count


class FailureCount(Reply):
    reason: str
    documents: Count


class Gap(Reply):
    """A field that some documents of a source have and others lack."""

    source: str
    field: str
    have: Count
    lack: Count


class PersonalData(Reply):
    documents: Count
    found: Count


class DuplicateGroups(Reply):
    """Up to 20 of the largest groups by name, each with up to 10 of its documents."""

    groups: Count
    documents: Count
    largest: list[list[NamedDocument]]


class NearDuplicateGroups(DuplicateGroups):
    """`threshold` is the Jaccard index of shingles from which on two texts are near; `estimated` pairs were judged by signature alone."""

    threshold: Measure
    estimated: Count


class DriftShape(Reply):
    of: Literal["lengths", "languages", "vocabulary"]
    measure: str
    value: Measure
    threshold: Measure
    drifted: bool


class ChangeShape(Reply):
    """What became of the documents since a sequence number."""

    since: Count
    added: Count
    changed: Count
    withdrawn: Count
    drift: list[DriftShape]


class QualityShape(Reply):
    """A collection's quality. `change` is null where no run is known that brought one of these documents."""

    collection: Name
    seq: Count
    documents: ProfiledCounts
    characters: Sizes
    tokens: Count
    empty: Count
    too_short: Count
    pages_without_text: Count
    failures: list[FailureCount]
    languages: dict[str, Count]
    untitled: Count
    missing_metadata: list[Gap]
    pii: dict[str, PersonalData]
    exact_duplicates: DuplicateGroups
    near_duplicates: NearDuplicateGroups
    change: ChangeShape | None

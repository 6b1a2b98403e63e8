"""What becomes of the documents of an ingestion, over all runs of its job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmops.types import Json

if TYPE_CHECKING:
    from vectorstore.publishing import Step

MOST_SKIPPED = 100
"""So many files that were skipped are named."""


@dataclass(slots=True)
class Tally:
    """What has become of them in this run. `earlier` is what earlier runs of the job have published, by `ready` and `withdrawn`."""

    ready: int = 0
    unchanged: int = 0
    skipped: int = 0
    skipped_files: list[str] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    earlier: Mapping[str, int] = field(default_factory=dict)

    def skip(self, path: str) -> None:
        self.skipped += 1
        if self.skipped <= MOST_SKIPPED:
            self.skipped_files.append(path)

    def counts(self) -> dict[str, int]:
        """Of all runs. What an earlier run made ready, this one found unchanged."""
        ready, withdrawn = (self.earlier.get(name, 0) for name in ("ready", "withdrawn"))
        return {"ready": self.ready + ready, "unchanged": max(0, self.unchanged - ready), "withdrawn": len(self.withdrawn) + withdrawn}

    def counts_with(self, step: Step, others: set[str]) -> dict[str, int]:
        """As `counts`, and how many failed, with a step that is being published but for the documents of others."""
        counts, batch = self.counts(), step.batch
        counts["ready"] += len(batch.ready.keys() - others)
        counts["withdrawn"] += len(batch.gone.keys() - others - self.withdrawn)
        return {**counts, "failed": len(self.failed) + len(others - batch.gone.keys() - self.failed.keys())}

    def to_json(self, job_id: str) -> Json:
        failed = [{"external_id": external_id, "error": error} for external_id, error in self.failed.items()]
        counts = self.counts()
        told = {"ready": counts["ready"], "unchanged": counts["unchanged"], "skipped": self.skipped, "withdrawn": counts["withdrawn"]}
        return {"job": job_id, **told, "failed": failed, "skipped_files": self.skipped_files}

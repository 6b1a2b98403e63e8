"""How urgent a job is, and the two slots in which the jobs of a home are run: one for any job, one for urgent ones only.

Each slot has a lock and runs one job at a time. Who holds the lock, the server's worker or a command, runs the jobs of that slot.
"""

from __future__ import annotations

from dataclasses import dataclass

URGENT, BULK = 0, 1
NAMES = {URGENT: "urgent", BULK: "bulk"}


@dataclass(frozen=True, slots=True)
class Slot:
    """`name` stands in the owner of a job, `lock` is a file of the home, `last` the least urgent of the jobs that it runs."""

    name: str
    lock: str
    last: int


ANY = Slot("any", "worker.lock", BULK)
URGENT_ONLY = Slot("urgent", "urgent.lock", URGENT)


def slots_for(priority: int) -> tuple[Slot, Slot]:
    """Both slots, that of the job's own kind first: what goes before it may have to be run in the other."""
    return (URGENT_ONLY, ANY) if priority == URGENT else (ANY, URGENT_ONLY)

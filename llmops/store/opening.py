"""Open the store that the settings describe, at this program's schema."""

from __future__ import annotations

from llmops.settings import Settings
from llmops.store.migrate import migrate
from llmops.store.store import Store
from llmops.store.switch import finish


def open_store(settings: Settings) -> Store:
    """The store of these settings, migrated to this program's schema. A restore that was killed while it took its place is finished first."""
    finish(settings.home)
    store = Store(settings.store_url, durability=settings.store.durability, busy_seconds=settings.store.busy_seconds)
    migrate(store)
    return store

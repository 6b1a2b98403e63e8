"""Open the store that the settings describe, at this program's schema."""

from __future__ import annotations

from functools import partial

from llmops.home import make_home
from llmops.settings import Settings
from llmops.store.committed import holds_token
from llmops.store.hold import share
from llmops.store.migrate import migrate
from llmops.store.store import Store
from llmops.store.switch import finish


def open_store(settings: Settings) -> Store:
    """The store of these settings, migrated to this program's schema, which no restore exchanges until it is closed.

    A restore that was killed while it took its place is finished first. Raises `StoreError` where one is under way for too long.
    """
    make_home(settings.home)
    hold = share(settings.home, settings.store.busy_seconds)
    try:
        finish(settings.home, partial(holds_token, settings))
        store = Store(settings.store_url, durability=settings.store.durability, busy_seconds=settings.store.busy_seconds, on_close=hold.release)
    except BaseException:
        hold.release()
        raise
    try:
        migrate(store)
    except BaseException:
        store.close()
        raise
    return store

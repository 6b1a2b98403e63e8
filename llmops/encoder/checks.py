"""What `llmops doctor` asks of the exported encoder in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmops.checks import REBUILD, Check, Finding

if TYPE_CHECKING:
    from llmops.home import Home


def _look(home: Home) -> Iterator[Finding]:
    from llmops.encoder.cache import Damaged, place_of, read_export
    from llmops.encoder.source import find_model

    settings = home.settings.encoder
    found = Finding("encoder", f"{settings.name}, {settings.backend}", REBUILD)
    if settings.backend != "torch":  # which reads the model's own files
        model = find_model(settings.name)
        place, key = place_of(model)
        try:
            read_export(place, model.name, key)
        except FileNotFoundError:
            if place.exists():
                found.faults.append(f"{place.name}: a file is missing")
            else:
                found.detail += ", not exported yet"
        except (Damaged, OSError) as damage:
            found.faults.append(f"{place.name}: {damage}")
    yield found


def _rebuild(home: Home) -> Iterator[str]:
    """Loading it exports it again and puts what was damaged aside."""
    if any(not found.ok for found in _look(home)):
        from llmops.encoder import load_encoder

        load_encoder(home.settings.encoder)
        yield "the encoder was exported again"


CHECK = Check(_look, _rebuild)

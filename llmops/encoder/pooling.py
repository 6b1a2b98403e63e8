"""How a model's tokens become one vector, and whether that is a way that the exported encoder can go."""

from __future__ import annotations

import json
from typing import Literal, cast

from llmops.encoder.source import ModelFolder
from llmops.errors import InvalidInput

Pooling = Literal["mean", "cls"]
INSTEAD = '[encoder] backend = "torch" runs sentence-transformers models of other makes too'

_STEPS = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_OLDER = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


def pooling_of(model: ModelFolder) -> Pooling:
    """Mean or cls. Raises `InvalidInput` for a model that goes another way, such as through a dense layer."""
    modules = model.modules()
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    if kinds not in _STEPS:
        raise InvalidInput(
            f"the encoder {model.name!r} is made of {', '.join(kinds)}; only Transformer, Pooling and Normalize can be exported", hint=INSTEAD
        )
    file = model.folder / modules[1]["path"] / "config.json"
    try:
        config = json.loads(file.read_bytes())
        switched_on = [_OLDER.get(key, key) for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
        pooling = config.get("pooling_mode", "+".join(switched_on))
    except (OSError, ValueError, AttributeError) as broken:
        raise InvalidInput(f"{file} does not say how tokens are pooled: {broken}", hint="fetch or save the model again") from None
    if pooling not in ("mean", "cls") or config.get("include_prompt") is False:
        raise InvalidInput(f"the encoder {model.name!r} pools by {pooling!r}; only plain mean and cls can be exported", hint=INSTEAD)
    return cast(Pooling, pooling)

"""What a provider is built from. A provider is a part of kind `providers`: `make(target, context) -> Provider`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.errors import ConfigurationError, ProviderError
from llmops.redact import know
from llmops.sections import Target, Timeouts
from llmops.types import Embedder

if TYPE_CHECKING:
    from llmops.outbound import Http


@dataclass(frozen=True)
class ProviderContext:
    """What the gateway gives to a provider. `name` says which target it is; `http` and `encoder` are opened when first called."""

    name: str
    timeouts: Timeouts
    http: Callable[[], Http]
    encoder: Callable[[], Embedder]
    environ: Mapping[str, str]


def api_key(target: Target, context: ProviderContext) -> str:
    """The target's key, read at each call so that it can be exchanged; "" where the target names none.

    A key that is missing is the target's failure (`ProviderError`), not the configuration's: the same file serves
    machines with and without the key, and the route's next target answers.
    """
    if target.api_key_env:
        place, key = f"the environment variable {target.api_key_env}", context.environ.get(target.api_key_env, "").strip()
    elif target.api_key_file:
        place, key = f"the file {target.api_key_file}", _read(target.api_key_file)
    else:
        return ""
    if not key:
        raise ProviderError(f"{context.name}: no key in {place}", hint=f"put the key into {place}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ProviderError(f"{context.name}: what is in {place} cannot be a key", hint="a key is one line of plain letters")
    know(key)
    return key


def required(target: Target, context: ProviderContext, *fields: str) -> None:
    """`ConfigurationError` for the first of the target's fields that is empty."""
    for field in fields:
        if not getattr(target, field):
            raise ConfigurationError(
                f"{context.name}: the provider {target.provider!r} needs {field}", hint=f"add {field} = ... to [[routes.targets]]"
            )


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""

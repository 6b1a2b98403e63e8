"""Whether the configuration can be carried out, before anything starts: what the settings alone cannot judge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmops.errors import ConfigurationError, UnknownName

if TYPE_CHECKING:
    from llmops.home import Home


def check_configuration(home: Home) -> None:
    """Build every route, and look up every chain's kind and prompt. Opens neither store nor encoder.

    Raises `ConfigurationError`, with file and line where the file says it.
    """
    import prompts
    from llmops import plugins
    from llmops.gateway.gateway import Gateway

    settings = home.settings
    Gateway(settings, lambda: home.encoder)
    for number, chain in enumerate(settings.chains):
        with _placed(f"{settings.place('chains', number, 'kind')}chain {chain.name!r}: no such kind: {chain.kind!r}"):
            plugins.find("chains", chain.kind)
        with _placed(f"{settings.place('chains', number, 'prompt')}chain {chain.name!r}: no such prompt: {chain.prompt!r}"):
            prompts.get(chain.prompt)


@contextmanager
def _placed(message: str) -> Iterator[None]:
    """Turn a name that is unknown into `message`; its near names stay."""
    try:
        yield
    except UnknownName as unknown:
        raise ConfigurationError(message, hint=unknown.hint) from None

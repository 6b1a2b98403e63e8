"""Which languages a model was trained to read, as the settings or its own card say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from llmops.encoder.source import ModelFolder
    from llmops.sections import EncoderSettings

_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_MOST = 2**18
_CODE = re.compile("[a-z]{2,3}")


def languages_of(settings: EncoderSettings, model: ModelFolder) -> frozenset[str]:
    """ISO 639 codes: those of `[encoder] languages`, else those on the model's card. Empty: any language of the scripts it reads.

    A card says `language: en` or a list, in the front matter of the model's README.md, as on the Hugging Face hub; one that
    names a language this cannot read, as `multilingual`, is taken as not saying.
    """
    return frozenset(settings.languages if settings.languages is not None else _on_card(model))


def _on_card(model: ModelFolder) -> list[str]:
    try:
        with (model.folder / "README.md").open(encoding="utf-8", errors="replace") as card:
            matter = _MATTER.match(card.read(_MOST))
        said = yaml.safe_load(matter[1])["language"] if matter else []
    except Exception:  # whatever YAML's own types raise: a card may be missing or say anything, for it is no part of the model
        return []
    codes = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    known = [re.split("[-_]", code.lower())[0] if isinstance(code, str) else "" for code in codes]
    return known if all(_CODE.fullmatch(code) for code in known) else []

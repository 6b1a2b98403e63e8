"""Which languages an encoder reads: what the settings say, else its card; a card is prose that may say anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops.encoder.languages import languages_of
from llmops.encoder.source import ModelFolder, find_model
from llmops.errors import ConfigurationError
from llmops.sections import EncoderSettings
from llmops.settings import Settings


def of_card(folder: Path, card: str | bytes) -> frozenset[str]:
    (folder / "README.md").write_bytes(card if isinstance(card, bytes) else card.encode())
    return languages_of(EncoderSettings(), ModelFolder("model", folder))


def test_the_embedded_encoder_reads_english() -> None:
    assert languages_of(EncoderSettings(), find_model("minilm")) == {"en"}


@pytest.mark.parametrize(
    ("card", "read"),
    [
        ("---\nlanguage: en\n---\n# A model", {"en"}),
        ("---\nlanguage:\n- en\n- pt-BR\n- zh_Hant\n---\n", {"en", "pt", "zh"}),
        ("---\r\nlanguage: JA\r\n---\r\n", {"ja"}),
        ("---\nlanguage: multilingual\n---\n", set()),
        ("---\nlanguage:\n- en\n- multilingual\n---\n", set()),
        ("---\nlanguage: no\n---\n", set()),  # YAML's `no` is false
        ("---\nlanguage: {en: 1}\n---\n", set()),
        ("---\nlanguage: [1, null]\n---\n", set()),
        ("---\ntags: []\n---\n", set()),
        ("---\n- en\n---\n", set()),
        ("---\nlanguage: [en\n---\n", set()),
        ("---\nlanguage: &a [*a]\n---\n", set()),
        ("---\nlanguage: en\ndate: !!timestamp soon\n---\n", set()),
        ('---\nlanguage: en\nn: !!int ""\n---\n', set()),
        ("---\nlanguage: en\nx: " + "1:" * 300 + "1.5\n---\n", set()),
        ("# A model in language: en", set()),
        ("", set()),
        (b"---\nlanguage: en\n# \xff\xfe\n---\n", {"en"}),
    ],
)
def test_a_card_says_it_or_not(tmp_path: Path, card: str | bytes, read: set[str]) -> None:
    assert of_card(tmp_path, card) == read


def test_no_card_says_nothing(tmp_path: Path) -> None:
    assert languages_of(EncoderSettings(), ModelFolder("model", tmp_path)) == frozenset()
    (tmp_path / "README.md").mkdir()
    assert languages_of(EncoderSettings(), ModelFolder("model", tmp_path)) == frozenset()


def test_the_settings_go_before_the_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlanguage: en\n---\n")
    model = ModelFolder("model", tmp_path)
    assert languages_of(EncoderSettings(languages=["de", "en"]), model) == {"de", "en"}
    assert languages_of(EncoderSettings(languages=[]), model) == frozenset()


@pytest.mark.parametrize("said", ['["English"]', '"en"', "[1]"])
def test_what_is_no_code_is_refused(tmp_path: Path, said: str) -> None:
    (tmp_path / "llmops.toml").write_text(f"[encoder]\nlanguages = {said}\n")
    with pytest.raises(ConfigurationError, match="languages"):
        Settings.load(tmp_path / "llmops.toml")

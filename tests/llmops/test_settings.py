"""What is wrong with llmops.toml is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops.errors import ConfigurationError
from llmops.settings import Settings

ROUTE = """[[routes]]
name = "r"
{}
[[routes.targets]]
provider = "extractive"
"""


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[outbound]\nallow = ["x"]\n', (":2: outbound.allow: ", "'x' is not a network")),
        ('[outbound]\nallow = ["10.0.0.1/8"]\n', (":2: ", "not a network")),
        ('workspaces = ["mine"]\n', (":1: ", "'mine' needs a kind", 'name = "mine", kind = ')),
        ('workspaces = ["poc", { name = "mine", kind = "production" }]\n', (":1: ", "'poc', 'dev', 'pipeline' or 'prod'")),
        ('workspaces = ["poc", "poc"]\n', (":1: ", "once")),
        ("workspaces = []\n", (":1: ", "one at least")),
        ('[retention]\nanswers = "soon"\n', (":2: retention.answers", "write 30m, 12h, 90d or 52w")),
        ('[server]\ntrusted_proxies = ["10.0.0.0/40"]\n', (":2: ", "not a network")),
        (ROUTE.format('workspaces = ["nope"]'), (":3: ", "'r'", "workspace 'nope'", "known: ")),
        ('[[chains]]\nname = "c"\nworkspaces = ["porc"]\n', (":3: ", "'c'", "did you mean 'poc'")),
        ('[[chains]]\nname = "a"\n[[chains]]\nname = "c"\nroute = "defualt"\n', (":5: ", "chain 'c'", "did you mean 'default'")),
        ('[[chains]]\nname = "minilm"\n', (":2: ", "the encoder's")),
        (ROUTE.format("").replace('"r"', '"minilm"'), (":2: ", "the encoder's")),
        (ROUTE.format("") + '[[chains]]\nname = "r"\n', (":7: ", "used twice")),
    ],
)
def test_names_that_lead_nowhere_are_named_with_their_line(tmp_path: Path, toml: str, said: tuple[str, ...]) -> None:
    file = tmp_path / "llmops.toml"
    file.write_text(toml)
    with pytest.raises(ConfigurationError) as wrong:
        Settings.load(file, environ={})
    assert all(words in str(wrong.value) + str(wrong.value.hint) for words in said), (wrong.value, wrong.value.hint)


def test_networks_and_workspaces_that_exist_are_good(tmp_path: Path) -> None:
    file = tmp_path / "llmops.toml"
    file.write_text(
        'workspaces = ["poc", { name = "mine", kind = "prod" }]\n[outbound]\nallow = ["10.0.0.0/8", "fd00::/8", "127.0.0.1"]\n'
        + ROUTE.format('workspaces = ["mine"]')
    )
    settings = Settings.load(file, environ={})
    assert settings.routes[0].workspaces == ("mine",) and settings.workspace_names == ["poc", "mine"]
    assert (settings.kind_of("poc"), settings.kind_of("mine")) == ("poc", "prod")
    assert settings.place("routes", 0, "targets", 0, "provider") == f"{file}:8: "
    assert settings.place("chains", 0, "kind") == ""

"""What is wrong with llmops.toml is named with its line."""

from __future__ import annotations

import json
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


BAD_ADDRESSES = {
    "ftp://host/v1": "http or https",
    "file:///etc/passwd": "http or https",
    "javascript:alert(1)": "http or https",
    "host/v1": "http or https",
    "//host/v1": "http or https",
    "http:///v1": "no host",
    "http://": "no host",
    "http://:80/v1": "no host",
    "http://user:Canary7@host/v1": "user or a password",
    "http://good.example@evil.example/v1": "user or a password",
    "http://@host/v1": "user or a password",
    "http://host/v1#x": "fragment",
    "http://host#@evil.example/v1": "fragment",
    "http://host/v1?key=Canary7": "query",
    "http://host:port/v1": "not an address",
    "http://host:99999/v1": "not an address",
    "http://[::1/v1": "not an address",
    "http://host\\evil.example/v1": "characters",
    "http://ho st/v1": "characters",
    "http://host/v1\u200b": "characters",
    "http://ｈost/v1": "characters",
}


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_t16_an_address_of_a_route_that_is_none_is_named_with_its_line_and_not_repeated(tmp_path: Path, address: str) -> None:
    file = tmp_path / "llmops.toml"
    file.write_text(f'[[routes]]\nname = "r"\n[[routes.targets]]\nprovider = "openai"\nmodel = "m"\nbase_url = {json.dumps(address)}\n')
    with pytest.raises(ConfigurationError, match=BAD_ADDRESSES[address]) as wrong:
        Settings.load(file, environ={})
    assert f"{file}:6: routes.0.targets.0.base_url: " in str(wrong.value) and wrong.value.hint
    assert "Canary7" not in str(wrong.value) + wrong.value.hint


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:11434/v1", "https://llm.example.com", "http://[::1]:8000/v1/", "http://localhost/a%20b/v1", "HTTPS://host"]
)
def test_addresses_of_routes_that_are_good(tmp_path: Path, address: str) -> None:
    file = tmp_path / "llmops.toml"
    file.write_text(f'[[routes]]\nname = "r"\n[[routes.targets]]\nprovider = "openai"\nmodel = "m"\nbase_url = "{address}"\n')
    assert Settings.load(file, environ={}).routes[0].targets[0].base_url == address

"""Routes: how they are configured, and that every provider keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmops import plugins
from llmops.errors import ConfigurationError, LLMOpsError, ProviderRefused, UnknownName
from llmops.gateway import routing
from llmops.gateway.gateway import Gateway
from llmops.settings import Settings
from llmops.testing import HashEncoder, ScriptedModel
from tests.llmops.test_gateway import ask, request, text

# --- Configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "says", "hint"),
    [
        ({"provider": "opnai", "model": "m"}, "unknown provider", "openai"),
        ({"provider": "openai", "model": "m"}, "base_url", "base_url"),
        ({"provider": "openai", "base_url": "http://x/v1"}, "model", "model"),
    ],
)
def test_a_target_that_cannot_be_built_names_route_and_place(target: dict[str, str], says: str, hint: str) -> None:
    settings = Settings.model_validate({"routes": [{"name": "r", "targets": [{"provider": "extractive"}, target]}]})
    with pytest.raises(ConfigurationError, match="route 'r', target 2") as raised:
        Gateway(settings, HashEncoder, {})
    assert says in str(raised.value) and hint in raised.value.hint


def test_a_route_belongs_to_its_workspaces() -> None:
    routes = [{"name": "closed", "workspaces": ["dev"], "targets": [{"provider": "extractive"}]}]
    gateway = Gateway(Settings.model_validate({"routes": routes}), HashEncoder, {})
    assert [route.name for route in gateway.routes("poc")] == ["default"]
    assert [route.name for route in gateway.routes("dev")] == ["closed", "default"]
    with pytest.raises(UnknownName) as raised:
        gateway.stream("closed", request(), "poc")
    assert "closed" not in raised.value.hint
    with pytest.raises(UnknownName, match="defualt") as raised:
        gateway.stream("defualt", request(), "poc")
    assert "'default'" in raised.value.hint


async def test_a_provider_of_ones_own_is_found_by_name() -> None:
    model = ScriptedModel("The answer is 42.", ProviderRefused("no", provider_status=400))
    plugins.register("providers", "scripted")(lambda target, context: model)
    gateway = Gateway(Settings.model_validate({"routes": [{"name": "r", "targets": [{"provider": "scripted"}]}]}), HashEncoder, {})
    assert text(await ask(gateway, request())) == "The answer is 42."
    with pytest.raises(ProviderRefused):
        await ask(gateway, request())
    assert [seen.stream for seen in model.seen] == [True, True] and model.seen[0].deadline is not None


# --- Wrapping providers -----------------------------------------------------------------------------------------------


def scripted() -> ScriptedModel:
    return ScriptedModel("a reply")


@pytest.mark.parametrize("make", [scripted, lambda: routing.Retrying(scripted()), lambda: routing.Fallback("r", [scripted()])])
@pytest.mark.parametrize("stream", [True, False])
async def test_every_provider_keeps_the_contract(make: Callable[[], ScriptedModel], stream: bool) -> None:
    chunks = [chunk async for chunk in make().stream(request(stream=stream))]
    assert text(chunks) == "a reply" and chunks[-1].finish_reason == "stop" and (stream or len(chunks) == 1)


async def test_our_own_bugs_are_not_hidden_by_a_fallback() -> None:
    with pytest.raises(AssertionError):
        await anext(routing.Fallback("r", [ScriptedModel(), scripted()]).stream(request()))
    with pytest.raises(LLMOpsError, match="ours"):
        await anext(routing.Fallback("r", [ScriptedModel(LLMOpsError("ours")), scripted()]).stream(request()))

"""The encoder: one small model that turns texts into unit vectors, loaded once per process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops.encoder.source import ModelFolder
    from llmops.sections import EncoderSettings
    from llmops.types import Embedder

__all__ = ["load_encoder", "prepare_encoder"]


def load_encoder(settings: EncoderSettings) -> Embedder:
    """The encoder that `[encoder]` describes, ready to serve.

    With `onnx-int8` the first load on a machine exports the model, which takes some ten seconds; every later one takes
    a fraction of a second and imports no torch. Raises `UnknownName` or `InvalidInput` for a model that is not there, not
    one that can be used, or one whose files would run code, `Unavailable` where it cannot be fetched or exported.
    """
    model = _model_of(settings)
    if settings.backend == "torch":
        from llmops.encoder.torch_fp32 import TorchEncoder

        return TorchEncoder(model, settings)
    from llmops.encoder.cache import export_of
    from llmops.encoder.languages import languages_of
    from llmops.encoder.onnx_int8 import OnnxEncoder

    return OnnxEncoder(export_of(model), settings, languages_of(settings, model))


def prepare_encoder(settings: EncoderSettings) -> None:
    """Have what `load_encoder` needs on this machine, and checked, before several processes want it at once. Raises as it does."""
    if settings.backend == "torch":
        load_encoder(settings)  # nothing is made of a model that is used as it is: whether it can be used shows when it loads
        return
    from llmops.encoder.cache import export_of

    export_of(_model_of(settings))


def _model_of(settings: EncoderSettings) -> ModelFolder:
    from llmops.encoder.harmless import require_harmless
    from llmops.encoder.source import find_model

    model = find_model(settings.name)
    require_harmless(model)
    return model

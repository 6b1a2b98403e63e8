"""The tables of `llmops.toml`, each a section that its builder takes and nobody else."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from llmops.durations import seconds
from llmops.errors import InvalidInput

WorkspaceKind = Literal["poc", "dev", "pipeline", "prod"]
WORKSPACE_KINDS: tuple[WorkspaceKind, ...] = get_args(WorkspaceKind)
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
LanguageCode = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$")]
"""Of ISO 639."""


class Section(BaseModel):
    """A table of the file: immutable, and a key that nobody reads is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Workspace(Section):
    """An entry of `workspaces`: a name alone where it is that of a kind, else `{ name = "sales", kind = "prod" }`."""

    name: Name
    kind: WorkspaceKind

    @model_validator(mode="before")
    @classmethod
    def _named_as_its_kind(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in WORKSPACE_KINDS:
            raise ValueError(f'workspace {value!r} needs a kind, which says what each role may do there; write {{ name = "{value}", kind = "dev" }}')
        return {"name": value, "kind": value}


class StoreSettings(Section):
    """`[store]`. `url` empty means SQLite in the home."""

    url: str = ""
    durability: Literal["process", "power"] = "process"
    busy_seconds: float = Field(30.0, gt=0, le=600)


class MLflowSettings(Section):
    """`[mlflow]`. `tracking_uri` empty means SQLite in the home, a file of its own; "off" exports nothing.

    MLflow knows no rights to documents: what quotes one, replies and passages, goes there only with `passage_text`.
    """

    tracking_uri: str = ""
    experiment: str = "llmops"
    passage_text: bool = False


class ParsingSettings(Section):
    """`[parsing]`: what reading one document may cost before it is given up as failed."""

    seconds: float = Field(30.0, gt=0, le=3600)
    memory_mb: int = Field(512, ge=128, le=65536)
    max_pages: int = Field(2000, ge=1)


class EncoderSettings(Section):
    """`[encoder]`: the embedded encoder, or any sentence-transformers model by name or path."""

    name: str = "minilm"
    backend: Literal["onnx-int8", "torch"] = "onnx-int8"
    query_prefix: str | None = None
    passage_prefix: str | None = None
    languages: list[LanguageCode] | None = Field(default=None, max_length=200, description="[] for all; default: as its card says")
    threads: int = Field(0, ge=0, le=256, description="0: one for each core")


class IndexSettings(Section):
    """`[index]`."""

    backend: Literal["auto", "exact"] = "auto"


class RaySettings(Section):
    """`[ray]`: the cluster of `--engine ray`. `address` empty starts one on this machine for the job; "auto", "host:6379" or "ray://..." joins one.

    `workers`: how many actors, each with a CPU of its own; 0 is one for each CPU of the cluster.
    """

    address: str = Field("", max_length=300)
    workers: int = Field(0, ge=0, le=10_000)


class Timeouts(Section):
    """Seconds. `first_token` and `stall` bound streams, `attempt` one target's whole answer, `total` the call."""

    connect: float = Field(5, gt=0)
    first_token: float = Field(20, gt=0)
    stall: float = Field(10, gt=0)
    attempt: float = Field(60, gt=0)
    total: float = Field(120, gt=0)


class Target(Section):
    """`[[routes.targets]]`: one model at one provider. A secret is named here, never written here."""

    provider: str
    model: str = ""
    base_url: str = ""
    api_key_env: str = ""
    api_key_file: str = ""

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, base_url: str) -> str:
        """Refuse what would fail only at the first call, or send the key elsewhere than it reads. The message never repeats the address."""
        if base_url and (wrong := _wrong_address(base_url)):
            raise ValueError(f"{wrong}; write it as http://127.0.0.1:11434/v1")
        return base_url


class Route(Section):
    """`[[routes]]`: a name that calls go to, and the targets that are tried in turn."""

    name: Name
    strategy: Literal["fallback"] = "fallback"
    workspaces: tuple[Name, ...] | None = None
    timeouts: Timeouts = Timeouts()  # type: ignore[call-arg]  # every field has a default
    targets: tuple[Target, ...] = Field(min_length=1)


class ModelPrice(Section):
    """`[[models]]`: prices in USD per million tokens."""

    name: str
    input: float = Field(0, ge=0)
    output: float = Field(0, ge=0)


class Chain(Section):
    """`[[chains]]`: a flow that answers from a collection."""

    name: Name
    kind: str = "rag"
    collection: Name = "docs"
    prompt: str = "rag-answer"
    route: Name = "default"
    workspaces: tuple[Name, ...] | None = None
    k: int = Field(8, ge=1, le=50)


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for entry in networks:
        try:
            ipaddress.ip_network(entry)
        except ValueError:
            raise ValueError(f'{entry!r} is not a network; write it as "10.0.0.0/8"') from None
    return networks


Networks = Annotated[tuple[str, ...], AfterValidator(_check_networks)]


class ServerLimits(Section):
    """`[server]`: what one request may bring. `hosts`: names under which clients reach it, as behind a proxy.

    `trusted_proxies`: networks whose word on where a request came from (X-Forwarded-For) is taken.
    """

    hosts: tuple[str, ...] = ()
    trusted_proxies: Networks = ()
    max_body_mb: float = Field(4, gt=0, le=10_000)
    max_upload_mb: float = Field(64, gt=0, le=10_000)
    max_question_chars: int = Field(32_000, gt=0)


class OutboundSettings(Section):
    """`[outbound]`: networks that are good in spite of being private, for addresses that come through the API."""

    allow: Networks = ()


def _check_span(span: str) -> str:
    try:
        seconds(span)
    except InvalidInput as wrong:
        raise ValueError(f"{wrong}; {wrong.hint}") from None
    return span


Span = Annotated[str, AfterValidator(_check_span)]


class RetentionSettings(Section):
    """`[retention]`: how long each is kept, as "400d"; what is not set is kept.

    `usage` is what a call cost: tokens, prices and timings. `originals` are the bytes of withdrawn documents.
    """

    answers: Span | None = None
    usage: Span | None = None
    traces: Span | None = None
    originals: Span | None = None


def _wrong_address(url: str) -> str:
    """What keeps a text from being the address of a model's server; "" where it is one."""
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
        return "it has characters that no address has"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # read when it is asked for
    except ValueError:
        return "it is not an address"
    if parts.scheme not in ("http", "https"):
        return "it is not an http or https address"
    if not parts.hostname:
        return "it names no host"
    if parts.username is not None:
        return "it has a user or a password in it; a key is named by api_key_env or api_key_file"
    return "it has a query or a fragment" if "?" in url or "#" in url else ""

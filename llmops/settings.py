"""One Settings object: `llmops.toml`, overridden by `LLMOPS__SECTION__KEY`, read once and passed down.

Nothing deeper reads the file or the environment. Every builder takes only its own section.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import PrivateAttr, ValidationError, model_validator

from llmops.errors import ConfigurationError, UnknownName, near_names
from llmops.redact import know, know_url
from llmops.sections import (
    WORKSPACE_KINDS,
    Chain,
    EncoderSettings,
    IndexSettings,
    MLflowSettings,
    ModelPrice,
    OutboundSettings,
    ParsingSettings,
    RaySettings,
    RetentionSettings,
    Route,
    Section,
    ServerLimits,
    StoreSettings,
    Target,
    Workspace,
)
from llmops.toml_lines import line_of

FILE_NAME = "llmops.toml"
ENV_PREFIX = "LLMOPS__"
_SECRET_VARIABLES = frozenset({"PGPASSWORD", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "HF_TOKEN"})
"""What the libraries below read by themselves."""


class _Misplaced(ValueError):
    """Something that is wrong at a place of the file which the validation itself does not know."""

    def __init__(self, message: str, *where: int | str) -> None:
        super().__init__(message)
        self.where = where


class Settings(Section):
    """The whole configuration, with `home` and where it was read from."""

    workspaces: tuple[Workspace, ...] = tuple(Workspace(name=kind, kind=kind) for kind in WORKSPACE_KINDS)
    store: StoreSettings = StoreSettings()  # type: ignore[call-arg]
    mlflow: MLflowSettings = MLflowSettings()
    encoder: EncoderSettings = EncoderSettings()  # type: ignore[call-arg]
    index: IndexSettings = IndexSettings()
    parsing: ParsingSettings = ParsingSettings()  # type: ignore[call-arg]
    server: ServerLimits = ServerLimits()  # type: ignore[call-arg]
    outbound: OutboundSettings = OutboundSettings()
    retention: RetentionSettings = RetentionSettings()
    ray: RaySettings = RaySettings()  # type: ignore[call-arg]
    routes: tuple[Route, ...] = ()
    models: tuple[ModelPrice, ...] = ()
    chains: tuple[Chain, ...] = ()
    _home: Path = PrivateAttr(default=Path(".llmops"))

    _source: tuple[str, str] = PrivateAttr(default=("", ""))

    @model_validator(mode="after")
    def _names_fit_together(self) -> Settings:
        """Add the built-in route and chain where they are not redefined; refuse names that clash or lead nowhere."""
        if not self.workspaces or len(set(self.workspace_names)) < len(self.workspaces):
            raise _Misplaced("name each workspace once, and one at least", "workspaces")
        taken: set[str] = set()
        parts: list[tuple[str, int, Route | Chain]] = [("routes", number, route) for number, route in enumerate(self.routes)]
        parts += [("chains", number, chain) for number, chain in enumerate(self.chains)]
        for table, number, part in parts:
            if part.name in taken:
                raise _Misplaced(f"the name {part.name!r} is used twice: routes and chains share one list of names", table, number, "name")
            if part.name == self.encoder.name:
                raise _Misplaced(f"the name {part.name!r} is the encoder's, which is a model too; choose another", table, number, "name")
            taken.add(part.name)
            for workspace in part.workspaces or ():
                if workspace not in self.workspace_names:
                    near = near_names(workspace, self.workspace_names)
                    raise _Misplaced(f"{part.name!r} is for the workspace {workspace!r}, which does not exist; {near}", table, number, "workspaces")
        if "default" not in taken:
            route = Route(name="default", targets=(Target(provider="extractive"),))
            object.__setattr__(self, "routes", (*self.routes, route))
        if "rag" not in taken:
            object.__setattr__(self, "chains", (*self.chains, Chain(name="rag")))  # type: ignore[call-arg]
        routes = {route.name for route in self.routes}
        for number, chain in enumerate(self.chains):
            if chain.route not in routes:
                near = near_names(chain.route, routes)
                raise _Misplaced(f"chain {chain.name!r} names the route {chain.route!r}, which does not exist; {near}", "chains", number, "route")
        return self

    @property
    def home(self) -> Path:
        """The folder that holds all that is kept."""
        return self._home

    @property
    def store_url(self) -> str:
        return self.store.url or f"sqlite:///{quote(str(self.home / 'llmops.db'))}"

    @property
    def workspace_names(self) -> list[str]:
        return [workspace.name for workspace in self.workspaces]

    def kind_of(self, workspace: str) -> str:
        """The kind of a workspace of this home; `UnknownName` where it has none of that name."""
        kinds = {one.name: one.kind for one in self.workspaces}
        if workspace not in kinds:
            raise UnknownName("workspace", workspace, kinds)
        return kinds[workspace]

    def place(self, *where: int | str) -> str:
        """Where the file says something, as "llmops.toml:7: ", for what only others can judge; "" where it does not say it."""
        file, text = self._source
        line = line_of(text, where)
        return f"{file}:{line}: " if line else ""

    def digest(self) -> str:
        """A short hash of all that is configured; it holds no secret, for the file holds none."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @classmethod
    def load(cls, path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the file at `path`, else `./llmops.toml` if it is there, and the environment's overrides.

        Raises `ConfigurationError` that names file, line and key.
        """
        file = Path(path) if path is not None else Path(FILE_NAME)
        if path is not None and not file.is_file():
            raise ConfigurationError(f"no configuration file at {file}", hint="`llmops init` writes one")
        text = _read(file) if file.is_file() else ""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as broken:
            raise ConfigurationError(f"{file}: {broken}", hint="TOML wants strings in quotes and each table only once") from None
        _override(values, environ)
        try:
            settings = cls.model_validate(values)
        except ValidationError as invalid:
            raise _named(invalid, file, text) from None
        settings._source = (str(file), text)
        _know_secrets(settings, environ)
        home = environ.get("LLMOPS_HOME")
        settings._home = Path(home).expanduser().absolute() if home else file.absolute().parent / ".llmops"
        return settings


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of derived model files, shared by all homes: `LLMOPS_CACHE`, else the platform's cache folder."""
    if folder := environ.get("LLMOPS_CACHE"):
        return Path(folder).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("llmops", appauthor=False)


def _know_secrets(settings: Settings, environ: Mapping[str, str]) -> None:
    """Tell the redaction every secret that the configuration leads to, before anything can fail over one. Keys in files are told when read."""
    know_url(settings.store.url)
    know_url(settings.mlflow.tracking_uri)
    named = {target.api_key_env for route in settings.routes for target in route.targets}
    for name in named | _SECRET_VARIABLES:
        know(environ.get(name, "").strip())


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as broken:
        raise ConfigurationError(f"{file}: not UTF-8 at byte {broken.start}", hint="save the file as UTF-8") from None
    except OSError as broken:
        raise ConfigurationError(f"{file}: {broken.strerror}", hint="make the file readable, or name another with --config") from None


def _override(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put `LLMOPS__STORE__URL=...` over `[store] url`; a value is read as TOML where it is TOML, else as a string."""
    for variable, raw in sorted(environ.items()):
        if not variable.startswith(ENV_PREFIX):
            continue
        *tables, key = variable.removeprefix(ENV_PREFIX).lower().split("__")
        place = values
        for table in tables:
            inner = place.setdefault(table, {})
            if not isinstance(inner, dict):
                raise ConfigurationError(f"{variable}: [{table}] is a list of tables and cannot be set by a variable", hint=f"set it in {FILE_NAME}")
            place = inner
        try:
            place[key] = tomllib.loads(f"value = {raw}")["value"]
        except tomllib.TOMLDecodeError:
            place[key] = raw


def _named(invalid: ValidationError, file: Path, text: str) -> ConfigurationError:
    """The first thing that is wrong, with its file, line and key, and near names for an unknown key."""
    first = invalid.errors(include_url=False, include_input=False)[0]
    misplaced = getattr(first.get("ctx", {}).get("error"), "where", ())
    where: tuple[int | str, ...] = (*first["loc"], *misplaced)
    key = ".".join(str(part) for part in where)
    line = line_of(text, where)
    place = f"{file}:{line}" if line else str(file) if text else "configuration"
    hint = ""
    message = re.sub(r"^Value error, ", "", first["msg"])
    if first["type"] == "extra_forbidden":
        message = f"unknown key {key!r}"
        hint = near_names(str(where[-1]), _known_keys(where[:-1]))
    elif not misplaced and key:
        message = f"{key}: {message}"
    variable = f"{ENV_PREFIX}{'__'.join(str(part).upper() for part in where)}"
    if not line and key and variable in os.environ:
        place = f"environment variable {variable}"
    return ConfigurationError(f"{place}: {message}", hint=hint or "`llmops init` writes a commented example of every table")


def _known_keys(where: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at this place may have."""
    schema: Any = Settings.model_json_schema()
    place = schema
    for part in where:
        place = place.get("items", {}) if isinstance(part, int) else place.get("properties", {}).get(part, {})
        for option in (place, *place.get("anyOf", ()), *place.get("allOf", ())):
            if "$ref" in option:
                place = schema["$defs"][option["$ref"].rsplit("/", 1)[1]]
    return list(place.get("properties", {}))


def canonical(value: Any) -> str:
    """JSON with one spelling: for hashes and comparisons."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

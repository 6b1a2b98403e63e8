"""Write values as TOML; the standard library only reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def as_toml(values: Mapping[str, Any], table: str = "") -> str:
    """The values of a table, then its inner tables, then its lists of tables. None is left out."""
    plain = {key: value for key, value in values.items() if not _is_table(value) and not _is_list_of_tables(value)}
    parts = ["\n".join(f"{key} = {_value(value)}" for key, value in plain.items() if value is not None)]
    for key, value in values.items():
        name = f"{table}.{key}" if table else key
        if _is_table(value):
            parts.append(f"[{name}]\n{as_toml(value, name)}")
        elif _is_list_of_tables(value):
            parts += [f"[[{name}]]\n{as_toml(item, name)}" for item in value]
    return "\n\n".join(part.strip("\n") for part in parts if part)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _value(value: Any) -> str:
    """Strings, numbers, booleans and lists of them are spelled in TOML as in JSON."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)

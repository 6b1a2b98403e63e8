"""A filter on metadata, as vectorstore/filters.py reads it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict
from typing_extensions import TypedDict

from vectorstore.filters import MOST_OPTIONS

_ANY = {"maxItems": MOST_OPTIONS}
_LIST = {"type": "array", "maxItems": MOST_OPTIONS}
_OPERATORS: dict[str, Any] = {**dict.fromkeys(("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"), _ANY), "$in": _LIST, "$nin": _LIST}
_CONDITIONS = {"type": "object", "minProperties": 1, "properties": _OPERATORS, "additionalProperties": False}
_VALUE = {"type": ["string", "number", "boolean", "null", "array"], "maxItems": MOST_OPTIONS}


def _fields(schema: dict[str, Any]) -> None:
    schema["patternProperties"] = {"^([^$]|$)": {"anyOf": [_VALUE, _CONDITIONS]}}
    schema["additionalProperties"] = False


Filter = TypedDict("Filter", {"$and": "list[Filter]", "$or": "list[Filter]"}, total=False)
Filter.__doc__ = "`{field: value}` or `{field: {operator: value}}`, and `$and` or `$or` of such; at most 20 levels and 200 conditions."
Filter.__pydantic_config__ = ConfigDict(extra="allow", json_schema_extra=_fields)  # type: ignore[attr-defined]

"""A provider's failures, told apart: what is worth another try, what only another target can answer, what is the caller's fault."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from llmops.errors import ProviderError, ProviderRefused
from llmops.redact import GONE, redact
from llmops.text import storable_json

TRANSIENT = frozenset({408, 409, 429})
REFUSED = frozenset({400, 422})
_LONGEST = 300


def is_transient(status: int) -> bool:
    """Whether the same call may succeed later."""
    return status in TRANSIENT or status >= 500


def of_reply(name: str, status: int, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], hint: str = "") -> ProviderError:
    """The failure that a reply with an error status stands for. Nothing of the body goes on unread: a provider may echo our key."""
    error = _error_object(body)
    message = f"{name}: the provider answered {status}"
    if status in REFUSED:
        clean = _redacted(error, secrets)
        return ProviderRefused(_with_reason(message, clean), provider_status=status, error=clean)
    if status in {401, 403}:
        return ProviderError(message, provider_status=status, hint=hint or "the provider wants a key, or another one")
    if status == 404:
        return ProviderError(message, provider_status=status, hint="check model and base_url of the target")
    wait = retry_after(headers) if is_transient(status) else None
    return ProviderError(_with_reason(message, _redacted(error, secrets)), provider_status=status, transient=is_transient(status), retry_after=wait)


def of_event(name: str, error: Any, secrets: Sequence[str]) -> ProviderError:
    """The failure that an `error` in a body or event with status 200 stands for."""
    clean = _redacted(error if isinstance(error, dict) else {"message": str(error)}, secrets)
    code = clean.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    message = _with_reason(f"{name}: the provider sent an error", clean)
    return ProviderError(message, provider_status=status, transient=status is None or is_transient(status))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a reply asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3)."""
    for header, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait = float(headers.get(header, "")) * unit
        except ValueError:
            continue
        return None if math.isnan(wait) else max(0.0, wait)
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    value = storable_json(value)
    error = value.get("error", value) if isinstance(value, dict) else value
    return error if isinstance(error, dict) else {"message": str(error)}


def _redacted(value: Any, secrets: Sequence[str]) -> Any:
    """A JSON value without the secrets and without what looks like one."""
    if isinstance(value, str):
        for secret in filter(None, secrets):
            value = value.replace(secret, GONE)  # however short; its other spellings are known to `redact`
        return redact(value)
    if isinstance(value, dict):
        return {_redacted(str(key), secrets): _redacted(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner, secrets) for inner in value]
    return value


def _with_reason(message: str, error: Mapping[str, Any]) -> str:
    reason = error.get("message") or error.get("detail")
    if not isinstance(reason, str) or not reason.strip():
        return message
    return f"{message}: {' '.join(reason.split())[:_LONGEST]}"

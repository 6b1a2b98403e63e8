"""The one tree of errors.

    LLMOpsError                 500  exit 3
    ├── InvalidInput            422  exit 2   the caller's request is wrong
    │   ├── ConfigurationError  422  exit 2   llmops.toml is wrong (line named)
    │   └── UnknownName         404  exit 2   no such collection, document, route, command ...
    ├── TooLarge                413  exit 2
    ├── Conflict                409  exit 2
    ├── NotAuthenticated        401  exit 2
    ├── NotPermitted            403  exit 2
    ├── RateLimited             429  exit 2   too many calls; `retry_after` says when again
    ├── CheckFailed             409  exit 1   a check or a gate said no
    ├── StoreError              503  exit 3   the store is busy, gone or of another version
    │   └── DiskFull            503  exit 3   no room is left; reads go on
    ├── ProviderError           502  exit 3   a model's provider failed
    │   └── AllTargetsFailed    503  exit 3
    └── Unavailable             503  exit 3   a part of the system is not there (yet)

Each error carries a `code` for programs, an HTTP `status`, an `exit_code` for the CLI, and a `hint` that names the
way out. They are caught once at each edge (`server/errors.py`, `llmops/cli.py`) and nowhere inside.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class LLMOpsError(Exception):
    """Root of all errors that this system raises on purpose."""

    code = "llmops_error"
    status = 500
    exit_code = 3

    def __init__(self, message: str, *, hint: str = "", param: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.param = param

    @property
    def with_hint(self) -> str:
        """The message, and behind it the way out where there is one."""
        return f"{self} ({self.hint})" if self.hint else str(self)


class InvalidInput(LLMOpsError):
    """The request cannot be carried out as it stands."""

    code, status, exit_code = "invalid_input", 422, 2


class ConfigurationError(InvalidInput):
    """The configuration is broken; the message names file and line."""

    code = "configuration_error"


class UnknownName(InvalidInput):
    """A name that does not exist; the hint offers the nearest ones that do."""

    code, status = "unknown_name", 404

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), *, hint: str = "") -> None:
        super().__init__(f"unknown {kind}: {name!r}", hint=hint or near_names(name, known), param=kind)


class TooLarge(LLMOpsError):
    """The request is larger than its limit."""

    code, status, exit_code = "too_large", 413, 2


class Conflict(LLMOpsError):
    """The thing exists already, or somebody else holds it."""

    code, status, exit_code = "conflict", 409, 2


class NotAuthenticated(LLMOpsError):
    """No key, or not a valid one."""

    code, status, exit_code = "not_authenticated", 401, 2


class NotPermitted(LLMOpsError):
    """A valid key whose role does not allow this."""

    code, status, exit_code = "not_permitted", 403, 2


class RateLimited(LLMOpsError):
    """Too many calls of one kind. `retry_after` is in seconds."""

    code, status, exit_code = "rate_limited", 429, 2

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint or f"try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class CheckFailed(LLMOpsError):
    """A check ran and its result is no."""

    code, status, exit_code = "check_failed", 409, 1


class StoreError(LLMOpsError):
    """The store of record cannot answer now."""

    code, status = "store_unavailable", 503


class DiskFull(StoreError):
    """No room is left for what was to be written. Reads go on."""

    code = "disk_full"


class Unavailable(LLMOpsError):
    """A part of the system is not there, or not ready."""

    code, status = "unavailable", 503


class ConnectionFailed(Unavailable):
    """An address was not reached, or the connection to it broke."""

    code = "connection_failed"


class ProviderError(LLMOpsError):
    """A model's provider failed. `provider_status` is its HTTP status, or None where there was no answer.

    `transient`: the same call may succeed if it is made again. `retry_after`: the seconds that the provider asked to wait.
    """

    code, status = "provider_error", 502

    def __init__(
        self,
        message: str,
        *,
        provider_status: int | None = None,
        hint: str = "",
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider_status = provider_status
        self.transient = transient
        self.retry_after = retry_after


class ProviderRefused(ProviderError):
    """The provider says that the request itself is wrong (400, 422): no other target is tried.

    `status` is the provider's; `error` is the `error` object of its body, with secrets taken out.
    """

    code, status, exit_code = "provider_refused", 400, 2

    def __init__(self, message: str, *, provider_status: int, error: Mapping[str, Any] | None = None, hint: str = "") -> None:
        super().__init__(message, provider_status=provider_status, hint=hint)
        self.status = provider_status
        self.error = dict(error or {})


class AllTargetsFailed(ProviderError):
    """Every target of a route failed before its first chunk; the message lists the attempts.

    Its status is 503, but 502 where every provider refused our key or model: waiting will not help then.
    `retry_after` is the shortest wait that any of them asked for.
    """

    code, status = "all_targets_failed", 503

    def __init__(self, route: str, failures: Sequence[ProviderError]) -> None:
        tried = "; ".join(str(failure) for failure in failures)
        hints = dict.fromkeys(failure.hint for failure in failures if failure.hint)
        super().__init__(
            f"every target of route {route!r} failed: {tried}",
            hint="; ".join(hints) or "see the provider's status, or add a fallback target",
            retry_after=min((f.retry_after for f in failures if f.retry_after is not None), default=None),
        )
        self.failures = tuple(failures)
        if failures and all(f.provider_status is not None and not f.transient and f.provider_status < 500 for f in failures):
            self.status = 502


FREE_SPACE = "free some space; nothing was half written, and reads go on"


def is_disk_full(failure: BaseException) -> bool:
    """Whether the system said that there is no room: on the disk, in a quota, or for so large a file."""
    return isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def near_names(name: str, known: Iterable[str]) -> str:
    """A hint that offers the names closest to `name`, or lists what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known: {shown}"

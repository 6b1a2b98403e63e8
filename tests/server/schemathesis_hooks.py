"""Where a check of schemathesis cannot hold, and why: loaded by `st run` through tests/server/schemathesis.toml."""

from __future__ import annotations

import json
import re
from typing import Any

import schemathesis

_LIST = "which workspace a list may name depends on the key"
# A request that fits its schema is refused all the same: by operation, the fields that say more than a schema can.
BEYOND_A_SCHEMA = {
    "POST /v1/chat/completions": {
        "messages": "whether a chain can answer depends on which message is last and on its parts",
        r"messages\.\d+\.content": "a chain reads text alone",
        "at": "no schema knows how far a collection's sequence has come",
        "n": "a chain gives one answer, a route as many as its provider does",
        "llmops": "a route searches nothing",
    },
    "POST /v1/embeddings": {"dimensions": "they are the encoder's, which the configuration names"},
    "POST /api/v1/search": {
        "at": "no schema knows how far a collection's sequence has come",
        "filter": "how deep a filter nests, and how many conditions it has in all",
    },
    "GET /api/v1/collections/{name}/quality": {"since": "no schema knows how far a collection's sequence has come"},
    "GET /api/v1/collections/{name}/snapshot": {"at": "no schema knows how far a collection's sequence has come"},
    "GET /api/v1/collections/{name}/diff": dict.fromkeys(("from", "to"), "no schema knows how far a collection's sequence has come"),
    "POST /api/v1/collections": {"acl": _LIST},
    "POST /api/v1/keys": {"scopes": "which permissions can be chosen from depends on the role"},
    "PUT /api/v1/collections/{name}/acl": {"acl": _LIST},
    "PUT /api/v1/documents/{document_id}/acl": {"acl": _LIST},
    "POST /api/v1/collections/{name}/copy": {
        "to": "a workspace that the collection is in already",
        "at": "no schema knows how far a collection's sequence has come",
    },
    "POST /api/v1/documents": {
        "source": "its bytes in UTF-8 have a limit besides its characters",
        "external_id": "its bytes in UTF-8 have a limit besides its characters, and no two documents may have the same",
        "url": "what lies at an address, and whether it may be fetched",
        "acl": _LIST,
    },
}
# A version of a withdrawn document is still served where it is named: earlier answers can be explained by it.
OF_A_VERSION = {"GET /api/v1/documents/{document_id}/text", "GET /api/v1/documents/{document_id}/original"}
BEYOND_A_FORM = {r"(metadata|acl)\b.*": "JSON within a field of a form"}


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure is one."""
    if type(failure).__name__ == "UseAfterFree" and (case.query or {}).get("version") is not None:
        return context.operation.label not in OF_A_VERSION
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code != 422:
        return True
    fields = {**BEYOND_A_SCHEMA.get(context.operation.label, {}), **(BEYOND_A_FORM if case.media_type == "multipart/form-data" else {})}
    param = json.loads(response.content)["error"]["param"] or ""
    return not any(re.fullmatch(known, param) for known in fields)

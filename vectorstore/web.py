"""Documents that lie at an address: fetched through the guarded client, and named so that a loader knows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from llmops.outbound import fetch
from vectorstore.load import loader_for

FETCH_SECONDS = 60.0
_BY_CONTENT_TYPE = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.ms-word.document.macroenabled.12": ".docm",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": ".pptm",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.ms-excel.sheet.macroenabled.12": ".xlsm",
    "message/rfc822": ".eml",
    "application/vnd.ms-outlook": ".msg",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "text/plain": ".txt",
}


async def page_at(url: str, allow: Sequence[str], max_bytes: int, deadline: float) -> tuple[str, bytes]:
    """The file name and the bytes of what lies at an address. `deadline` is a `time.monotonic()` value.

    Raises `InvalidInput` for an address that is not allowed, `TooLarge`, or `ConnectionFailed`.
    """
    fetched = await fetch(url, allow, max_bytes=max_bytes, deadline=deadline)
    return _name_of(fetched.url, fetched.content_type), fetched.content


def _name_of(url: str, content_type: str) -> str:
    """A file name whose extension says how to read what lay at an address."""
    path = urlsplit(url).path
    name = PurePosixPath(path).name[-100:] or "page"
    if loader_for(name) is not None and content_type in ("", "text/plain", "application/octet-stream"):
        return name
    return name + _BY_CONTENT_TYPE.get(content_type, ".html" if not PurePosixPath(name).suffix else "")

"""Documents: handed in (202 and a job), listed, shown, withdrawn."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from pydantic import ConfigDict, Field, JsonValue, model_validator
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from llmops.errors import InvalidInput
from llmops.sections import Name
from llmops.types import Json
from server.accepted import ACCEPTED, accepted
from server.bodies import MEGABYTE, read_json
from server.door import AskerOf, BytesResponse, Door, RoomsOf, link
from server.errors import validated
from server.pages import AfterRow, Limit, Page, page
from server.shapes import Body, Filled, Metadata, Principal
from server.shapes_documents import DocumentRow, DocumentShape, PlacedChunkShape, TextShape, WithdrawnShape
from vectorstore import documents, originals
from vectorstore.documents import Handed
from vectorstore.load import EXTENSIONS, LONGEST_ID, loader_for
from vectorstore.sources import LONGEST_SOURCE
from vectorstore.web import FETCH_SECONDS, page_at

door = Door("documents")
MOST_FILES = 100
MOST_ADDRESSES = 20
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Around = Annotated[int, Query(ge=0, le=100_000)]
Source = Annotated[Filled, Field(max_length=LONGEST_SOURCE)]
_TEXT_OR_URL: dict[str, Any] = {
    "oneOf": [
        {"required": ["text"], "properties": {"text": {"type": "string"}, "url": {"type": "null"}}},
        {"required": ["url"], "properties": {"url": {"type": "string"}, "text": {"type": "null"}}},
    ]
}
_EXAMPLES: list[JsonValue] = [
    {"collection": "docs", "documents": [{"external_id": "stop.md", "text": "# Stop\n\nPress Ctrl-C to stop the server.\n"}]}
]


class NewDocument(Body):
    """A document with its text, or the address where it lies. `external_id` has at most 1,800 bytes in UTF-8."""

    model_config = ConfigDict(json_schema_extra=_TEXT_OR_URL)
    external_id: str = Field(min_length=1, max_length=LONGEST_ID)
    title: str = Field("", max_length=1000)
    text: str | None = None
    url: str | None = Field(None, max_length=2000)
    metadata: Metadata = Field(default_factory=dict)
    acl: list[Principal] | None = None

    @model_validator(mode="after")
    def _text_or_url(self) -> NewDocument:
        if (self.text is None) == (self.url is None):
            raise ValueError("give either `text` or `url`")
        return self


class NewDocuments(Body):
    """Documents of one collection. `source` has at most 600 bytes in UTF-8; no more than 20 documents are given by their address."""

    model_config = ConfigDict(json_schema_extra={"examples": _EXAMPLES})
    collection: Name
    source: Source = "api"
    documents: list[NewDocument] = Field(min_length=1, max_length=documents.MOST_AT_ONCE)


class NewFiles(Body):
    """The fields beside the files of a form. `metadata` and `acl` are JSON; `acl` may be `group:hr,user:alice` too."""

    collection: Name
    source: Source = "api"
    metadata: Metadata = Field(default_factory=dict)
    acl: list[Principal] | None = None


_TEXTS = NewDocuments.model_json_schema()
_TEXTS["properties"]["documents"]["items"] = _TEXTS.pop("$defs")["NewDocument"]
_FIELDS = NewFiles.model_json_schema()["properties"]
_FORM = {
    "type": "object",
    "required": ["file", "collection"],
    "properties": {
        "file": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
            "maxItems": MOST_FILES,
            "description": "each with a file name that ends in one of " + " ".join(EXTENSIONS),
        },
        "collection": _FIELDS["collection"],
        "source": _FIELDS["source"],
        "metadata": {"type": "string", "contentMediaType": "application/json", "description": "a JSON object of plain values"},
        "acl": {"type": "string", "description": "a JSON list, or group:hr,user:alice"},
    },
    "additionalProperties": False,
}
_NAMED = {"Content-Disposition": {"schema": {"type": "string"}, "example": 'form-data; name="file"; filename="page.md"'}}
_CONTENT = {
    "application/json": {"schema": _TEXTS},
    "multipart/form-data": {"schema": _FORM, "encoding": {"file": {"contentType": "application/octet-stream", "headers": _NAMED}}},
}
_BODY = {"requestBody": {"required": True, "content": _CONTENT}}
_FIRST = {
    "first": link("documents_show", document_id="/data/0/document_id"),
    "text": link("documents_text", document_id="/data/0/document_id"),
    "withdraw": link("documents_withdraw", document_id="/data/0/document_id"),
}
_SAME = {name: link(f"documents_{name}", document_id="/document_id") for name in ("show", "text", "withdraw")}


@door.post("/api/v1/documents", permission="documents:write", upload=True, openapi_extra=_BODY, fails={404, 409}, **ACCEPTED)
async def hand_in(request: Request, rooms: RoomsOf, asker: AskerOf) -> Response:
    """Keep what is handed in and queue its ingestion: 202 and the job's id, from which on nothing is lost."""
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with request.form(max_files=MOST_FILES, max_fields=20) as form:
            files = validated(NewFiles, _fields(form))
            handed = [await _file(upload, files) for upload in form.getlist("file")]
            collection, source = files.collection, files.source
    else:
        texts = validated(NewDocuments, await _json(request))
        handed = await _texts(texts, rooms.home.settings.outbound.allow, int(rooms.home.settings.server.max_upload_mb * MEGABYTE))
        collection, source = texts.collection, texts.source
    job_id = await asyncio.to_thread(documents.accept, rooms.home, asker, collection, handed, source)
    return accepted(job_id)


@door.get("/api/v1/documents", permission="documents:read", returns=Page[DocumentRow], links=_FIRST, fails={404})
async def list_documents(collection: Name, rooms: RoomsOf, asker: AskerOf, after: AfterRow = 0, limit: Limit = 100) -> Json:
    """The documents of a collection that the key may read."""
    rows = await rooms.home.store.read_async(lambda c: documents.listed(c, asker, collection, after, limit + 1))
    return page(rows, limit, "row")


@door.get("/api/v1/documents/{document_id}", permission="documents:read", returns=DocumentShape, links=_SAME)
async def show(document_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """A document with its metadata and its chunks."""
    shown: Json = await rooms.home.store.read_async(lambda c: documents.show(c, asker, document_id))
    return shown


@door.get("/api/v1/documents/{document_id}/text", permission="documents:read", returns=TextShape, links=_SAME)
async def text(document_id: str, rooms: RoomsOf, asker: AskerOf, version: Version = None) -> Json:
    """The extracted text that every offset counts in."""
    found: Json = await rooms.home.store.read_async(lambda c: documents.text(c, asker, document_id, version))
    return found


@door.get("/api/v1/documents/{document_id}/original", permission="documents:read", returns=bytes)
async def original(document_id: str, rooms: RoomsOf, asker: AskerOf) -> Response:
    """The bytes that a document was read from, for a key that may read all that they hold."""
    found = await rooms.home.store.read_async(lambda c: originals.original(c, asker, document_id))
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name)}"}
    return BytesResponse(found.content, headers=headers)


@door.get("/api/v1/chunks/{chunk_id}", permission="documents:read", returns=PlacedChunkShape)
async def show_chunk(chunk_id: str, rooms: RoomsOf, asker: AskerOf, around: Around = originals.AROUND) -> Json:
    """A chunk in its place: the text before and after it."""
    found: Json = await rooms.home.store.read_async(lambda c: originals.chunk_in_place(c, asker, chunk_id, around))
    return found


@door.delete("/api/v1/documents/{document_id}", permission="documents:write", returns=WithdrawnShape, links=_SAME)
async def withdraw(document_id: str, rooms: RoomsOf, asker: AskerOf) -> Json:
    """Take a document out of every search from now on; earlier snapshots keep it."""
    return await asyncio.to_thread(documents.withdraw, rooms.home.store, asker, document_id)


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except (json.JSONDecodeError, RecursionError, UnicodeDecodeError):
        raise InvalidInput("the body is not JSON", hint='send {"collection", "documents": [...]}, or a form with `file`', param="body") from None


def _fields(form: FormData) -> Json:
    """The form's fields, those that are JSON read as such."""
    fields: Json = {name: value for name, value in form.multi_items() if name != "file"}
    if isinstance(fields.get("metadata"), str):
        fields["metadata"] = _value(fields["metadata"])
    if isinstance(given := fields.get("acl"), str):
        fields["acl"] = _value(given) if given.lstrip().startswith("[") else [part.strip() for part in given.split(",") if part.strip()]
    return fields


def _value(text: str) -> Any:
    try:
        return read_json(text.encode())
    except (ValueError, RecursionError):
        return text  # the validation says what was wanted


async def _file(upload: UploadFile | str, fields: NewFiles) -> Handed:
    if isinstance(upload, str):
        raise InvalidInput("`file` is not a file", hint="send it with a filename", param="file")
    name = PurePosixPath((upload.filename or "").replace("\\", "/")).name
    if loader_for(name) is None:
        raise InvalidInput(f"unknown kind of file: {name[:100]!r}", hint="known: " + " ".join(EXTENSIONS), param="file")
    return Handed(name, name, await upload.read(), metadata=fields.metadata, acl=fields.acl)


async def _texts(body: NewDocuments, allow: tuple[str, ...], max_bytes: int) -> list[Handed]:
    if sum(one.url is not None for one in body.documents) > MOST_ADDRESSES:
        raise InvalidInput(f"more than {MOST_ADDRESSES} addresses at once", hint="hand them in by parts", param="documents")
    deadline = time.monotonic() + FETCH_SECONDS
    handed = []
    for one in body.documents:
        if one.url is not None:
            name, content = await page_at(one.url, allow, max_bytes, deadline)
        else:
            name = one.external_id if loader_for(one.external_id) == "markdown" else f"{one.external_id}.txt"
            content = (one.text or "").encode()
        handed.append(Handed(one.external_id, name, content, one.title, one.metadata, one.acl))
    return handed

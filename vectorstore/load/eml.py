"""Mails as they travel (RFC 5322, MIME): the plain text where there is one, else the HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime

from llmops.errors import InvalidInput
from vectorstore.load import loader_for
from vectorstore.load.decode import clean, decode
from vectorstore.load.mail import Attached, Mail, documents, plain_name
from vectorstore.load.parsed import Failed, Fields, Parsed

LONGEST_HEADER = 20_000
"""Characters of a header that are read: a list of receivers may be long, and a hostile one without end."""
MOST_OF_HEADERS = 2**20
_KEPT = {"from": "from", "to": "to", "cc": "cc", "subject": "subject", "message-id": "message_id"}
_SIGNS = {*_KEPT, "date", "received", "return-path", "mime-version", "content-type"}
_HEAD = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:From |[!-9;-~]{1,76}[ \t]*:)")
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n|\r\r")
_EXTENSIONS = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/csv": ".csv",
    "text/markdown": ".md",
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "message/rfc822": ".eml",
}


def load(content: bytes, name: str, fields: Fields) -> Iterator[Parsed | Failed]:
    """A mail and what is attached to it, each a document. Sender, receivers, date, subject and message id become metadata."""
    return documents(read(content), name)


def read(content: bytes) -> Mail:
    """A mail from its bytes; `InvalidInput` for what is none."""
    if not content.strip():
        raise InvalidInput("is empty", hint="the file has no bytes")
    end = _END_OF_HEADERS.search(content)
    if not _HEAD.match(content) or (end.start() if end else len(content)) > MOST_OF_HEADERS:
        raise InvalidInput("is not an e-mail", hint="give the file the extension of what it is")
    try:
        message = message_from_bytes(content.removeprefix(b"\xef\xbb\xbf"), policy=policy.compat32)
    except (MessageError, ValueError, LookupError) as error:
        raise InvalidInput(f"is a broken e-mail: {error}") from error
    if not _SIGNS & {name.lower() for name in message.keys()}:  # noqa: SIM118 - it is no mapping
        raise InvalidInput("is not an e-mail: it has none of the headers of one", hint="give the file the extension of what it is")
    return _mail(message)


def _mail(message: Message) -> Mail:
    mail = Mail(_headers(message))
    if message.get_content_type() in ("application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"):
        mail.problem = "is encrypted; save it decrypted"
    else:
        _Bodies(mail).read(message)
    return mail


class _Bodies:
    """Sorts the parts of a mail into its text and what is attached."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail

    def read(self, part: Message) -> None:
        kind = part.get_content_type()
        if kind == "message/rfc822" or (kind == "message/global" and part.is_multipart()):
            inner = next(map(_mail, _inside(part)), Mail())
            name = plain_name(_file_name(part) or inner.headers.get("subject") or "mail", "mail")
            self._mail.attached.append(Attached(name if name.lower().endswith((".eml", ".msg")) else f"{name}.eml", inner))
        elif kind == "multipart/alternative":
            self._alternative(part)
        elif part.is_multipart():
            for one in _inside(part):
                self.read(one)
        else:
            self._leaf(part, kind)

    def _alternative(self, part: Message) -> None:
        """Several spellings of one thing: the plain one if it says anything, else the HTML; what is attached in any of them."""
        spellings = []
        for inner in _inside(part):
            one = Mail()
            _Bodies(one).read(inner)
            spellings.append(one)
            self._mail.attached += one.attached
            self._mail.problem = self._mail.problem or one.problem
        with_text = [one for one in spellings if any(body.strip() for _, body in one.bodies)]
        plain = [one for one in with_text if all(kind == "text" for kind, _ in one.bodies)]
        self._mail.bodies += (plain or with_text or [Mail()])[0].bodies

    def _leaf(self, part: Message, kind: str) -> None:
        content = _content(part)
        name = _file_name(part)
        is_text = kind in ("text/plain", "text/html") and not name and part.get_content_disposition() != "attachment"
        if is_text:
            try:
                text = decode(content, _charset(part)) if content.strip() else ""
            except InvalidInput as error:  # what is attached may be sound
                self._mail.problem = f"its text is {error}"
            else:
                self._mail.bodies.append(("html" if kind == "text/html" else "text", text))
        elif content or name:
            known = _EXTENSIONS.get(kind, "")
            name = plain_name(name, "attachment")
            self._mail.attached.append(Attached(name if loader_for(name) or not known else name + known, content))


def _inside(part: Message) -> Iterator[Message]:
    payload = part.get_payload()
    yield from (inner for inner in payload if isinstance(inner, Message)) if isinstance(payload, list) else ()


def _content(part: Message) -> bytes:
    """The bytes of a part, whatever its transfer encoding; as they are where that is broken."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _charset(part: Message) -> str | None:
    charset = part.get_param("charset")
    return str(charset[2] if isinstance(charset, tuple) else charset)[:40] if charset else None


def _file_name(part: Message) -> str:
    try:
        return _plain(part.get_filename() or "")
    except (LookupError, ValueError, TypeError):
        return ""


def _headers(message: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, raw in message.raw_items():
        kept = _KEPT.get(name.lower())
        if kept and kept not in found and (value := _plain(str(raw)[:LONGEST_HEADER])):
            found[kept] = value[:1000]
    sent = str(message.get("date") or "")[:200]
    try:
        found["date"] = parsedate_to_datetime(sent).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        if sent:
            found["date"] = _plain(sent)[:100]
    return found


def _plain(raw: str) -> str:
    """A header as it is read: its encoded words decoded, those of one encoding together, for they may split a character."""
    raw = raw.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    try:
        words = decode_header(raw)
    except (ValueError, LookupError, MessageError):
        words = [(raw, None)]
    parts = []
    for word, charset in words:
        if isinstance(word, str):
            word = word.encode("utf-8", "surrogateescape")
        try:
            parts.append(decode(word, None if charset in (None, "unknown-8bit") else charset))
        except InvalidInput:
            parts.append(word.decode("ascii", "replace"))
    return " ".join(clean("".join(parts)).split())

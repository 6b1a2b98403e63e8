"""No secret reaches a log, an error line or a row."""

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
import sys
from urllib.parse import quote

import pytest

from llmops import redact as redaction
from llmops.logs import RedactingFilter
from llmops.output import as_text, json_text, printable, table
from llmops.redact import know, know_url, redact, redact_value

SECRET = "CANARYcanary0123456789CANARYcanary0123456789abc"


@pytest.mark.parametrize(
    "text",
    [
        f"llmops_0123456789abcdef_{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {SECRET}==",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"[(b'authorization', b'Bearer {SECRET}')]",
        f"bearer {SECRET}",
        f"x-api-key: {SECRET}",
        f"Cookie: a=b; session={SECRET}",
        f"sk-{SECRET}",
        f"sk-proj-{SECRET}",
        f"hf_{SECRET}",
        f"gsk_{SECRET}",
        f"https://user:{SECRET}@host/path",
        f"https://{SECRET}@host",
        f"postgresql+psycopg://u:a/b{SECRET}@host/db",
        f"redis://:{SECRET}@host",
        f"GET /v1?api_key={SECRET}&x=1",
        f"host=h password={SECRET} user=u",
        f'{{"api_key": "{SECRET}"}}',
        f"client_secret='{SECRET}'",
    ],
)
def test_t12_a_secret_is_taken_out(text: str):
    clean = redact(f"before {text} after")
    assert SECRET not in clean
    assert "CANARY" not in clean
    assert "[redacted]" in clean
    assert clean.startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        "send `Authorization: Bearer llmops_...`; `llmops keys create` makes a key",
        "http://127.0.0.1:8000/v1/models?limit=3",
        "mail alice@example.com or see https://example.com/a@b",
        "llmops_request_duration_seconds_bucket",
        "the risk-assessment-of-something-quite-long",
        "tokens_in=12 tokens_out=3",
        "api_key_env = OPENAI_API_KEY",
        "bearer of good news",
        "日本語の文書",
    ],
)
def test_what_is_no_secret_stays(text: str):
    assert redact(text) == text


def test_values_whose_name_tells_are_taken_out():
    value = {
        "api_key": SECRET,
        "db_password": SECRET,
        "headers": [{"Authorization": SECRET}],
        "api_key_env": "NAME",
        "tokens": 3,
        "password": "",
        "name": "x",
    }
    assert redact_value(value) == {
        "api_key": "[redacted]",
        "db_password": "[redacted]",
        "headers": [{"Authorization": "[redacted]"}],
        "api_key_env": "NAME",
        "tokens": 3,
        "password": "",
        "name": "x",
    }


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this test makes known is forgotten after it."""
    monkeypatch.setattr(redaction, "_known", redaction._known.copy())
    monkeypatch.setattr(redaction, "_spellings", redaction._spellings)


@pytest.mark.parametrize("secret", ["Pass+word/1=", "plain1", 'it\'s "quoted"', "日本語の鍵です", "x" * 300, "a\\b c%d"])
def test_t12_a_secret_that_is_known_is_taken_out_in_every_spelling(secret: str, forgetful: None) -> None:
    know(secret)
    raw = secret.encode()
    for spelling in (secret, quote(secret), quote(secret, safe=""), json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        assert redact(f"before {spelling} after").strip('"').replace('"', "") == "before [redacted] after"
    for before in ("", "u", "us", "user:", "anybody@host:"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            clean = redact(encode(before.encode() + raw + b"@host").decode())
            assert "[redacted]" in clean and len(clean) < len(before) + 40, clean


def test_t12_the_password_of_a_url_is_known_decoded_too(forgetful: None) -> None:
    know_url("postgresql+psycopg://user:Sec%2Fret%207@host/db")
    for text in ("Sec%2Fret%207", "FATAL: password 'Sec/ret 7' is wrong"):
        assert "[redacted]" in redact(text) and "ret" not in redact(text)


def test_known_secrets_are_bounded_and_plain_words_stay(forgetful: None) -> None:
    for word in ("", "short", "postgres", "password"):
        know(word)
    assert redact("a short password for postgres") == "a short password for postgres"
    for number in range(3 * redaction.MOST_KNOWN):
        know(f"Secret-{number:06}")
    assert len(redaction._known) == redaction.MOST_KNOWN
    assert redact(f"Secret-{3 * redaction.MOST_KNOWN - 1:06}") == "[redacted]"


def test_t12_what_nobody_caught_ends_in_the_log_without_secrets() -> None:
    program = f"""
import threading, warnings
from llmops.logs import log_to_stderr
from llmops.redact import know
know("{SECRET}")
log_to_stderr()
def fail(): raise ValueError("in a thread: {SECRET}")
thread = threading.Thread(target=fail); thread.start(); thread.join()
raise RuntimeError("at the end: {SECRET}")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1 and "CANARY" not in done.stderr.replace(program, "")
    assert "in a thread: [redacted]" in done.stderr and "at the end: [redacted]" in done.stderr


@pytest.fixture
def log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    logger = logging.getLogger("test.redact")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)


def test_t12_logs_hold_no_secret(log):
    logger, stream = log
    logger.error("calling %s as %r", f"https://u:{SECRET}@host", {"Authorization": f"Bearer {SECRET}"})
    logger.error("Authorization: %s", SECRET)
    logger.error(f"sk-{SECRET}", stack_info=True)
    logger.error("%(url)s", {"url": f"redis://:{SECRET}@host"})
    try:
        raise ConnectionError(f"postgresql://u:{SECRET}@host refused")
    except ConnectionError:
        logger.exception("failed")
    said = stream.getvalue()
    assert "CANARY" not in said
    assert "ConnectionError" in said


def test_a_log_record_keeps_its_arguments_for_formatters_that_want_them(log):
    record = logging.LogRecord("uvicorn.access", 20, "", 0, '%s - "%s %s HTTP/%s" %d', ("1.2.3.4", "GET", f"/x?token={SECRET}", "1.1", 200), None)
    RedactingFilter().filter(record)
    assert len(record.args) == 5
    assert "CANARY" not in record.getMessage()


def test_a_record_that_cannot_be_formatted_is_still_logged(log, capsys):
    logger, _ = log
    logger.error("%d items", "many")


def test_tables_count_wide_characters_as_two():
    lines = table([{"name": "日本", "n": 1}, {"name": "abcd", "n": 2}], ["name", "n"]).splitlines()
    assert lines == ["name  n", "日本  1", "abcd  2"]


def test_any_value_has_a_text():
    assert as_text({"a": [1, {"b": None}], "ok": True, "name": "x"}) == 'a: [1, {"b": null}]\nok: yes\nname: x'
    assert as_text({"data": [{"a": 1}]}) == "a\n1"
    assert as_text([]) == ""


def test_json_is_one_line_and_safe():
    assert json_text({"a": "\u2028\x85\x1b"}) == '{"a": "\\u2028\\u0085\\u001b"}'
    assert printable("a\r\nb\rc\td") == "a\nb\\x0dc\td"

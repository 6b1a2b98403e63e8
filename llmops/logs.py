"""Logs go to stderr, and no secret goes with them."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

from llmops.redact import redact

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_plain = logging.Formatter()


class RedactingFilter(logging.Filter):
    """Takes secrets out of a record's message, its arguments, its exception and its stack."""

    def filter(self, record: logging.LogRecord) -> bool:
        _clean_message(record)
        if record.exc_info:
            record.exc_text = record.exc_text or _plain.formatException(record.exc_info)
            record.exc_info = None  # every formatter then uses the text
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _clean_message(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit: logging itself would print them as they are
        message = f"{record.msg} {record.args}"
        record.msg, record.args = message, ()
    if redact(message) == message:
        return
    if isinstance(record.args, tuple):  # some formatters want the arguments one by one
        record.args = tuple(redact(argument) if isinstance(argument, str) else argument for argument in record.args)
        if redact(record.getMessage()) == record.getMessage():
            return
    record.msg, record.args = redact(message), ()


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Send this process's logs, and what nobody caught in it, to stderr, unless somebody set up logging before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(RedactingFilter())
    logging.basicConfig(level=level, handlers=[handler])
    threading.excepthook = _log_thread
    sys.excepthook = _log_end


def _log_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is None or failed.exc_type is SystemExit:
        return
    name = failed.thread.name if failed.thread else "?"
    logging.getLogger("llmops").error("thread %s died", name, exc_info=(failed.exc_type, failed.exc_value, failed.exc_traceback))


def _log_end(kind: type[BaseException], failure: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, failure, trace)
        return
    logging.getLogger("llmops").critical("the process ends: nobody caught this", exc_info=(kind, failure, trace))

"""Text of scanned pages, by Tesseract, where that program is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import pypdfium2

from vectorstore.load.decode import clean
from vectorstore.load.limits import can_read_pictures
from vectorstore.load.lines import unwrapped

DOTS = 200
"""Per inch, in which a page is drawn: what Tesseract reads well, in a third of the time of 300."""
MOST_PIXELS = 12_000_000
"""Of a drawn page; a larger one is drawn coarser."""
SECONDS_PER_PAGE = 10.0
PREFERRED = ("eng", "jpn")
"""Languages that come first, where Tesseract has them."""
_MOST_LANGUAGES = 3
_MANY_PATHS = 50
FILLED = 0.5
"""Of a page's area: a picture that covers more may be the page itself."""
_IMAGES = (pypdfium2.raw.FPDF_PAGEOBJ_IMAGE,)


def hint() -> str:
    """What to do about a document of images."""
    if can_read_pictures():
        return "no text was recognised on them: scan them anew, upright and at 300 dots per inch, or in a language that Tesseract has"
    return "install the program tesseract (on Debian: tesseract-ocr and tesseract-ocr-jpn) to have scanned pages read"


def recognised(document: Any, pages: Sequence[int], deadline: float) -> dict[int, list[str]]:
    """The paragraphs of the pages, counted from 0, on which text was found before the deadline (of the monotonic clock)."""
    found: dict[int, list[str]] = {}
    if not can_read_pictures():
        return found
    for page in pages:
        left = deadline - time.monotonic()
        if left < 1:
            break
        if paragraphs := _page(document, page, min(left, SECONDS_PER_PAGE)):
            found[page] = paragraphs
    return found


@cache
def languages() -> str:
    """What Tesseract is told to read, as `eng+jpn`."""
    lines = _tesseract(["--list-langs"], b"", SECONDS_PER_PAGE).split("\n")[1:]
    there = [name for line in lines if (name := line.strip()) and name not in ("osd", "equ")]
    first = [name for name in PREFERRED if name in there]
    return "+".join([*first, *(name for name in there if name not in first)][:_MOST_LANGUAGES])


def is_filled(document: Any, number: int) -> bool:
    """Whether a picture covers most of a page, as that of a scanned one does."""
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return False
    try:
        frame = page.get_bbox()
        pictures = page.get_objects(filter=_IMAGES, max_depth=1)  # within a form, bounds are the form's own
        return sum(_covered(picture, frame) for picture in pictures) > FILLED or _is_a_form(page)
    except pypdfium2.PdfiumError:
        return False
    finally:
        page.close()


def _covered(picture: Any, frame: tuple[float, float, float, float]) -> float:
    """The share of a page's area that a picture takes; a scan may come in strips."""
    try:
        bounds = picture.get_bounds()
    except pypdfium2.PdfiumError:
        return 0.0
    left, bottom, right, top = frame
    shown = max(min(bounds[2], right) - max(bounds[0], left), 0.0) * max(min(bounds[3], top) - max(bounds[1], bottom), 0.0)
    return shown / ((right - left) * (top - bottom)) if right > left and top > bottom else 0.0


def _is_a_form(page: Any) -> bool:
    """Whether a form that covers most of the page holds a picture."""
    forms = page.get_objects(filter=(pypdfium2.raw.FPDF_PAGEOBJ_FORM,), max_depth=1)
    frame = page.get_bbox()
    return any(_covered(form, frame) > FILLED for form in forms) and any(True for _ in page.get_objects(filter=_IMAGES, max_depth=3))


def _page(document: Any, number: int, seconds: float) -> list[str]:
    page = document[number]
    try:
        width, height = page.get_size()
        if width <= 0 or height <= 0 or not _is_drawn_on(page):
            return []
        scale = min(DOTS / 72, (MOST_PIXELS / (width * height)) ** 0.5)
        picture = _picture(page.render(scale=scale, grayscale=True))
        text = _tesseract(["stdin", "stdout", "-l", languages()], picture, seconds)
    except (OSError, subprocess.SubprocessError, pypdfium2.PdfiumError):  # out of time, or nothing that it can read
        return []
    finally:
        page.close()
    return [unwrapped(paragraph) for part in clean(text).split("\n\n") if (paragraph := part.strip("\n")).strip()]


def _picture(bitmap: Any) -> bytes:
    """A drawn page in the format PGM, which needs no library to write."""
    rows = bytes(bitmap.buffer)
    body = b"".join(rows[start : start + bitmap.width] for start in range(0, bitmap.stride * bitmap.height, bitmap.stride))
    return b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + body


def _tesseract(arguments: list[str], given: bytes, seconds: float) -> str:
    """What Tesseract writes. Raises `OSError` and `subprocess.SubprocessError`."""
    program = shutil.which("tesseract") or "tesseract"
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}  # its threads wait for each other more than they help
    done = subprocess.run([program, *arguments], input=given, capture_output=True, timeout=seconds, check=True, env=environment)  # noqa: S603 (no shell, and nothing of a document is an argument)
    return done.stdout.decode("utf-8", "replace")


def _is_drawn_on(page: Any) -> bool:
    """Whether there may be letters on a page: in an image, or drawn as outlines."""
    kinds = (pypdfium2.raw.FPDF_PAGEOBJ_IMAGE, pypdfium2.raw.FPDF_PAGEOBJ_PATH)
    for paths, thing in enumerate(page.get_objects(filter=kinds, max_depth=3), 1):
        if thing.type == pypdfium2.raw.FPDF_PAGEOBJ_IMAGE or paths > _MANY_PATHS:
            return True
    return False

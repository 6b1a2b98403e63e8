"""Personal data in a text, by patterns and their checks; the part of kind `guards` named `pii`.

Each kind is looked for from a sign that it cannot be without, as `@` or a run of digits, and takes each character once or a
bounded number of times, so a hostile text costs its length. Full-width digits and signs count as the plain ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llmops.guard import numbers
from llmops.guard.domains import is_domain
from llmops.guard.phones import phones

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """A piece `text[start:end]` of a text, in code points, and what it is."""

    start: int
    end: int
    label: str


_FULL_WIDTH: dict[int, int | str] = {point: point - 0xFEE0 for point in range(0xFF01, 0xFF5F)}
_PLAIN = str.maketrans({**_FULL_WIDTH, 0x3000: " ", 0xA0: " ", **dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")})
_LONG_VOWEL = re.compile(r"(?<=[0-9])\u30fc(?=[0-9])")  # elsewhere it belongs to a word, as in サーバー

_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+%'-")
_HOST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
_LONGEST_LOCAL, _LONGEST_HOST = 64, 253  # RFC 5321, RFC 1035
_EMAIL = re.compile(r"@(?:[A-Za-z0-9-]{1,63}+\.){1,8}[A-Za-z]{2,24}+(?![\w@-])", re.ASCII)
_LINK = re.compile(r"://[^\s<>\"'`{}|\\^\[\]()「」、。]{1,2000}+")
_SCHEME = re.compile(r"(?:https?|ftp)\Z", re.IGNORECASE)
_LAST_PART = re.compile(r"\.[A-Za-z]{2,24}+(?![\w@(-]|\.[A-Za-z0-9])", re.ASCII)
_PATH = re.compile(r"(?::[0-9]{2,5})?(?:/[^\s<>\"'`{}|\\^\[\]()「」、。]{0,2000}+)?")
_SENTENCE_ENDS = ".,;:!?*_~"

_IBAN = re.compile(r"[A-Z](?<![A-Za-z0-9][A-Z])[A-Z][0-9]{2}(?:[ -]?[A-Z0-9]){11,30}+")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_COLON_RUN = re.compile(r"[0-9A-Fa-f:.]++")

# Numbers: none is a part of a longer one, of a word, of a path or of a price.
_RUN = re.compile(r"[0-9][0-9 .()+-]{5,}+")
_BEFORE, _AFTER = r"(?<![\w.,/$€£¥#+-])(?<![0-9]:)", r"(?![\w%]|[.,:/-][0-9])"
_IP4 = re.compile(rf"{_BEFORE}[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}(?![\w%-]|\.[0-9])", re.ASCII)
_GROUPED_CARD = r"[0-9]{4}([ -])[0-9]{4}(?:\1[0-9]{4}){2}(?:\1[0-9]{1,3})?|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5}"
_CARD = re.compile(rf"{_BEFORE}(?:[0-9]{{12,19}}|{_GROUPED_CARD}){_AFTER}", re.ASCII)
_SSN = re.compile(rf"{_BEFORE}[0-9]{{3}}([- ])[0-9]{{2}}\1[0-9]{{4}}{_AFTER}", re.ASCII)
_MY_NUMBER = re.compile(rf"{_BEFORE}[0-9]{{4}}([- ]?)[0-9]{{4}}\1[0-9]{{4}}{_AFTER}", re.ASCII)
_POSTAL = re.compile(r"(?<![\w.,/$+-])[0-9]{3}-?[0-9]{4}(?![0-9A-Za-z%-])", re.ASCII)
_POSTAL_BEFORE = re.compile(r"〒 ?\Z|(?:郵便番号|住所)[^0-9]{0,8}\Z")
_POSTAL_AFTER = re.compile(r"[ \n]?[\u3400-\u9fff\u3040-\u30ff]{2}")


def find(text: str) -> list[Span]:
    """The personal data in a text, in order, none inside another; linear in the text's length."""
    plain = text if text.isascii() else _LONG_VOWEL.sub("-", text.translate(_PLAIN))
    runs = [(max(0, run.start() - 2), min(len(plain), run.end() + 8)) for run in _RUN.finditer(plain)]
    taken = bytearray(len(plain))
    found = []
    for label, finder in _FINDERS.items():
        for start, end in finder(plain, runs):
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append(Span(start, end, label))
    return sorted(found, key=lambda span: span.start)


def _emails(text: str, _: list[Place]) -> Iterator[Place]:
    for match in _EMAIL.finditer(text):
        start = _run_before(text, match.start(), _LOCAL, _LONGEST_LOCAL)
        local = text[start : match.start()]
        if local and local[-1] != "." and (begin := len(local) - len(local.lstrip(".'%-"))) < len(local):
            yield start + begin, match.end()


def _urls(text: str, _: list[Place]) -> Iterator[Place]:
    for match in _LINK.finditer(text):
        if scheme := _SCHEME.search(text, max(0, match.start() - 5), match.start()):
            yield scheme.start(), _trimmed(text, match.start(), match.end())
    for match in _LAST_PART.finditer(text):
        start = _run_before(text, match.start(), _HOST, _LONGEST_HOST)
        start += len(text[start : match.start()]) - len(text[start : match.start()].lstrip(".-"))
        if text[start - 1 : start] not in ("@", "/", "\\", "_", ":") and is_domain(text[start : match.end()]):
            path = _PATH.match(text, match.end())
            yield start, _trimmed(text, start, path.end() if path else match.end())


def _run_before(text: str, end: int, allowed: frozenset[str], longest: int) -> int:
    """Where the run of allowed characters begins that ends at `end`; `end` itself where it is too long."""
    start = end
    while start > 0 and text[start - 1] in allowed:
        start -= 1
        if end - start > longest:
            return end
    return start


def _trimmed(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip(_SENTENCE_ENDS))


def _ibans(text: str, _: list[Place]) -> Iterator[Place]:
    for match in _IBAN.finditer(text):
        code, wanted = match.group(), numbers.IBAN_LENGTHS.get(match.group()[:2], 0)
        places = [place for place, character in enumerate(code, 1) if character not in " -"]  # what follows it may look like more of it
        end = places[wanted - 1] if 0 < wanted <= len(places) else 0
        if end and numbers.is_iban(re.sub("[ -]", "", code[:end])) and not text[match.start() + end : match.start() + end + 1].isalnum():
            yield match.start(), match.start() + end


def _addresses(text: str, runs: list[Place]) -> Iterator[Place]:
    yield from _checked(_IP4, numbers.is_ip_address)(text, runs)
    end = 0
    for match in _COLONS.finditer(text):
        if match.start() < end:
            continue
        start = max(end, match.start() - 4)
        while not _is_hexadecimal(text[start : match.start()]):
            start += 1
        if text[start - 1 : start].isalnum() or (start == match.start() and match.group() != "::"):
            start = match.start() + 1  # the colon is that of a word before it, as in `host:2001:db8::1`
        run = _COLON_RUN.match(text, start)
        assert run is not None
        end = run.end()
        address = run.group().rstrip(".")
        around = text[start - 1 : start] + text[start + len(address) : start + len(address) + 1]
        if 4 <= len(address) <= 45 and not any(map(str.isalnum, around)) and numbers.is_ip_address(address):
            yield start, start + len(address)


def _is_hexadecimal(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)


def _checked(pattern: re.Pattern[str], is_right: Callable[[str], bool]) -> Callable[[str, list[Place]], Iterator[Place]]:
    """A finder of what a pattern matches in runs of digits, and what passes a check."""

    def places(text: str, runs: list[Place]) -> Iterator[Place]:
        return (match.span() for start, end in runs for match in pattern.finditer(text, start, end) if is_right(match.group()))

    return places


def _postal_codes(text: str, runs: list[Place]) -> Iterator[Place]:
    """Seven digits with the postal sign, or with a Japanese word before or behind them: else they could be anything."""
    for start, end in runs:
        for match in _POSTAL.finditer(text, start, end):
            said = _POSTAL_BEFORE.search(text, max(0, match.start() - 14), match.start())
            if said or ("-" in match.group() and _POSTAL_AFTER.match(text, match.end())):
                yield said.start() if said and said.group().startswith("〒") else match.start(), match.end()


def _digits(check: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda number: check(re.sub("[^0-9]", "", number))


_FINDERS: dict[str, Callable[[str, list[Place]], Iterator[Place]]] = {
    "EMAIL_ADDRESS": _emails,
    "URL": _urls,
    "IBAN_CODE": _ibans,
    "IP_ADDRESS": _addresses,
    "CREDIT_CARD": _checked(_CARD, _digits(numbers.is_card)),
    "US_SSN": _checked(_SSN, _digits(numbers.is_us_ssn)),
    "JP_MY_NUMBER": _checked(_MY_NUMBER, _digits(numbers.is_my_number)),
    "JP_POSTAL_CODE": _postal_codes,
    "PHONE_NUMBER": phones,
}
LABELS = tuple(_FINDERS)
"""The kinds of personal data. Where two claim the same characters, the one named first has them."""

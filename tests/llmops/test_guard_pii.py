"""Personal data is found by its kind, with the checks that tell it from other numbers, in time linear in the text."""

from __future__ import annotations

from itertools import pairwise

import pytest

from llmops import plugins
from llmops.guard.pii import LABELS, find

MY_NUMBER = "123456789018"


def found(text: str) -> list[tuple[str, str]]:
    return [(span.label, text[span.start : span.end]) for span in find(text)]


@pytest.mark.parametrize(
    ("text", "label", "value"),
    [
        ("Write to alice.o'neil+x@mail.example.co.jp.", "EMAIL_ADDRESS", "alice.o'neil+x@mail.example.co.jp"),
        ("連絡はａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｃｏｍまで", "EMAIL_ADDRESS", "ａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
        ("Call (415) 555-0134 x12 today", "PHONE_NUMBER", "(415) 555-0134 x12"),
        ("+44 20 7946 0958", "PHONE_NUMBER", "+44 20 7946 0958"),
        ("電話０３－１２３４－５６７８。", "PHONE_NUMBER", "０３－１２３４－５６７８"),
        ("My mobile: 9885 1152", "PHONE_NUMBER", "9885 1152"),
        ("card 4111-1111-1111-1111.", "CREDIT_CARD", "4111-1111-1111-1111"),
        ("３７８２ ８２２４６３ １０００５", "CREDIT_CARD", "３７８２ ８２２４６３ １０００５"),
        ("IBAN GB82 WEST 1234 5698 7654 32 please", "IBAN_CODE", "GB82 WEST 1234 5698 7654 32"),
        ("DE89370400440532013000", "IBAN_CODE", "DE89370400440532013000"),
        ("from 10.218.6.131, then", "IP_ADDRESS", "10.218.6.131"),
        ("host 2001:db8::8a2e:370:7334 answers", "IP_ADDRESS", "2001:db8::8a2e:370:7334"),
        ("see https://www.example.com/a?b=c.", "URL", "https://www.example.com/a?b=c"),
        ("visit shop.example.co.uk!", "URL", "shop.example.co.uk"),
        ("SSN 447-60-5371", "US_SSN", "447-60-5371"),
        ("〒100-0001 東京都", "JP_POSTAL_CODE", "〒100-0001"),
        ("住所：150-0041東京都渋谷区", "JP_POSTAL_CODE", "150-0041"),
        ("SSN:219-09-9999", "US_SSN", "219-09-9999"),
        ("ssn=078-05-1120", "US_SSN", "078-05-1120"),
        ("ip=10.0.0.1", "IP_ADDRESS", "10.0.0.1"),
        ("host:10.0.0.1", "IP_ADDRESS", "10.0.0.1"),
        ("src:2001:db8::1", "IP_ADDRESS", "2001:db8::1"),
        ("ip:2001:db8::1", "IP_ADDRESS", "2001:db8::1"),
        ("card:4111111111111111", "CREDIT_CARD", "4111111111111111"),
        ("サポートセンター03-1234-5678", "PHONE_NUMBER", "03-1234-5678"),
        ("サーバー192.168.0.1", "IP_ADDRESS", "192.168.0.1"),
        ("電話０３ー１２３４ー５６７８。", "PHONE_NUMBER", "０３ー１２３４ー５６７８"),
        (f"マイナンバーは{MY_NUMBER}です", "JP_MY_NUMBER", MY_NUMBER),
        ("個人番号 1234 5678 9018", "JP_MY_NUMBER", "1234 5678 9018"),
    ],
)
def test_each_kind_is_found_where_it_stands(text: str, label: str, value: str) -> None:
    assert found(text) == [(label, value)]


@pytest.mark.parametrize(
    "text",
    [
        "4111-1111-1111-1112 and 4111111111111112 fail Luhn",
        "GB82 WEST 1234 5698 7654 33 and DE893704004405320130001",
        "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000",
        "123456789012 123456789010",
        "released 2024-05-01, 2019-2020, 1.2.3, 999.1.1.1 and 12:30:45",
        "self.name, README.md, main.py, e.g. this, config.app, data.id",
        "price $1,234,567.89, 20 30 40, 3.141592653589793, 12345678",
        "@decorator a@b @ .com user@localhost http:// ://",
        "👍🏽 🎉🎉 👩‍👩‍👧‍👧",
        "",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_spans_are_in_order_and_none_lies_in_another() -> None:
    text = "a@b.example.com from 10.0.0.1 at https://x.example.com, card 4111 1111 1111 1111, call 415-555-0134 " * 20
    spans = find(text)
    assert len(spans) == 100 and all(one.end <= other.start for one, other in pairwise(spans))


def test_the_detector_is_a_part_of_kind_guards() -> None:
    assert plugins.find("guards", "pii") is find and len(LABELS) == 9


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "piece", ["1", "1 ", "1-", "(1", "+1 ", "a@", "a@a.", "a.", "a.com ", "://", "::1 ", "1:", "f:", "AB12 ", "〒1", "1.1.1.1.", "１－", "12 34 56 "]
)
def test_two_megabytes_of_a_hostile_pattern_end(piece: str) -> None:
    """A pattern that took the square of the length would take hours."""
    find(piece * (2_000_000 // len(piece)))

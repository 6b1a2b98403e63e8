"""The checks that tell a card, an account or a person's number from any other run of digits."""

from __future__ import annotations

import ipaddress

# Characters of an IBAN by country: SWIFT, IBAN Registry, release 99 (December 2024).
_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 "
    "FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 "
    "MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 "
    "SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _LENGTHS.split()}
_CARD_BEGINNINGS = ("1800", "2131", "30", "34", "35", "36", "37", "38", "39", "4", "5", "60", "62", "64", "65", "67")


def is_card(digits: str) -> bool:
    """Whether digits are a payment card's: 12 to 19, begun as an issuer's, and right by Luhn's check (ISO/IEC 7812-1)."""
    if not 12 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    is_issuers = digits.startswith(_CARD_BEGINNINGS) or 2221 <= int(digits[:4]) <= 2720
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return is_issuers and (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def is_iban(code: str) -> bool:
    """Whether capitals and digits are an international account number: of its country's length, and 1 modulo 97 (ISO 13616)."""
    if IBAN_LENGTHS.get(code[:2]) != len(code):
        return False
    return int("".join(str(int(character, 36)) for character in code[4:] + code[:4])) % 97 == 1


def is_us_ssn(digits: str) -> bool:
    """Whether nine digits can be a US social security number: no area 000, 666 or from 900 on, no group 00, no serial 0000."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return len(digits) == 9 and area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def is_my_number(digits: str) -> bool:
    """Whether twelve digits are a Japanese individual number by their check digit (Order No. 85 of the Ministry, 2014, article 5)."""
    if len(digits) != 12 or len(set(digits)) == 1:
        return False
    weighted = sum(int(digit) * (n + 1 if n <= 6 else n - 5) for n, digit in enumerate(digits[-2::-1], 1))
    rest = weighted % 11
    return int(digits[-1]) == (0 if rest <= 1 else 11 - rest)


def is_ip_address(text: str) -> bool:
    """Whether a text is an address of version 4 or 6."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

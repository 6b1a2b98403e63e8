"""Mails and Outlook's messages: their text, who wrote it when, and what is attached, each a document of its own."""

from __future__ import annotations

import struct
from email import policy
from email.message import EmailMessage

import pytest

from llmops.errors import InvalidInput
from tests.vectorstore.office import docx, msg, ole, p
from vectorstore.load import Failed, Fields, Parsed, parse
from vectorstore.load.mail import LONGEST_PART
from vectorstore.load.rtf import decompressed, text_of

JAPANESE = "会議は①月曜日の十時に始まります。資料を添付しました。"


def load(content: bytes, name: str = "folder/mail.eml") -> list[Parsed | Failed]:
    return list(parse(content, name, Fields()))


def one(content: bytes, name: str = "folder/mail.eml") -> Parsed:
    (document,) = load(content, name)
    assert isinstance(document, Parsed)
    return document


def told(found: list[Parsed | Failed]) -> list[tuple[str | None, str]]:
    return [(document.part, document.error if isinstance(document, Failed) else document.text) for document in found]


def mail(text: str = "Hello.", **headers: str) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = headers.get("subject", "Plan")
    message["From"], message["To"] = "Ann <ann@example.com>", "Bob <bob@example.com>, Cy <cy@example.com>"
    message["Date"], message["Message-ID"] = "Mon, 05 Feb 2024 10:00:00 +0900", "<1@example.com>"
    message.set_content(text)
    return message


def test_a_mail_with_its_headers() -> None:
    document = one(mail("Hello,\n\nsee you.").as_bytes())
    assert (document.title, document.text) == ("Plan", "Hello,\n\nsee you.")
    assert document.metadata == {
        "from": "Ann <ann@example.com>",
        "to": "Bob <bob@example.com>, Cy <cy@example.com>",
        "subject": "Plan",
        "date": "2024-02-05T10:00:00+09:00",
        "message_id": "<1@example.com>",
    }


@pytest.mark.parametrize("wanted", ["text/plain", "text/html"])
def test_plain_text_is_preferred_and_html_is_read(wanted: str) -> None:
    message = mail("Plain body." if wanted == "text/plain" else "\n")
    message.add_alternative("<style>x</style><h1>Rich</h1><p>HTML body.</p>", subtype="html")
    assert one(message.as_bytes()).text == ("Plain body." if wanted == "text/plain" else "Rich\n\nHTML body.")


def raw(body: bytes, charset: str, encoding: str = "8bit", subject: bytes = b"x") -> bytes:
    head = f"From: a@example.com\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\nSubject: "
    return head.encode() + subject + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (JAPANESE.encode("cp932"), "shift_jis"),
        (JAPANESE.replace("①", "").encode("iso2022_jp"), "iso-2022-jp"),
        (b"\x1b$B" + JAPANESE.encode("euc_jis_2004").translate(bytes(byte & 0x7F for byte in range(256))) + b"\x1b(B", "iso-2022-jp"),
        (JAPANESE.encode(), "utf-8"),
        (JAPANESE.encode("cp932"), "no-such-charset"),
    ],
)
def test_bodies_in_the_encodings_of_japan(body: bytes, charset: str) -> None:
    assert one(raw(body, charset)).text in (JAPANESE, JAPANESE.replace("①", ""))


def test_quoted_printable_and_base64() -> None:
    assert one(raw(b"caf=C3=A9 =\r\nau lait", "utf-8", "quoted-printable")).text == "café au lait"
    assert one(raw(b"Y2Fmw6k=", "utf-8", "base64")).text == "café"


@pytest.mark.parametrize(
    "subject",
    [
        b"=?ISO-2022-JP?B?GyRCMnE1RBsoQg==?=",
        b"=?UTF-8?B?5Lya?=\r\n =?UTF-8?B?6K2w?=",
        b"=?UTF-8?B?5Lya6A==?= =?UTF-8?B?rbA=?=",  # a character that is split between two words
        "会議".encode(),
        b"=?Shift_JIS?Q?=89=EF=8Bc?=",
    ],
)
def test_encoded_subjects(subject: bytes) -> None:
    assert one(raw(b"x", "utf-8", subject=subject)).title == "会議"


def test_attachments_are_documents_and_what_is_not_read_is_named() -> None:
    message = mail()
    message.add_attachment(docx(p("In the report.")), maintype="application", subtype="octet-stream", filename="報告.docx")
    message.add_attachment(b"a,b\n1,2\n3,4\n", maintype="text", subtype="csv", filename="../x/figures.csv")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="logo.png")
    message.add_attachment(b"not a pdf", maintype="application", subtype="pdf", filename="bad.pdf")
    message.add_attachment("Second text.", filename="figures.csv", subtype="csv")
    found = load(message.as_bytes())
    assert told(found)[:4] == [(None, "Hello."), ("報告.docx", "In the report."), ("figures.csv", "a: 1\nb: 2"), ("figures.csv", "a: 3\nb: 4")]
    assert [document.row for document in found] == [None, None, 1, 2, None, None]
    assert told(found)[4][0] == "bad.pdf"
    assert told(found)[5] == ("figures (2).csv", "no text")
    assert isinstance(found[0], Parsed)
    assert found[0].metadata["attachments"] == "報告.docx, figures.csv, logo.png, bad.pdf, figures.csv"
    assert found[0].metadata["attachments_not_read"] == "logo.png"


def test_mails_in_mails() -> None:
    inner = mail("Deep.", subject="Level 4")
    for level in (3, 2, 1):
        outer = mail(f"At {level}.", subject=f"Level {level}")
        outer.add_attachment(inner)
        inner = outer
    assert told(load(inner.as_bytes())) == [
        (None, "At 1."),
        ("Level 2.eml", "At 2."),
        ("Level 2.eml#Level 3.eml", "At 3."),
        ("Level 2.eml#Level 3.eml#Level 4.eml", "is attached more than 2 mails deep"),
    ]


def test_t55_a_mail_of_many_parts_is_read_up_to_a_limit() -> None:
    parts = b"".join(b"--b\r\nContent-Type: text/plain; name=n%d.txt\r\n\r\nx%d\r\n" % (n, n) for n in range(5000))
    found = load(b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"--b--")
    assert len(found) == 102
    assert told(found)[-1] == ("n100.txt", "this part and all behind it: a mail of more than 100 parts is not read to its end")
    assert len({document.part for document in found}) == 102


def test_long_names_of_parts_stay_apart_and_short() -> None:
    message = mail()
    for letter in "ab":
        message.add_attachment("x", filename="n" * 300 + letter + ".txt")
    parts = [document.part for document in load(message.as_bytes())[1:]]
    assert len(set(parts)) == 2
    assert all(part and len(part) <= LONGEST_PART and part.endswith(".txt") for part in parts)


def test_a_mail_without_text_is_found_by_its_subject() -> None:
    assert one(mail("\n", subject="Only this").as_bytes()).text == "Only this"


def test_a_mail_whose_text_is_none_keeps_what_is_attached() -> None:
    message = mail()
    message.add_attachment("Sound.", filename="a.txt")
    broken = message.as_bytes().replace(b"Hello.", bytes(range(256)).replace(b"\n", b"").replace(b"\r", b"") * 3).replace(b"7bit", b"8bit", 1)
    assert told(load(broken)) == [(None, "its text is not text in any known encoding"), ("a.txt", "Sound.")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"%PDF-1.4", "is not an e-mail"),
        (b"Just a text: with a colon\n\nand more", "is not an e-mail"),
        (b"Key: value\n\nbody", "none of the headers"),
        (b"Subject: x\nContent-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\nAAAA", "is encrypted; save it decrypted"),
        (b"X: " + b"y" * (2**20 + 10) + b"\n\nbody", "is not an e-mail"),
        (b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)), "nested too deeply|no text"),
    ],
)
def test_t55_what_is_no_mail_that_can_be_read_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        load(content)


SUBJECT, BODY, HTML, RTF = 0x0037, 0x1000, 0x1013, 0x1009


def test_an_outlook_message_with_attachments() -> None:
    inner = msg({SUBJECT: "Inner", BODY: "Deep."}, top=False)
    headers = "Message-ID: <7@example.com>\r\nTo: bob@example.com\r\n"
    texts = {SUBJECT: "会議", BODY: "Hello.\r\n\r\nBye.", 0x0C1A: "Ann", 0x0C1F: "ann@example.com", 0x007D: headers}
    tree = msg(texts, attached=[("figures.csv", b"a,b\n1,2\n"), ("Inner", inner), ("x.bin", b"0")])
    found = load(ole(tree), "mail.msg")
    assert told(found) == [(None, "Hello.\n\nBye."), ("figures.csv", "a: 1\nb: 2"), ("Inner.msg", "Deep.")]
    assert isinstance(found[0], Parsed)
    assert found[0].title == "会議"
    assert found[0].metadata == {
        "subject": "会議",
        "from": "Ann <ann@example.com>",
        "to": "bob@example.com",
        "message_id": "<7@example.com>",
        "attachments": "figures.csv, Inner.msg, x.bin",
        "attachments_not_read": "x.bin",
    }


def test_an_outlook_message_of_html() -> None:
    tree = msg({SUBJECT: "x", HTML: "<p>金額は<b>五千円</b>です。</p>".encode("cp932")}, fixed={0x3FDE: 932})
    assert one(ole(tree), "mail.msg").text == "金額は五千円です。"


def packed(rtf: bytes) -> bytes:
    """Compressed RTF in which every byte stands for itself."""
    data = b"".join(b"\0" + rtf[at : at + 8] for at in range(0, len(rtf), 8))
    return struct.pack("<4I", len(data) + 12, len(rtf), 0x75465A4C, 0) + data


def test_an_outlook_message_of_rtf_only() -> None:
    plain = rb"{\rtf1\ansi\ansicpg932{\fonttbl{\f0\fcharset128 MS;}}{\*\generator Word;}\f0 \'89\'ef\'8bc\par Caf\u233?: 5 \{x\}\par}"
    assert one(ole(msg({SUBJECT: "x", RTF: packed(plain)})), "mail.msg").text == "会議\n\nCafé: 5 {x}"
    html = (
        rb"{\rtf1\ansi\fromhtml1{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 One \htmlrtf\b\htmlrtf0 {\*\htmltag84 <b>}two"
        rb"{\*\htmltag92 </b>}\htmlrtf }\htmlrtf0 {\*\htmltag72 </p>}}"
    )
    assert one(ole(msg({SUBJECT: "x", RTF: packed(html)})), "mail.msg").text == "One two"


def test_the_example_of_compressed_rtf_in_its_specification() -> None:
    example = bytes.fromhex("2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0")
    assert decompressed(example) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    crossing = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert text_of(decompressed(crossing)) == ("text", "WXYZWXYZWXYZWXYZWXYZ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04", "is not an Outlook message"),
        (ole({"WordDocument": b"x" * 5000}), "is not an Outlook message"),
        (ole(msg({BODY: "x"}))[:700], "broken Outlook message"),
        (ole(msg({SUBJECT: "", RTF: b"\x01"})), "body of RTF that is cut off"),
        (ole(msg({SUBJECT: "", RTF: struct.pack("<4I", 2**31, 2**31, 0x75465A4C, 0)})), "lies about its size"),
    ],
)
def test_t55_a_broken_outlook_message_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        load(content, "mail.msg")

"""What is kept of a text to judge it by: the same everywhere, near for near texts, and cheap for hostile ones."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import unicodedata
from itertools import combinations

import numpy as np
import pytest

from llmops.text import folded
from tests.conftest import REPOSITORY
from vectorstore import duplicates
from vectorstore.language import UNKNOWN, language
from vectorstore.profile import profile, vocabulary
from vectorstore.shingles import SIGNATURE_BYTES, jaccard, shingles, signature, words

ENGLISH = "The library opens at nine in the morning and closes at five, but on Sundays it stays closed all day long."
JAPANESE = "図書館は午前九時に開き、午後五時に閉まります。日曜日は休みです。"
PINNED = [112608172, 172668318, 818964816]


def numbered(count: int, seed: int) -> str:
    drawn = random.Random(seed)
    return " ".join(
        drawn.choice(["amber", "boat", "cedar", "dune", "ember", "fjord", "grove", "heron"]) + str(drawn.randrange(50)) for _ in range(count)
    )


def test_a_profile_is_the_same_in_every_process_and_release() -> None:
    """Kept signatures are compared with new ones: what is pinned here must never change without a migration."""
    code = (
        "import hashlib; from vectorstore.profile import profile\n"
        f"p = profile({ENGLISH + JAPANESE!r}, 'en')\n"
        "print(hashlib.sha256(p.signature + p.vocabulary + p.text_hash).hexdigest()[:16], p.tokens, p.pii)"
    )
    ran = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, env={"PYTHONHASHSEED": seed}, check=True).stdout
        for seed in ("1", "2")
    ]
    here = profile(ENGLISH + JAPANESE, "en")
    assert ran[0] == ran[1] and ran[0].startswith(hashlib.sha256(here.signature + here.vocabulary + here.text_hash).hexdigest()[:16])
    assert np.frombuffer(signature(shingles(words(ENGLISH))), "<u4")[:3].tolist() == PINNED


def test_case_width_and_signs_make_no_difference_to_shingles() -> None:
    assert np.array_equal(words("The quick, brown FOX!"), words("the  quick brown fox"))
    assert np.array_equal(words("ＡＢＣ １２３"), words("abc 123"))
    assert len(words(JAPANESE)) == 29, "each letter is a word"
    assert len(words("𠮷野家 x")) == 4 and len(words("naïve café")) == 2
    assert [len(words(text)) for text in ("", "👍🏽🎉👩‍👩‍👧", "--- *** 。、")] == [0, 0, 0]
    assert len(shingles(words("two words"))) == 1 and signature(shingles(words("🎉"))) == b""


def test_near_duplicates_are_those_that_every_pair_compared_would_find() -> None:
    texts = []
    for seed in range(40):
        original = numbered(120, seed).split()
        texts.append(" ".join(original))
        for changed in (1, 2, 4, 12):
            copy = list(original)
            for place in random.Random(seed).sample(range(120), changed):
                copy[place] = "changed"
            texts.append(" ".join(copy))
    sets = [shingles(words(text)) for text in texts]
    true = {(i, j) for i, j in combinations(range(len(texts)), 2) if jaccard(sets[i], sets[j]) >= duplicates.THRESHOLD}
    found = duplicates.candidates(duplicates.as_signatures(map(signature, sets)))
    said = {(i, j) for i, j in zip(found.first.tolist(), found.second.tolist(), strict=True) if jaccard(sets[i], sets[j]) >= duplicates.THRESHOLD}
    assert said == true and len(true) >= 80
    groups = duplicates.groups(found, dict(enumerate(sets)))
    assert len(groups.members) == 40 and groups.estimated == 0
    by_estimate = duplicates.groups(found, {})
    assert by_estimate.estimated > 0 and abs(len(by_estimate.members) - 40) <= 2


def test_a_crowd_of_near_duplicates_is_one_group_in_time_linear_in_its_size() -> None:
    base = numbered(200, 0)
    sets = {n: shingles(words(f"{base} copy{n}")) for n in range(2000)}
    found = duplicates.candidates(duplicates.as_signatures(map(signature, sets.values())))
    assert len(found.first) < 80 * len(sets)
    assert [len(group) for group in duplicates.groups(found, sets).members] == [2000]
    assert duplicates.groups(duplicates.candidates(duplicates.as_signatures([])), {}).members == []


def test_words_are_counted_in_buckets() -> None:
    one, other = (profile(text, "en").vocabulary for text in ("boat boat cedar", "cedar"))
    assert vocabulary([one, other]).sum() == 4 and vocabulary([one, other]).max() == 2 and not vocabulary([]).any()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ENGLISH, "en"),
        ("Die Bibliothek öffnet um neun Uhr und schließt um fünf.", "de"),
        ("La biblioteca abre a las nueve y cierra a las cinco.", "es"),
        ("La bibliothèque ouvre à neuf heures et ferme à cinq heures.", "fr"),
        (JAPANESE, "ja"),
        ("도서관은 아홉 시에 열고 다섯 시에 닫습니다.", "ko"),
        ("图书馆早上九点开门，下午五点关门。", "zh"),
        ("Библиотека открывается в девять и закрывается в пять.", "ru"),
        ("تفتح المكتبة في التاسعة وتغلق في الخامسة.", "ar"),
        ("OK", UNKNOWN),
        ("東京", UNKNOWN),
        ("🎉🎉🎉 👍", UNKNOWN),
        ("12, 34 -- 56.78", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_languages_are_told_by_script_and_words(text: str, code: str) -> None:
    assert language(text) == code


def test_a_text_of_ten_megabytes_and_one_of_emoji_have_profiles() -> None:
    large = profile(ENGLISH * 100_000, "en")
    assert large.characters > 10_000_000 and len(large.signature) == SIGNATURE_BYTES and large.tokens > 2_000_000
    emoji = profile("🎉👍🏽 " * 1000, UNKNOWN)
    assert (emoji.signature, emoji.vocabulary, emoji.pii) == (b"", b"", {})


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\uff9e\u0316", "ㅏㅏ"])
def test_a_text_of_nothing_but_marks_has_a_profile_and_terms(marks: str) -> None:
    """To sort a run of marks as Unicode says takes the square of its length: an hour for these, in one call that nothing ends."""
    code = f"from vectorstore.profile import profile; from llmops.text import terms; text = 'e' + {marks!r} * 1_000_000; "
    code += "profile(text, 'und'); terms(text)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=60)


def test_a_folded_text_is_that_of_the_whole() -> None:
    drawn = random.Random(0)
    letters = [*map(chr, range(0x20, 0x3400, 7)), *"\u0300\u0301\u0316\uff9e\u1100\u1161\u11a8\u314f\u09c7\u09beßﾊＡ한 "]
    for _ in range(20):
        text = "".join(drawn.choices(letters, k=20_000))
        assert folded(text) == unicodedata.normalize("NFKC", text).casefold()

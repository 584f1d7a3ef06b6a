import re
import sys

import pytest

from gigachat_sdk.testing._regex import NoExampleError, matching
from gigachat_sdk.testing._schema import UnsatisfiableError, example


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", ""),
        ("да", "да"),
        ("да|нет", "да"),
        ("(да|нет)!", "да!"),
        (r"[A-Z]{3}-\d{4}", "AAA-1111"),
        (r"^\d{4}-(0[1-9]|1[0-2])-\d{2}$", "1111-01-11"),
        (r"\w+@\w+\.ru", "A@A.ru"),
        (r"[+-]?\d+(\.\d+)?", "-1.1"),
        (r"https?://[^\s/]+/.*", "https://A/A"),
        (r"\A\bслово\b\Z", "слово"),
        ("[^abc]", "A"),
        ("[^A]", "1"),
        ("[]]", "]"),
        (r"[\]\d]", "1"),
        (r"[^\W\d_]{2}", "AA"),
        (r"[\x41-\x43]", "A"),
        ("[☃]", "☃"),
        (r"\S\s\D\W", "A A "),
        (r"\u0416\x41\n\.", "ЖA\n."),
        ("a*b+?c{2}d{1,3}e{,2}f{0}g{0,5}", "abccdeg"),
        ("a{b}", "a{b}"),
        (r"(?P<one>\d)(?:x)(?P=one)(\w)\2(?#note)", "1x1AA"),
        *([("a++b", "ab")] if sys.version_info >= (3, 11) else []),  # before it that is no pattern
    ],
)
def test_a_text_is_found(pattern: str, text: str) -> None:
    assert matching(pattern) == text
    assert re.fullmatch(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "shortest", "longest", "text"),
    [
        ("^[a-z]+$", 5, 9, "aaaaa"),
        (r"a-\d+", 5, 5, "a-111"),
        (r"\d?", 0, 0, ""),
        ("a*", 300, 300, "a" * 300),
        ("[a-z]{2,4}", 3, 3, "aaa"),
    ],
)
def test_a_text_is_as_long_as_it_has_to_be(pattern: str, shortest: int, longest: int, text: str) -> None:
    assert matching(pattern, shortest, longest) == text


@pytest.mark.parametrize(
    "pattern",
    ["(", "+", "(?=a)a", "(?!a)b", "(?i)a", "x{100001}", r"\p{L}", r"a\bb", r"[^\s\S]", "(" * 5000 + ")" * 5000],
)
def test_what_is_not_understood_is_given_up(pattern: str) -> None:
    with pytest.raises(NoExampleError):
        matching(pattern)


def test_a_text_that_is_too_long_is_given_up() -> None:
    with pytest.raises(NoExampleError, match="no text was found"):
        matching("abc", 4, 9)


def test_a_schema_with_a_pattern_gets_a_text_that_matches() -> None:
    assert example({"type": "string", "pattern": r"^\d{3}$"}) == "111"
    assert example({"type": "string", "pattern": "^[a-z]+$", "minLength": 4, "maxLength": 5}) == "aaaa"
    with pytest.raises(UnsatisfiableError):
        example({"type": "string", "pattern": "^a$", "minLength": 2})
    assert example({"anyOf": [{"type": "string", "pattern": "(?=a)b"}, {"type": "integer"}]}) == 1

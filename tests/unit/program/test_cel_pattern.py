"""Regular expressions of `matches`."""

import pytest

from engine.program.cel.pattern import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("abc", "xabcx", "ab"),
        ("^abc$", "abc", "abc\n"),
        ("", "anything", None),
        ("^$", "", "a"),
        ("a$|^b", "xa", "xb"),
        ("a.c", "abc", "a\nc"),
        ("(?s)a.c", "a\nc", "ac"),
        ("(?i)straße", "STRAßE", "strasse"),
        (r"^\+27\d{9}$", "+27821234567", "+2782123456"),
        (r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$", "zoe@shop.co.za", "zoe@shop"),
        (r"[\w.-]+\\", "a-b\\", "\\"),
        ("[]a-]+$", "]-a", "b"),
        (r"\x41[^\d]", "AB", "A1"),
        ("(?:ab|cd){2,3}$", "xabcd", "xab"),
        ("(a|b)?c{0}d", "d", "c"),
        ("colou??r", "color", "colr"),
        ("é+", "caféé", "cafe"),
        (r"\Aab\z", "ab", "abc"),
    ],
)
def test_a_pattern_matches_what_re2_matches(pattern: str, yes: str, no: str | None) -> None:
    compiled = compile_pattern(pattern)
    assert compiled.search(yes) is True
    assert no is None or compiled.search(no) is False


@pytest.mark.parametrize(
    ("pattern", "offset", "message"),
    [
        ("a(b", 1, "has no )"),
        ("ab)", 2, "has no ("),
        ("a[b", 1, "has no ]"),
        ("*a", 0, "nothing before *"),
        ("a**", 2, "two quantifiers"),
        ("a{3,1}", 1, "from small to large"),
        ("a{1,101}", 1, "up to 100"),
        ("a{x}", 1, "{n,m}"),
        ("a{,3}", 1, "{n,m}"),
        (r"(a)\1", 4, "not supported"),
        (r"\bword", 1, "not supported"),
        (r"\pL", 1, "not supported"),
        ("(?=a)", 0, "plain groups"),
        ("(?<n>a)", 0, "plain groups"),
        ("[[:alpha:]]", 1, "[:alpha:]"),
        ("[z-a]", 4, "range"),
        ("a\\", 2, "not supported"),
    ],
)
def test_what_is_not_taken_is_named_with_its_place(pattern: str, offset: int, message: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert message in str(caught.value)
    assert caught.value.offset == offset

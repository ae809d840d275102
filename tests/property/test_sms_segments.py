"""The parts of an SMS, counted a second way: by encoding the text and cutting up what comes out."""

from hypothesis import example, given, strategies as st

from engine.program.smstext import GSM_7, UCS_2, is_gsm, measure_sms, plain_spaces

# The tables of 3GPP TS 23.038 once more, by code rather than by character.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\",
    0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip
CODES = {sign: [code] for code, sign in enumerate(BASIC) if sign != "\x1b"} | {
    sign: [0x1B, code] for code, sign in EXTENSION.items()
}
TEXTS = st.one_of(
    st.text(st.sampled_from(sorted(CODES)), max_size=500),
    st.text(st.sampled_from("aé€✓ç😀\u00a0{"), max_size=300),
    st.text(st.sampled_from("a€"), min_size=150, max_size=170),
    st.text(st.sampled_from("✓😀"), min_size=30, max_size=75),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=100),
)


def encode(text: str) -> list[list[int]] | None:
    """Give the septets of each character, None where one has none."""
    found = [CODES.get(sign) for sign in text]
    return None if None in found else [codes for codes in found if codes is not None]


def cut(units: list[list[int]], whole: int, part: int) -> int:
    """Lay units into parts, none of them cut in two."""
    if sum(map(len, units)) <= whole:
        return 1
    parts: list[list[int]] = [[]]
    for unit in units:
        if len(parts[-1]) + len(unit) > part:
            parts.append([])
        parts[-1].extend(unit)
    assert sum(map(len, parts)) == sum(map(len, units))
    return len(parts)


@given(TEXTS)
@example("")
@example("a" * 160)
@example("a" * 161)
@example("a" * 152 + "€" + "a" * 10)
@example("✓" * 66 + "😀" + "a")
def test_the_parts_are_those_of_the_encoded_text(text: str) -> None:
    size = measure_sms(text)
    septets = encode(text)
    if septets is None:
        raw = [sign.encode("utf-16-be") for sign in text]
        units = [[raw_[i] for i in range(0, len(raw_), 2)] for raw_ in raw]
        assert (size.encoding, size.segments) == (UCS_2, cut(units, 70, 67))
        assert set(size.foreign) == {sign for sign in text if not is_gsm(sign)}
    else:
        assert (size.encoding, size.segments) == (GSM_7, cut(septets, 160, 153))
        assert size.foreign == ""


@given(TEXTS)
def test_plain_spaces_never_cost_more_and_change_nothing_else(text: str) -> None:
    plain = plain_spaces(text)
    assert len(plain) == len(text)
    assert measure_sms(plain).segments <= measure_sms(text).segments
    changed = {one for one, other in zip(text, plain, strict=True) if one != other}
    assert changed <= set("\u00a0\u202f\u2007\u2009")

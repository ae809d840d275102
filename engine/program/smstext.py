"""How many parts an SMS is sent in: each is paid for, and they are put together on the phone.

Called by `sizes` for every SMS that is rendered, and by what shows one beforehand.

3GPP TS 23.038 (formerly GSM 03.38), section 6.2.1: a text of the default alphabet takes 7 bits a
character, and those of its extension table (6.2.1.1) take two. One character outside of both makes
the whole text UCS-2, 16 bits for each UTF-16 unit. 140 bytes are one part; of several, each
gives up 6 bytes to the header that says which part it is (TS 23.040, section 9.2.3.24.1), and no
character, escaped or of two units, is cut in two.
"""

from collections.abc import Iterable

import msgspec

GSM_7, UCS_2 = "GSM-7", "UCS-2"

# TS 23.038, section 6.2.1, in the order of its table; the escape to the extension is left out.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # section 6.2.1.1
_SEPTETS_MAX, _SEPTETS_PART_MAX = 160, 153
_UNITS_MAX, _UNITS_PART_MAX = 70, 67
_TWO_UNITS_FROM = 0x10000  # written as a surrogate pair

# What typography sets between a number and its unit; a phone shows a space like any other.
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u202f\u2007\u2009", " "))

assert len(_BASIC) == 127  # noqa: PLR2004 - 128 places, one of them the escape


class SmsSize(msgspec.Struct, frozen=True):
    """How a text travels; `foreign` are the characters that make it UCS-2, each once."""

    segments: int
    encoding: str
    foreign: str = ""


def plain_spaces(text: str) -> str:
    """Write the spaces of typography as plain ones: one of them would make a text UCS-2."""
    return text if text.isascii() else text.translate(_SPACES)


def measure_sms(text: str) -> SmsSize:
    """Count the parts a text is sent in."""
    foreign = "".join(dict.fromkeys(one for one in text if not is_gsm(one)))
    if foreign:
        sizes = (1 + (ord(one) >= _TWO_UNITS_FROM) for one in text)
        return SmsSize(_count_parts(sizes, _UNITS_MAX, _UNITS_PART_MAX), UCS_2, foreign)
    sizes = (1 + (one in _EXTENDED) for one in text)
    return SmsSize(_count_parts(sizes, _SEPTETS_MAX, _SEPTETS_PART_MAX), GSM_7)


def is_gsm(character: str) -> bool:
    """Say whether a character is of the alphabet that takes 7 bits."""
    return character in _BASIC or character in _EXTENDED


def _count_parts(sizes: Iterable[int], whole_max: int, part_max: int) -> int:
    parts, total, left = 1, 0, part_max
    for size in sizes:
        total += size
        if size > left:
            parts, left = parts + 1, part_max
        left -= size
    return parts if total > whole_max else 1

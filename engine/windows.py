"""Opening hours in customer time. STUB TO BE REPLACED"""
import msgspec

class Window(msgspec.Struct, frozen=True):
    days: tuple[tuple[tuple[int, int], ...], ...]
    text: str
    rule: str

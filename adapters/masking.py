"""Hides personal data and secrets: in logs, on a terminal, from keys that may not see them.

Used by `adapters.telemetry.logs`, the gateway and the command line. `mask_text` finds by their form
what must not be shown; a `Masker` knows besides which traits and properties a workspace marks.

*Rules*
- Masking is for looking only: nothing that is stored, decided or sent goes through here.
- What is masked says what it was, like `[email]`, never how long it was or how it began.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from engine.program.privacy import PII_PROPERTIES, Pii, same_name

_DEPTH_MAX = 40  # deeper than any item may be
_TEXT_MAX = 4_000

SECRET = "[secret]"  # noqa: S105 - what stands in a secret's place
SECRET_KEYS = re.compile(
    r"authori[sz]ation|password|passwd|pwd|secret|token|cookie|credential|signature"
    r"|(?:api|write|admin|private|access|signing)[_-]?key|dsn",
    re.IGNORECASE,
)

# In this order: what is inside a URL or a header must be gone before addresses are looked for.
# Each pattern is linear: no nested repetition, so a hostile value can't make logging slow.
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(://)[^\s/@:]{0,200}:[^\s/@]{0,200}@"), r"\1[secret]@"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), r"\1 [secret]"),
    (
        re.compile(
            r"\b((?:write|api|admin|access|private)[_-]?key|token|secret|password|sig|signature)"
            r"([\"']?\s?[=:]\s?[\"']?)[^\s&\"',;}]+",
            re.IGNORECASE,
        ),
        r"\1\2[secret]",
    ),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"), "[token]"),
    (re.compile(r"\b(?:whsec|sk_live|sk_test|pk_live|xox[abp]|ghp)[_-][\w+/=-]{8,}"), "[token]"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "[token]"),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+"), "[email]"),
    (re.compile(r"(?<![\w.])(?:\+|%2B|00)[1-9]\d?[\d\s().-]{5,18}\d(?![\w:])"), "[phone]"),
    (re.compile(r"(?<![\w.-])\(?0\d{2}\)?[\s.-]?\d{3}[\s.-]?\d{4}(?![\w:])"), "[phone]"),
)
_SUSPECT = re.compile(
    r"@|%40|\d{3}|[Kk]ey|KEY|[Tt]oken|[Ss]ecret|[Pp]assw|eyJ|[Bb]earer|[Bb]asic|sig|sk_|pk_|ghp|xox|whsec|AKIA"
)


def mask_text(text: str) -> str:
    """Replace addresses and secrets inside a text, and shorten it to what a line can bear."""
    if len(text) > _TEXT_MAX:
        text = f"{text[:_TEXT_MAX]}… ({len(text) - _TEXT_MAX} characters more)"
    if _SUSPECT.search(text) is not None:
        for pattern, instead in _MASKS:
            text = pattern.sub(instead, text)
    return text


class Masker:
    """Hides what a workspace marks as personal in the views of the API."""

    def __init__(self, pii: Pii) -> None:
        self._traits = pii.traits
        self._anywhere = PII_PROPERTIES | pii.marked
        self._properties = pii.properties

    def mask(self, view: object) -> Any:  # noqa: ANN401 - any JSON value in, the same kind out
        """Give a copy of a view with personal data replaced, as plain JSON values."""
        return self._mask(msgspec.to_builtins(view, str_keys=True), frozenset(), _DEPTH_MAX)

    def _mask(self, value: object, marks: frozenset[str], depth: int) -> object:
        if isinstance(value, str):
            return mask_text(value)
        if depth == 0:
            return "…" if isinstance(value, list | dict) else value
        if isinstance(value, list):
            items = cast("list[object]", value)
            return [self._mask(item, marks, depth - 1) for item in items]
        if isinstance(value, dict):
            return self._mask_object(cast("dict[str, object]", value), marks, depth)
        return value

    def _mask_object(
        self, value: dict[str, object], marks: frozenset[str], depth: int
    ) -> dict[str, object]:
        hidden = self._hidden_fields(value)
        shown: dict[str, object] = {}
        for key, item in value.items():
            if item in (None, "", [], {}) or isinstance(item, bool):
                shown[key] = item
            elif same_name(key) in marks or key in hidden:
                shown[key] = f"[{hidden.get(key) or key}]"
            elif key == "payload" and isinstance(item, str):
                shown[key] = self._mask_payload(item, depth)
            elif key in _BY_VALUE and isinstance(item, dict):  # namespace -> value -> what of it
                spaces = cast("dict[str, object]", item)
                shown[key] = {space: f"[{space}]" for space in spaces}
            else:
                inside = self._marks_inside(key, value, marks)
                shown[mask_text(key)] = self._mask(item, inside, depth - 1)
        return shown

    def _mask_payload(self, text: str, depth: int) -> str:
        """Mask what somebody sent. Where it can't be read nothing of it can be known to be fit."""
        try:
            sent: object = msgspec.json.decode(text)
        except msgspec.MsgspecError:
            return "[payload]"
        return msgspec.json.encode(self._mask(sent, self._anywhere | self._traits, depth)).decode()

    def _marks_inside(
        self, key: str, value: Mapping[str, object], marks: frozenset[str]
    ) -> frozenset[str]:
        """Say which names are personal in what a field holds."""
        if key == "traits":
            return self._traits
        if key in ("properties", "event", "context", "payload"):
            name = value.get("name") or value.get("event_name")
            return self._anywhere | self._properties.get(str(name), frozenset())
        return marks

    def _hidden_fields(self, value: Mapping[str, object]) -> dict[str, str]:
        """Name the fields of an object that are personal because of what stands beside them."""
        hidden = dict(_ALWAYS)
        hidden |= _BY_TYPE.get(str(value.get("type")), {})
        if "namespace" in value:
            hidden["value"] = str(value["namespace"])
        trait = value.get("trait") or (value.get("name") if value.get("of") == "trait" else None)
        if isinstance(trait, str) and same_name(trait) in self._traits:
            hidden |= dict.fromkeys(("value", "was", "now"), trait)
        return hidden


_ALWAYS = {name: name for name in ("address", "content", "proof", "vars")}
# What journeys ask of other services, are told and remember: it may hold anything of the customer.
_OF_CALLS = {"url": "url", "headers": "headers", "body": "body"}
_BY_TYPE = {"called": _OF_CALLS, "answered": _OF_CALLS, "remembered": {"value": "value"}}
_BY_VALUE = frozenset({"identities"})


def names_to_hide(pii: Pii) -> Iterable[str]:
    """Give the names whose values a log must not hold."""
    return sorted(PII_PROPERTIES | pii.marked)

"""The properties of e-commerce events: one name and one type for what every shop sends.

Called by `engine.intake.normalise` for events of Segment's e-commerce vocabulary and for no others.
Amounts become numbers, currencies ISO 4217 in capitals, and GA4's names for properties Segment's.

*Rules*
- A text becomes a number only where it can be read in one way: `1,299.00`, `1.299,00`, `1 299,00`,
  `12,50`, `€ 12.50`. `1,299` may be a thousand or one and a bit: it stays a text.
- What can't be read stays as it was written, and its name goes on the list of oddities.
- A property that is there under both names keeps both: nothing that was sent is lost.
"""

import re
from collections.abc import Callable
from typing import Any

from engine.intake.currencies import CURRENCIES
from engine.intake.shapes import is_array, is_object

_NUMBERS = frozenset(
    ("price", "value", "total", "revenue", "subtotal", "tax", "shipping", "discount", "quantity")
)

_CURRENCY = "currency"

# GA4's names and those of older libraries, and what the second e-commerce vocabulary calls them.
_PRODUCT_NAMES = {
    "item_id": "product_id",
    "productId": "product_id",
    "item_name": "name",
    "item_category": "category",
    "item_brand": "brand",
    "item_variant": "variant",
}
_LINE_NAMES = _PRODUCT_NAMES | {"index": "position"}
_EVENT_NAMES = _PRODUCT_NAMES | {
    "items": "products",
    "transaction_id": "order_id",
    "orderId": "order_id",
    "item_list_id": "list_id",
    "search_term": "query",
    "promotion_name": "name",
    "creative_name": "creative",
    "creative_slot": "position",
    "payment_type": "payment_method",
}
_FOREIGN_TO_EVENTS, _FOREIGN_TO_LINES = frozenset(_EVENT_NAMES), frozenset(_LINE_NAMES)

# GA4 lists the product even where there is one only; Segment's events of one product name it
# themselves.
_OF_ONE_PRODUCT = frozenset(
    (
        "Product Viewed",
        "Product Clicked",
        "Product Added",
        "Product Removed",
        "Product Added to Wishlist",
    )
)
_LIFTED = (
    "product_id",
    "sku",
    "name",
    "category",
    "brand",
    "variant",
    "price",
    "quantity",
    "coupon",
)

_TEXT_LENGTH_MAX = 40
_SIGNS = " \u00a0\u202f$€£¥₹₦₽₩₪₫₴₱₺฿+"
_SPACES = " '\u2019\u00a0\u202f"
# How amounts are written, and what parts their thousands.
_FORMS = tuple(
    (re.compile(f"-?(?:{form})", re.ASCII), str.maketrans("", "", grouping))
    for form, grouping in (
        (r"\d+(?:\.\d+)?", ""),
        (r"\d+,(?:\d{1,2}|\d{4,})|0,\d+", ""),
        (r"[1-9]\d{0,2}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})", ","),
        (r"[1-9]\d{0,2}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})", "."),
        (rf"[1-9]\d{{0,2}}(?:[{_SPACES}]\d{{3}})+(?:[.,]\d{{1,2}})?", _SPACES),
    )
)


def settle_commerce(name: str, properties: dict[str, Any], oddities: list[str]) -> dict[str, Any]:
    """Give the properties of an e-commerce event their names and types.

    What was given is left as it is; where nothing needs to change it is given back.
    """
    if _FOREIGN_TO_EVENTS.isdisjoint(properties):
        return _settle_whole(properties, oddities)
    lifts = name in _OF_ONE_PRODUCT and "products" not in properties
    settled = _settle_whole(_rename(properties, _EVENT_NAMES), oddities)
    return _lift(settled) if lifts else settled


def read_number(value: object) -> float | int | None:
    """Read a number, or a text that can only be one; None where it can't be read beyond doubt."""
    kind = value.__class__
    if kind is int or kind is float:
        assert isinstance(value, int | float)
        return value
    if not isinstance(value, str) or len(value) > _TEXT_LENGTH_MAX:
        return None
    text = value.strip(_SIGNS)
    for form, grouping in _FORMS:
        if form.fullmatch(text):
            digits = text.translate(grouping).replace(",", ".")
            return float(digits) if "." in digits else int(digits)
    return None


def read_currency(value: object) -> str | None:
    """Read a currency's code, however it is written; None where there is no such currency."""
    if not isinstance(value, str):
        return None
    if value in CURRENCIES:
        return value
    code = value.strip().upper()
    return code if code in CURRENCIES else None


def _rename(properties: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, value in properties.items():
        known = names.get(name, name)
        taken = known in properties or known in renamed
        renamed[name if taken else known] = value
    return renamed


_READERS: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(_NUMBERS, read_number),
    _CURRENCY: read_currency,
}


def _settle_whole(properties: dict[str, Any], oddities: list[str]) -> dict[str, Any]:
    """Settle the properties of an event and of each product it lists."""
    settled = _settle(properties, oddities)
    products = properties.get("products")
    if products is None:
        return settled
    if not is_array(products):
        oddities.append("products")
        return settled
    better = [
        _settle_line(product, oddities) if is_object(product) else product for product in products
    ]
    if all(one is other for one, other in zip(better, products, strict=True)):
        return settled
    return {**settled, "products": better}


def _settle_line(product: dict[str, Any], oddities: list[str]) -> dict[str, Any]:
    if not _FOREIGN_TO_LINES.isdisjoint(product):
        product = _rename(product, _LINE_NAMES)
    return _settle(product, oddities)


def _settle(properties: dict[str, Any], oddities: list[str]) -> dict[str, Any]:
    settled = properties
    for name, value in properties.items():
        if name not in _READERS or value is None:
            continue
        kind = value.__class__
        if (kind is float or kind is int) and name != _CURRENCY:
            continue  # nearly all amounts: a call for each is spared
        better = _READERS[name](value)
        if better is None:
            oddities.append(name)
        elif better is not value:
            if settled is properties:
                settled = dict(properties)
            settled[name] = better
    return settled


def _lift(properties: dict[str, Any]) -> dict[str, Any]:
    """Let an event of one product name the one it lists."""
    products = properties.get("products")
    if not is_array(products) or len(products) != 1 or not is_object(products[0]):
        return properties
    product = products[0]
    lifted = {name: product[name] for name in _LIFTED if name in product}
    return {**lifted, **properties}

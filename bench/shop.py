"""A shop's traffic for the demo workspace: what its customers do, in realistic proportions.

Deterministic: the same seed gives the same events. Bodies are made by filling prepared bytes, so
that the load generator costs little next to what it measures.
"""

import random
from collections.abc import Iterator

# How often each thing happens among 1,000 events, and its properties: a shop where one visit in
# forty ends with an order. Most traffic is looking around; some of it starts journeys, some of it
# proposes messages at once.
MIX: tuple[tuple[int, str, str], ...] = (
    (
        340,
        "Product Viewed",
        '{"product_id":"p-%d","category":"shoes","price":79.5,"name":"Trail runner"}',
    ),
    (230, "Product List Viewed", '{"category":"shoes","list_id":"l-%d"}'),
    (140, "Product Clicked", '{"product_id":"p-%d","position":3}'),
    (110, "Products Searched", '{"query":"trail shoes","page":%d}'),
    (60, "Product Added", '{"product_id":"p-%d","category":"shoes","price":179.5,"quantity":1}'),
    (50, "Cart Viewed", '{"cart_id":"c-%d","value":359}'),
    (22, "Product Removed", '{"product_id":"p-%d","price":79.5}'),
    (18, "Checkout Started", '{"order_id":"o-%d","value":359,"currency":"ZAR"}'),
    (12, "Product Added to Wishlist", '{"product_id":"p-%d","price":79.5}'),
    (
        8,
        "Order Completed",
        (
            '{"order_id":"o-%d","revenue":359,"total":399,"currency":"ZAR",'
            '"products":[{"name":"Trail runner","price":179.5,"quantity":2}]}'
        ),
    ),
    (4, "Product Reviewed", '{"product_id":"p-%d","rating":4}'),
    (6, "Signed Up", '{"plan":"free","n":%d}'),
)

_ITEM = (
    '{"type":"track","messageId":"%s-%d","userId":"u%d","event":"%s","timestamp":"%s",'
    '"properties":%s,"context":{"library":{"name":"bench","version":"1"},'
    '"ip":"203.0.113.7","locale":"en-ZA"}}'
)


def events(seed: int, customers: int, timestamp: str) -> Iterator[bytes]:
    """Give track events without end, spread evenly over the customers."""
    chance = random.Random(seed)  # noqa: S311 - traffic, not secrets
    names = [(name, properties) for share, name, properties in MIX for _ in range(share)]
    number = 0
    while True:
        name, properties = names[int(chance.random() * len(names))]
        customer = int(chance.random() * customers)
        filled = properties % (number % 977)
        yield (_ITEM % (seed, number, customer, name, timestamp, filled)).encode()
        number += 1


def identifies(customers: range, timestamp: str) -> Iterator[bytes]:
    """Introduce customers: an e-mail, a phone, consent to marketing."""
    for number in customers:
        yield (
            f'{{"type":"identify","messageId":"i-{number}","userId":"u{number}",'
            f'"timestamp":"{timestamp}","traits":{{"email":"u{number}@example.com",'
            f'"phone":"+2782{number:07d}","first_name":"N{number}","push_token":"t{number}"}},'
            f'"context":{{"consent":[{{"purpose":"marketing","status":"granted","source":"form"}}]}}}}'
        ).encode()


def batch(items: list[bytes]) -> bytes:
    """Join events into the body of a batch."""
    return b'{"batch":[' + b",".join(items) + b"]}"

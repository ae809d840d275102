"""What events are called, whoever names them."""

import pytest

from engine.vocabulary import COMMERCE, canonical_name


@pytest.mark.parametrize(
    "name",
    [
        "Product Added",
        "product added",
        "product_added",
        "PRODUCT_ADDED",
        "product-added",
        "ProductAdded",
        "productAdded",
        "Added Product",
        "Added to Cart",
        "Added To Cart",
        "add_to_cart",
        "AddToCart",
        "addToCart",
    ],
)
def test_every_spelling_of_an_alias_is_the_canonical_name(name: str) -> None:
    assert canonical_name(name) == "Product Added"


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("purchase", "Order Completed"),
        ("Completed Order", "Order Completed"),
        ("view_item", "Product Viewed"),
        ("Viewed Product", "Product Viewed"),
        ("begin_checkout", "Checkout Started"),
        ("view_search_results", "Products Searched"),
        ("Order Canceled", "Order Cancelled"),
        ("sign_up", "Signed Up"),
        ("login", "Signed In"),
        ("video_playback_started", "Video Playback Started"),
        ("application_opened", "Application Opened"),
        ("trialStarted", "Trial Started"),
    ],
)
def test_other_vocabularies_are_understood(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical


@pytest.mark.parametrize("name", ["search", "share", "Basket Add", " Product Added", "Ordered", ""])
def test_a_name_that_is_no_alias_is_kept_as_it_was_written(name: str) -> None:
    assert canonical_name(name) == name


def test_canonical_names_are_their_own() -> None:
    assert all(canonical_name(name) == name for name in COMMERCE)

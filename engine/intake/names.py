"""What events are called: the second e-commerce vocabulary, whichever a client speaks.

Called by `engine.intake.normalise`. Segment's first e-commerce specification put the verb first
(`Viewed Product`); libraries and tag managers still send it. Workspaces name events by the second.
"""

_FIRST_NAMES = {
    "Searched Products": "Products Searched",
    "Viewed Product Category": "Product List Viewed",
    "Viewed Product List": "Product List Viewed",
    "Filtered Product List": "Product List Filtered",
    "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked",
    "Clicked Product": "Product Clicked",
    "Viewed Product": "Product Viewed",
    "Added Product": "Product Added",
    "Removed Product": "Product Removed",
    "Viewed Cart": "Cart Viewed",
    "Started Checkout": "Checkout Started",
    "Started Order": "Checkout Started",
    "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed",
    "Entered Payment Info": "Payment Info Entered",
    "Completed Order": "Order Completed",
    "Updated Order": "Order Updated",
    "Refunded Order": "Order Refunded",
    "Cancelled Order": "Order Cancelled",
    "Entered Coupon": "Coupon Entered",
    "Applied Coupon": "Coupon Applied",
    "Denied Coupon": "Coupon Denied",
    "Removed Coupon": "Coupon Removed",
    "Added Product to Wishlist": "Product Added to Wishlist",
    "Removed Product from Wishlist": "Product Removed from Wishlist",
    "Added Wishlist Product to Cart": "Wishlist Product Added to Cart",
    "Shared Product": "Product Shared",
    "Shared Cart": "Cart Shared",
    "Reviewed Product": "Product Reviewed",
}


def canonical_name(name: str) -> str:
    """Give an event the name workspaces know it by."""
    return _FIRST_NAMES.get(name, name)

"""What events are called: one name for each thing that happened, whichever a client writes.

Called by `engine.intake.normalise` for every track call, and by `engine.program.check` for the
names a workspace writes. Canonical are Segment's: its e-commerce vocabulary (second version), and
those for accounts (B2B SaaS), apps (native mobile) and video. An alias is another spelling of one
of them (`product_added`, `ProductAdded`), its name in the first e-commerce vocabulary, which put
the verb first (`Viewed Product`), or in Google Analytics 4.

Sources: segment-docs `spec/ecommerce/v2.md`, `spec/ecommerce/index.md` (the first version),
`spec/b2b-saas.md`, `spec/mobile.md`, `spec/video.md`; Google's list of recommended events for GA4.

*Rules*
- A name that is no alias is kept exactly as it was written.
- A word is an alias only where it can mean one thing: GA4's `search` may be for anything and its
  `share` of anything, so they stay what they are.
- The whole of it is one dict, spelt out when the module is loaded: one lookup for an event.
"""

import re

_ORDER_COMPLETED = "Order Completed"
_PRODUCT_ADDED = "Product Added"

# Each canonical name of the e-commerce vocabulary with what else it is called.
_COMMERCE: dict[str, tuple[str, ...]] = {
    "Products Searched": ("Searched Products", "view_search_results"),
    "Product List Viewed": ("Viewed Product Category", "Viewed Product List", "view_item_list"),
    "Product List Filtered": ("Filtered Product List",),
    "Promotion Viewed": ("Viewed Promotion", "view_promotion"),
    "Promotion Clicked": ("Clicked Promotion", "select_promotion"),
    "Product Clicked": ("Clicked Product", "select_item"),
    "Product Viewed": ("Viewed Product", "view_item"),
    _PRODUCT_ADDED: ("Added Product", "Added to Cart", "add_to_cart"),
    "Product Removed": ("Removed Product", "Removed from Cart", "remove_from_cart"),
    "Cart Viewed": ("Viewed Cart", "view_cart"),
    "Checkout Started": ("Started Checkout", "Started Order", "begin_checkout"),
    "Checkout Step Viewed": ("Viewed Checkout Step",),
    "Checkout Step Completed": ("Completed Checkout Step",),
    "Payment Info Entered": ("Entered Payment Info", "add_payment_info"),
    _ORDER_COMPLETED: ("Completed Order", "purchase"),
    "Order Updated": ("Updated Order",),
    "Order Refunded": ("Refunded Order", "refund"),
    "Order Cancelled": ("Cancelled Order", "Order Canceled", "Canceled Order"),
    "Coupon Entered": ("Entered Coupon",),
    "Coupon Applied": ("Applied Coupon",),
    "Coupon Denied": ("Denied Coupon",),
    "Coupon Removed": ("Removed Coupon",),
    "Product Added to Wishlist": (
        "Added Product to Wishlist",
        "Added to Wishlist",
        "add_to_wishlist",
    ),
    "Product Removed from Wishlist": ("Removed Product from Wishlist",),
    "Wishlist Product Added to Cart": ("Added Wishlist Product to Cart",),
    "Product Shared": ("Shared Product",),
    "Cart Shared": ("Shared Cart",),
    "Product Reviewed": ("Reviewed Product",),
}
_OTHERS: dict[str, tuple[str, ...]] = {
    "Account Created": (),
    "Account Deleted": (),
    "Signed Up": ("sign_up",),
    "Signed In": ("login",),
    "Signed Out": (),
    "Invite Sent": (),
    "Account Added User": (),
    "Account Removed User": (),
    "Trial Started": (),
    "Trial Ended": (),
    "Application Installed": (),
    "Application Opened": (),
    "Application Backgrounded": (),
    "Application Updated": (),
    "Application Uninstalled": (),
    "Application Crashed": (),
    "Install Attributed": (),
    "Push Notification Received": (),
    "Push Notification Tapped": (),
    "Push Notification Bounced": (),
    "Deep Link Opened": (),
    "Deep Link Clicked": (),
    "Video Playback Started": (),
    "Video Playback Paused": (),
    "Video Playback Interrupted": (),
    "Video Playback Buffer Started": (),
    "Video Playback Buffer Completed": (),
    "Video Playback Seek Started": (),
    "Video Playback Seek Completed": (),
    "Video Playback Resumed": (),
    "Video Playback Completed": (),
    "Video Content Started": (),
    "Video Content Playing": (),
    "Video Content Completed": (),
    "Video Ad Started": (),
    "Video Ad Playing": (),
    "Video Ad Completed": (),
    "Video Quality Updated": (),
}

COMMERCE = frozenset(_COMMERCE)
_WORD = re.compile(r"[A-Za-z0-9]+")


def _spellings(name: str) -> tuple[str, ...]:
    """Spell a name in the ways in which programs and tag managers spell names."""
    words = [word.lower() for word in _WORD.findall(name)]
    capitals = [word.capitalize() for word in words]
    return (
        name,
        " ".join(words),
        " ".join(capitals),
        " ".join([capitals[0], *words[1:]]),
        " ".join(words).upper(),
        "_".join(words),
        "_".join(capitals),
        "_".join(words).upper(),
        "-".join(words),
        "".join(capitals),
        "".join([words[0], *capitals[1:]]),
    )


def _spell_out() -> dict[str, str]:
    aliases: dict[str, str] = {}
    for canonical, others in {**_COMMERCE, **_OTHERS}.items():
        for name in (canonical, *others):
            for spelling in _spellings(name):
                known = aliases.setdefault(spelling, canonical)
                assert known == canonical, spelling
    return aliases


_ALIASES = _spell_out()


def canonical_name(name: str) -> str:
    """Give an event the name workspaces know it by."""
    return _ALIASES.get(name, name)

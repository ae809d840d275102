"""Who shops in the demonstration, and everything they do on its one day.

`play` sends the calls, `mailroom` asks for habits, `screen` for names. All of it is made up, and
made from the seed alone: two demonstrations play the same day. Addresses are at example.com, and
numbers are ones that no network gives to anybody.
"""

import random
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant

SHOP_ZONE = ZoneInfo("Africa/Johannesburg")
OPENS_AT = parse_instant("2026-03-04T05:00:00+02:00")  # a Wednesday without a holiday anywhere
ENDS_AT = OPENS_AT + DAY_MS

# A mail server says of addresses here that there is nobody; see `mailroom`.
GONE = "gone.example.com"

_MIDNIGHT_AT = OPENS_AT - 5 * HOUR_MS
_REPEATED_EVERY = 83  # one call in so many is sent twice, as phones with a weak signal do
_FACTS: dict[str, Any] = {"currency": "ZAR"}


class Habit(StrEnum):
    """What somebody does with the shop's e-mail."""

    IGNORES = "ignores"
    OPENS = "opens"
    CLICKS = "clicks"
    LEAVES = "leaves"  # presses the mail program's button for unsubscribing


class Shopper(msgspec.Struct, frozen=True):
    """One customer of the shop. `place` is empty for those who live where the shop is."""

    id: str
    name: str
    habit: Habit
    consents: bool
    zone: ZoneInfo
    place: str
    traits: dict[str, Any]


class Call(msgspec.Struct, frozen=True):
    """One call of the library: a track, or an identify where `event` is empty."""

    id: str
    at: int
    customer: str
    event: str
    properties: dict[str, Any]
    context: dict[str, Any]
    is_misdated: bool = False  # from a till whose clock is decades ahead


class Day(msgspec.Struct, frozen=True):
    """The whole day: who there is, and what they do, in order."""

    shoppers: dict[str, Shopper]
    calls: list[Call]


class _Place(msgspec.Struct, frozen=True):
    name: str
    zone: str
    country: str
    phone: str
    behind_h: int  # how far its clocks are behind the shop's on this day


_PLACES = {
    "JHB": _Place("", "Africa/Johannesburg", "ZA", "+278255501", 0),
    "LOS": _Place("Lagos", "Africa/Lagos", "NG", "", 1),
    "LON": _Place("London", "Europe/London", "GB", "+4477009001", 2),
    "NYC": _Place("New York", "America/New_York", "US", "+121255501", 7),
}

# id, family name, place, how they can be reached (e-mail, x: an e-mail address that is gone,
# phone number, push), whether they agreed to marketing, and what they do with e-mail.
_ROSTER = """
thandi   Mokoena   JHB eps yes ignores
lerato   Khumalo   JHB ep  yes opens
bongani  Cele      JHB e   yes opens
ayanda   Zulu      JHB ep  yes opens
naledi   Tau       JHB ep  yes ignores
themba   Nkosi     JHB e   yes ignores
zanele   Mthembu   JHB e   yes ignores
mandla   Dube      JHB s   yes ignores
kagiso   Molefe    JHB xs  yes ignores
riaan    Botha     JHB x   yes ignores
sizwe    Dlamini   JHB eps yes clicks
vusi     Maseko    JHB es  yes opens
nomsa    Radebe    JHB ep  yes opens
yusuf    Patel     JHB eps yes opens
priya    Naidoo    JHB eps yes ignores
dineo    Phiri     JHB ep  yes ignores
karabo   Sithole   JHB p   yes ignores
annelie  Visser    JHB e   yes leaves
refilwe  Mabaso    JHB e   yes ignores
lwazi    Ndaba     JHB ep  yes opens
pieter   Steyn     JHB ep  no  opens
fatima   Adams     JHB es  no  opens
amahle   Shezi     JHB ep  yes clicks
palesa   Moloi     JHB e   yes opens
harriet  Cole      LON e   yes clicks
marcus   Reid      NYC es  yes opens
dwayne   Foster    NYC e   yes clicks
elena    Ruiz      NYC ep  yes opens
tunde    Adeyemi   LOS ep  yes opens
tshepo   Mahlangu  JHB ep  yes opens
busi     Ngcobo    JHB e   yes opens
ntombi   Xaba      JHB eps yes ignores
johan    Kruger    JHB e   no  ignores
chantal  Jacobs    JHB ep  yes clicks
imraan   Khan      JHB es  yes ignores
shanaaz  Davids    JHB ep  no  opens
mpho     Legodi    JHB p   yes ignores
kabelo   Seema     JHB e   yes clicks
siya     Mbeki     JHB ep  yes leaves
oliver   Grant     LON ep  yes opens
amelia   Frost     LON e   yes ignores
chidi    Okafor    LOS ep  yes clicks
ngozi    Eze       LOS e   yes opens
"""

_TRAITS: dict[str, dict[str, Any]] = {
    "yusuf": {"channel_preferences": {"nudge": "email"}},
    "priya": {"channel_preferences": {"promotional": "push"}},
    "tshepo": {"favourite_category": "outdoor"},
    "oliver": {"favourite_category": "home"},
    "chantal": {"favourite_category": "kitchen"},
}

_PRODUCTS = {
    "rooibos": ("Rooibos gift tin", "kitchen", 89),
    "mug": ("Stoneware mugs", "kitchen", 160),
    "apron": ("Shweshwe apron", "kitchen", 320),
    "kettle": ("Stovetop kettle", "kitchen", 649),
    "potjie": ("Cast-iron potjie", "kitchen", 1490),
    "tongs": ("Braai tongs", "outdoor", 185),
    "flask": ("Hiking flask", "outdoor", 299),
    "blanket": ("Picnic blanket", "outdoor", 450),
    "pack": ("Trail pack", "outdoor", 2100),
    "basket": ("Woven basket", "home", 395),
    "print": ("Protea print", "home", 560),
    "throw": ("Sofa throw", "home", 780),
    "lamp": ("Beaded lamp", "home", 1250),
    "chair": ("Riempie chair", "home", 3400),
}

# What these people do is arranged so that the day shows every kind of decision. Hours count on
# past midnight: 26:30 is half past two.
_STORIES = """
05:25 vusi    buys mug
05:40 thandi  looks kettle
05:43 thandi  adds kettle
05:50 vusi    buys basket
05:52 lerato  looks apron
05:55 lerato  adds apron
06:02 bongani looks throw
06:05 bongani adds throw
06:15 vusi    buys rooibos
06:20 sizwe   looks chair
06:24 sizwe   adds chair
06:28 sizwe   checks-out
06:32 sizwe   buys chair lamp potjie
06:40 vusi    buys blanket
07:05 vusi    buys mug tongs
07:20 lerato  checks-out
07:30 lerato  buys apron
08:15 bongani withdraws
08:45 lerato  subscribes
09:00 themba  subscribes
09:04 zanele  subscribes
09:06 priya   looks potjie
09:08 refilwe subscribes
09:10 priya   adds potjie
09:15 amahle  signs-up
09:18 amahle  looks mug
09:22 amahle  looks basket
09:47 refilwe looks print
09:50 refilwe adds print
09:54 harriet looks print
09:58 harriet adds print
10:00 themba  looks basket
10:02 themba  adds basket
10:06 lwazi   looks kettle
10:10 lwazi   adds kettle
10:12 zanele  looks lamp
10:15 zanele  adds lamp
11:00 nomsa   refunds throw
11:40 naledi  looks basket
11:45 naledi  adds basket
11:50 naledi  carts
11:52 annelie looks basket
11:55 annelie adds basket
11:58 naledi  checks-out
12:00 pieter  looks lamp
12:04 pieter  adds lamp
12:05 kagiso  looks lamp
12:08 kagiso  adds lamp
12:08 pieter  checks-out
12:10 karabo  searches calabash
12:10 ayanda  looks potjie
12:12 kagiso  checks-out
12:13 ayanda  adds potjie
12:13 karabo  searches gourd
12:15 mandla  adds tongs
12:18 kagiso  buys lamp
12:25 karabo  looks print
12:30 riaan   buys mug
12:35 palesa  signs-up
12:38 palesa  looks flask
12:40 naledi  subscribes
12:42 karabo  looks basket
12:46 karabo  reviews print 5
12:48 ayanda  reviews mug 2
12:52 palesa  looks blanket
12:55 palesa  adds blanket
12:58 nomsa   looks throw
13:00 nomsa   adds throw
13:10 thandi  looks potjie
13:11 thandi  carts
13:46 zanele  looks print
13:53 zanele  looks throw
14:50 marcus  looks pack
14:55 marcus  adds pack
15:00 tshepo  wishes pack
15:30 refilwe withdraws
16:20 priya   carts
17:30 mandla  buys tongs
17:58 fatima  looks throw
18:00 themba  looks lamp
18:02 fatima  adds throw
18:03 themba  looks print
18:06 themba  looks throw
18:15 lwazi   wishes lamp
18:20 priya   subscribes
18:28 thandi  looks basket
18:34 thandi  adds basket
19:10 sizwe   looks print
19:14 sizwe   reviews lamp 5
19:20 tunde   signs-up
19:24 tunde   looks flask
21:20 annelie buys basket
21:38 yusuf   looks throw
21:40 yusuf   adds throw
21:45 yusuf   checks-out
21:50 dineo   looks throw
21:53 dineo   adds throw
22:01 dwayne  looks pack
22:05 dwayne  adds pack
22:06 dineo   checks-out
23:10 marcus  buys pack
26:20 elena   looks print
26:30 elena   adds print
"""

_SCRIPTED = frozenset(line.split()[1] for line in _STORIES.split("\n") if line)

# When people shop, in their own time: minutes of the day, and how many of ten choose it.
_PEAKS = ((315, 490, 2), (700, 830, 4), (1020, 1220, 3), (1230, 1410, 1))


def plan_day(seed: int) -> Day:
    """Make the whole day from a seed."""
    shoppers = {shopper.id: shopper for shopper in _read_roster()}
    diary = _Diary()
    rng = random.Random(seed)  # noqa: S311 - a day to look at, not a secret
    for number, shopper in enumerate(shoppers.values()):
        diary.arrives(shopper, OPENS_AT + number * 6_000)
    for line in _STORIES.strip().split("\n"):
        clock, customer, verb, *things = line.split()
        hours, minutes = clock.split(":")
        at = _MIDNIGHT_AT + int(hours) * HOUR_MS + int(minutes) * MINUTE_MS
        _VERBS[verb](diary, at, customer, *things)
    for shopper in shoppers.values():
        if shopper.id not in _SCRIPTED or shopper.id == "tshepo":
            for start_at in _visits(rng, shopper):
                _wander(diary, rng, shopper.id, start_at)
    diary.misdates(OPENS_AT + 9 * HOUR_MS)
    diary.misdates(OPENS_AT + 13 * HOUR_MS)
    calls = sorted((c for c in diary.calls if c.at < ENDS_AT), key=lambda call: call.at)
    twice = [
        msgspec.structs.replace(call, at=call.at + MINUTE_MS)
        for call in calls[_REPEATED_EVERY::_REPEATED_EVERY]
    ]
    return Day(shoppers, sorted(calls + twice, key=lambda call: call.at))


class _Diary:
    """What everybody does, as calls of the library. Each method is a thing somebody can do."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._orders = 1000

    def arrives(self, shopper: Shopper, at: int) -> None:
        """Tell of somebody the shop has long known: nobody is in the shop because of that."""
        context: dict[str, Any] = {"active": False}
        if shopper.consents:
            context["consent"] = [_statement("granted", "account page")]
        self._put(at, shopper.id, "", shopper.traits, context)

    def withdraws(self, at: int, customer: str) -> None:
        """Take the agreement to marketing back."""
        self._put(at, customer, "", {}, {"consent": [_statement("withdrawn", "account page")]})

    def looks(self, at: int, customer: str, product: str) -> None:
        """Look at a product."""
        self._put(at, customer, "Product Viewed", _describe(product))

    def lists(self, at: int, customer: str, category: str) -> None:
        """Look at a shelf."""
        names = [name for name, (_, shelf, _) in _PRODUCTS.items() if shelf == category]
        facts = {"category": category, "products": [{"product_id": name} for name in names]}
        self._put(at, customer, "Product List Viewed", facts)

    def searches(self, at: int, customer: str, query: str) -> None:
        """Search for something."""
        self._put(at, customer, "Products Searched", {"query": query})

    def adds(self, at: int, customer: str, product: str) -> None:
        """Put something into the cart."""
        self._put(at, customer, "Product Added", {**_describe(product), "quantity": 1})

    def wishes(self, at: int, customer: str, product: str) -> None:
        """Put something on the wish list."""
        self._put(at, customer, "Product Added to Wishlist", _describe(product))

    def carts(self, at: int, customer: str) -> None:
        """Look into the cart."""
        self._put(at, customer, "Cart Viewed", _FACTS)

    def checks_out(self, at: int, customer: str) -> None:
        """Begin to pay."""
        self._put(at, customer, "Checkout Started", _FACTS)

    def buys(self, at: int, customer: str, *products: str) -> None:
        """Order."""
        self._put(at, customer, "Order Completed", self._order(products))

    def refunds(self, at: int, customer: str, *products: str) -> None:
        """Get money back for an order of last week."""
        self._put(at, customer, "Order Refunded", self._order(products))

    def reviews(self, at: int, customer: str, product: str, rating: str) -> None:
        """Say how something is."""
        facts = {"product_id": product, "rating": int(rating)}
        self._put(at, customer, "Product Reviewed", facts)

    def signs_up(self, at: int, customer: str) -> None:
        """Open an account."""
        self._put(at, customer, "Signed Up", {"method": "email"})

    def subscribes(self, at: int, customer: str) -> None:
        """Ask for the weekly letter."""
        self._put(at, customer, "Newsletter Subscribed", {"list": "weekly"})

    def misdates(self, at: int) -> None:
        """Ring up a sale on a till whose clock is wrong; the gateway has to refuse that."""
        self._put(at, "till-4", "Order Completed", self._order(("mug",)))
        self.calls[-1] = msgspec.structs.replace(self.calls[-1], is_misdated=True)

    def _order(self, products: tuple[str, ...]) -> dict[str, Any]:
        self._orders += 1
        lines = [{**_describe(product), "quantity": 1} for product in products]
        total = sum(_PRODUCTS[product][2] for product in products)
        return {**_FACTS, "order_id": f"M-{self._orders}", "total": total, "products": lines}

    def _put(
        self,
        at: int,
        customer: str,
        event: str,
        properties: dict[str, Any],
        context: dict[str, Any] | None = None,
    ) -> None:
        name = f"demo-{len(self.calls) + 1:04d}"
        self.calls.append(Call(name, at, customer, event, properties, context or {}))


_VERBS: dict[str, Callable[..., None]] = {
    "looks": _Diary.looks,
    "searches": _Diary.searches,
    "adds": _Diary.adds,
    "wishes": _Diary.wishes,
    "carts": _Diary.carts,
    "checks-out": _Diary.checks_out,
    "buys": _Diary.buys,
    "refunds": _Diary.refunds,
    "reviews": _Diary.reviews,
    "signs-up": _Diary.signs_up,
    "subscribes": _Diary.subscribes,
    "withdraws": _Diary.withdraws,
}


def _read_roster() -> Iterator[Shopper]:
    for number, line in enumerate(_ROSTER.strip().split("\n")):
        name, family, code, reach, consents, habit = line.split()
        place = _PLACES[code]
        traits: dict[str, Any] = {
            "first_name": name.title(),
            "last_name": family,
            "country": place.country,
            "timezone": place.zone,
            **_TRAITS.get(name, {}),
        }
        if "e" in reach:
            traits["email"] = f"{name}.{family}@example.com".lower()
        if "x" in reach:
            traits["email"] = f"{name}.{family}@{GONE}".lower()
        if "s" in reach:
            traits["phone"] = f"{place.phone}{number:02d}"
        if "p" in reach:
            traits["push_token"] = f"demo-device-{number:03d}"
        yield Shopper(
            name,
            f"{name.title()} {family}",
            Habit(habit),
            consents == "yes",
            ZoneInfo(place.zone),
            place.name,
            traits,
        )


def _describe(product: str) -> dict[str, Any]:
    name, category, price = _PRODUCTS[product]
    return {**_FACTS, "product_id": product, "name": name, "category": category, "price": price}


def _statement(status: str, source: str) -> dict[str, Any]:
    return {"purpose": "marketing", "status": status, "source": source}


def _visits(rng: random.Random, shopper: Shopper) -> Iterator[int]:
    """Choose when somebody comes to the shop: two to four times, mostly at lunch and at night."""
    behind_h = next(p.behind_h for p in _PLACES.values() if p.zone == shopper.zone.key)
    for _ in range(rng.randint(2, 4)):
        start, end, _ = rng.choices(_PEAKS, [weight for _, _, weight in _PEAKS])[0]
        at = _MIDNIGHT_AT + behind_h * HOUR_MS + rng.randint(start, end) * MINUTE_MS
        if OPENS_AT + 20 * MINUTE_MS < at < ENDS_AT - HOUR_MS:
            yield at


def _wander(diary: _Diary, rng: random.Random, customer: str, at: int) -> None:
    """Have somebody look around, and perhaps take something, and perhaps pay for it."""

    def later() -> int:
        nonlocal at
        at += rng.randint(40, 200) * 1_000
        return at

    category = rng.choice(("kitchen", "outdoor", "home"))
    shelf = [name for name, (_, place, _) in _PRODUCTS.items() if place == category]
    if rng.random() < 0.3:  # noqa: PLR2004 - these chances are nobody's but this function's
        diary.searches(at, customer, rng.choice(("gift", "wedding", "small", "red")))
    diary.lists(later(), customer, category)
    product = shelf[0]
    for _ in range(rng.randint(2, 7)):
        product = rng.choice(shelf)
        diary.looks(later(), customer, product)
    mood = rng.random()
    if mood > 0.85:  # noqa: PLR2004 - see above
        diary.wishes(later(), customer, product)
    if mood > 0.5:  # noqa: PLR2004 - see above
        return
    diary.adds(later(), customer, product)
    diary.carts(later(), customer)
    if mood < 0.35:  # noqa: PLR2004 - see above
        diary.checks_out(later(), customer)
    if mood < 0.22:  # noqa: PLR2004 - see above
        diary.buys(later(), customer, product)

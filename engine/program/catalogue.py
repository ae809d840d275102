"""The workspace's `catalogue:` section: which items events name, and where the items then go.

Part of `model` as written, and of `Program` as compiled; read by `engine.intake.enrich`. Products,
stores and content are there without being written.
"""

import re
from collections.abc import Mapping
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

from engine.limits import CATALOGUE_KINDS_MAX
from engine.program.faults import Faults, quote
from engine.program.places import Path
from engine.program.texts import Text

_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class CatalogueKindSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of item of the catalogue, and how events name it."""

    key: Annotated[
        str | tuple[Text, ...],
        Meta(
            description=(
                "The properties of an event that may hold an item's id, the first one first; "
                "absent: for `products` product_id and sku, for `stores` store_id, for `content` "
                "content_id, for others the kind's name and _id."
            ),
            examples=["product_id", ["product_id", "sku"]],
        ),
    ] = ()
    as_: Annotated[
        str,
        Meta(
            min_length=1,
            description=(
                "The property of the event that gets the item; absent: product, store, content, "
                "or the kind's name."
            ),
            examples=["product"],
        ),
    ] = field(default="", name="as")
    fill: Annotated[
        tuple[Text, ...] | UnsetType,
        Meta(
            description=(
                "Fields that the event itself gets where it lacks them; absent: for `products` "
                "price, category and currency, for others none."
            )
        ),
    ] = UNSET
    list: Annotated[
        str,
        Meta(
            min_length=1,
            description="A property with a list of such items; absent: `products` for `products`.",
        ),
    ] = ""


class ItemJoin(Struct, frozen=True):
    """How events name one kind of item: `keys` in order, at the top or in elements of `within`."""

    kind: str
    keys: tuple[str, ...]
    name: str  # the property that gets the item
    fill: tuple[str, ...] = ()
    within: str = ""


class Joins(Struct, frozen=True):
    """All kinds; an event with none of `keys` among its properties names nothing."""

    kinds: tuple[ItemJoin, ...]
    keys: frozenset[str]

    def kind(self, name: str) -> ItemJoin | None:
        """Find a kind by its name."""
        return next((join for join in self.kinds if join.kind == name), None)


_BUILT_IN = {
    "products": ItemJoin(
        kind="products",
        keys=("product_id", "sku"),
        name="product",
        fill=("price", "category", "currency"),
        within="products",
    ),
    "stores": ItemJoin(kind="stores", keys=("store_id",), name="store"),
    "content": ItemJoin(kind="content", keys=("content_id",), name="content"),
}


def compile_joins(kinds: Mapping[str, CatalogueKindSpec]) -> Joins:
    """Compile the section; kinds that are not written are as they come."""
    every = dict(_BUILT_IN)
    for kind, spec in kinds.items():
        every[kind] = _compile_join(kind, spec)
    names = [name for join in every.values() for name in (*join.keys, join.name, join.within)]
    return Joins(tuple(every.values()), frozenset(name for name in names if name))


def _compile_join(kind: str, spec: CatalogueKindSpec) -> ItemJoin:
    known = _BUILT_IN.get(kind) or ItemJoin(kind=kind, keys=(f"{kind}_id",), name=kind)
    keys = (spec.key,) if isinstance(spec.key, str) else spec.key
    return structs.replace(
        known,
        keys=keys or known.keys,
        name=spec.as_ or known.name,
        fill=known.fill if spec.fill is UNSET else spec.fill,
        within=spec.list or known.within,
    )


def check_catalogue(kinds: Mapping[str, CatalogueKindSpec], faults: Faults) -> None:
    """Note kinds and properties that can't be named so, and two that would take one place."""
    path: Path = ("catalogue",)
    if len(kinds) > CATALOGUE_KINDS_MAX:
        faults.add(path, f"more than {CATALOGUE_KINDS_MAX} kinds of items", "unite some of them")
    for kind, spec in kinds.items():
        where: Path = (*path, kind)
        if _KIND.fullmatch(kind) is None:
            hint = "write small letters, digits and _, like gift_cards"
            faults.add(where, f"{quote(kind)} can't name a kind of items", hint, at_key=True)
        if spec.as_ and _NAME.fullmatch(spec.as_) is None:
            hint = "write letters, digits and _, so that conditions can name it: event.product"
            faults.add((*where, "as"), f"{quote(spec.as_)} can't name a property", hint)
        if isinstance(spec.key, str) and not spec.key:
            faults.add((*where, "key"), "a property has a name", "like product_id")
    if not faults.touches(path):
        _check_places(kinds, faults)


def _check_places(kinds: Mapping[str, CatalogueKindSpec], faults: Faults) -> None:
    taken: dict[str, str] = {}
    keys = {key for join in compile_joins(kinds).kinds for key in join.keys}
    for join in compile_joins(kinds).kinds:
        where: Path = ("catalogue", join.kind, *(("as",) if _has_as(kinds, join) else ()))
        if join.name in taken:
            message = f"{quote(join.name)} is where {taken[join.name]} go"
            faults.add(where, message, "give one of them another `as`")
        elif join.name in keys:
            message = f"{quote(join.name)} holds an id: the item can't go there"
            faults.add(where, message, "give it another `as`")
        taken.setdefault(join.name, join.kind)


def _has_as(kinds: Mapping[str, CatalogueKindSpec], join: ItemJoin) -> bool:
    spec = kinds.get(join.kind)
    return spec is not None and bool(spec.as_)

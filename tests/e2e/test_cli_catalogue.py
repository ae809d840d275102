"""`nextbeat catalogue` against a running server, and `nextbeat replay --catalogue` without one."""

import json
from pathlib import Path

import pytest

from tests.e2e.command_line import SHOP, nextbeat, write_shop
from tests.e2e.test_cli_replay import call, write_events
from tests.e2e.test_cli_serve import send, serving

PRODUCTS = "product_id,title,price,category\np1,Trail shoes,89.50,shoes\np2,Socks,5,socks\n"
# Only what the catalogue knows starts this journey and is written in its message.
CONDITION = 'event.product.category == "shoes" && event.price > 50'
CURIOUS = (
    SHOP.replace(', window: "09:00-20:00"', "")
    .replace("{event: Signed Up}", f"{{event: Product Viewed, if: '{CONDITION}'}}")
    .replace("body: Welcome", 'body: "{{ event.product.title }}: {{ event.price }}"')
)


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.slow
def test_what_is_loaded_decides_and_is_written_in_messages(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path, CURIOUS), tmp_path / "data"
    feed = write(tmp_path, "products.csv", PRODUCTS)
    with serving(shop, data) as url:
        loaded = nextbeat("catalogue", "load", feed, "--kind", "products", "--url", url)
        assert (loaded.returncode, loaded.stdout) == (0, "2 items stored, 0 as they were\n")
        send(url, "/v1/identify", {"userId": "ana", "traits": {"email": "a@b.co"}})
        for item in ("p2", "p1"):
            viewed = {"event": "Product Viewed", "properties": {"product_id": item}}
            send(url, "/v1/track", {"userId": "ana", **viewed})
        told = nextbeat("explain", "ana", "--url", url)
        assert told.stdout.count("welcome: sent by email") == 1
    with serving(shop, data) as url:
        listed = nextbeat("catalogue", "list", "--url", url, "--json")
        assert json.loads(listed.stdout)["kinds"]["products"] == 2
        shown = nextbeat("catalogue", "show", "p1", "--kind", "products", "--url", url)
        assert json.loads(shown.stdout)["fields"]["price"] == 89.5
    checked = nextbeat("verify", "--data", data)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


@pytest.mark.slow
def test_lines_that_can_not_be_read_are_named_and_keep_others_from_being_removed(
    tmp_path: Path,
) -> None:
    shop = write_shop(tmp_path)
    with serving(shop, tmp_path / "data") as url:
        whole = write(tmp_path, "products.csv", PRODUCTS)
        assert nextbeat("catalogue", "load", whole, "--kind", "products", "--url", url).stdout
        feed = write(tmp_path, "next.ndjson", '{"id": "p3"}\n{"price": 4}\n')
        arguments = ("catalogue", "load", feed, "--kind", "products", "--replace", "--url", url)
        loaded = nextbeat(*arguments)
        assert loaded.returncode == 1
        assert loaded.stdout == "1 items stored, 0 as they were, 0 removed\n"
        assert f"{feed}:2: id: expected id or product_id or sku" in loaded.stderr
        assert "nothing was removed" in loaded.stderr
        write(tmp_path, "next.ndjson", '{"id": "p3"}\n')
        loaded = nextbeat(*arguments)
        assert (loaded.returncode, loaded.stdout) == (
            0,
            "0 items stored, 1 as they were, 2 removed\n",
        )
        removed = nextbeat("catalogue", "remove", "p3", "--kind", "products", "--url", url)
        assert removed.stdout == "p3 was removed\n"
        gone = nextbeat("catalogue", "show", "p3", "--kind", "products", "--url", url)
        assert (gone.returncode, gone.stdout) == (1, "")
        assert "there is no item of this id" in gone.stderr
        unknown = nextbeat("catalogue", "load", feed, "--kind", "prodcts", "--url", url)
        assert "did you mean 'products'?" in unknown.stderr
        unknown = nextbeat("catalogue", "load", feed, "--kind", "nosuch", "--url", url)
        assert "no such kind of items; kinds: content, products, stores" in unknown.stderr


def test_a_file_that_is_not_there_and_a_server_that_is_not_are_told(tmp_path: Path) -> None:
    missing = nextbeat("catalogue", "load", tmp_path / "no.csv", "--kind", "products")
    assert missing.returncode == 2
    feed = write(tmp_path, "products.csv", PRODUCTS)
    url = "http://127.0.0.1:9"
    nobody = nextbeat("catalogue", "load", feed, "--kind", "products", "--url", url)
    assert nobody.returncode == 1
    assert f"no Nextbeat answers at {url}" in nobody.stderr


EVENTS = [
    call("identify", "2026-03-02T08:00:00Z", traits={"email": "ana@example.com"}),
    call(
        "track",
        "2026-03-02T10:30:00Z",
        event="Product Viewed",
        properties={"product_id": "p1"},
    ),
]


@pytest.mark.slow
def test_a_replay_decides_with_the_catalogue_it_is_given_the_same_bytes_each_time(
    tmp_path: Path,
) -> None:
    shop, events = write_shop(tmp_path, CURIOUS), write_events(tmp_path, EVENTS)
    feed = write(tmp_path, "products.csv", PRODUCTS)
    command = ("replay", events, "--workspace", shop, "--decisions", "-")
    told = [
        nextbeat(*command, "--catalogue", f"products={feed}", PYTHONHASHSEED=seed).stdout
        for seed in ("0", "42")
    ]
    assert told[0] == told[1]
    assert [json.loads(line)["outcome"] for line in told[0].splitlines()] == ["send"]
    assert nextbeat(*command).stdout == ""


def test_a_replay_names_lines_of_the_catalogue_it_left_out(tmp_path: Path) -> None:
    shop, events = write_shop(tmp_path, CURIOUS), write_events(tmp_path, EVENTS)
    feed = write(tmp_path, "products.csv", f"{PRODUCTS}p3,x,cheap,shoes\n")
    command = ("replay", events, "--workspace", shop, "--catalogue")
    done = nextbeat(*command, f"products={feed}")
    assert done.returncode == 0
    assert f"{feed}: line 4: price: expected a number" in done.stderr
    wrong = nextbeat(*command, f"prodcts={feed}")
    assert wrong.returncode == 2
    assert "one of these kinds: products, stores, content" in wrong.stderr

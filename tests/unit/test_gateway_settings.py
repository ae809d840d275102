"""Keys and addresses: who may listen where, and what opens the door."""

from base64 import b64encode

import pytest

from adapters.gateway.auth import KeyRing
from adapters.gateway.grants import Scope, first_key, hash_key, name_key, read_grants
from adapters.gateway.settings import GatewaySettings, SettingsError, hash_keys

KEYS = {"NEXTBEAT_WRITE_KEYS": " one, two ,,", "NEXTBEAT_ADMIN_KEYS": "three"}


def test_keys_come_from_the_environment_and_are_kept_as_hashes() -> None:
    settings = GatewaySettings.from_environment(KEYS, host="0.0.0.0", port=8080)
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)
    assert settings.write_keys == hash_keys("two,one")
    assert settings.admin_keys == hash_keys("three")
    assert "one" not in repr(settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "shop.example"])
@pytest.mark.parametrize("missing", ["NEXTBEAT_WRITE_KEYS", "NEXTBEAT_ADMIN_KEYS"])
def test_listening_to_others_without_keys_is_refused(host: str, missing: str) -> None:
    with pytest.raises(SettingsError, match=missing) as caught:
        GatewaySettings.from_environment(KEYS | {missing: " , "}, host=host)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_this_machine_no_keys_are_needed(host: str) -> None:
    assert GatewaySettings.from_environment({}, host=host).write_keys == frozenset()


def test_an_admin_key_may_have_a_name_and_a_scope() -> None:
    text = "plain, ops:admin:s:1, desk:masked:m-1, , half:way, :read:r-1, odd:scope:k"
    grants = read_grants(text)
    named = {key: grants[hash_key(key)] for key in ("s:1", "m-1", "half:way", "odd:scope:k")}
    assert {key: (one.name, one.scope) for key, one in named.items()} == {
        "s:1": ("ops", Scope.ADMIN),
        "m-1": ("desk", Scope.MASKED),
        "half:way": (name_key(hash_key("half:way")), Scope.ADMIN),
        "odd:scope:k": (name_key(hash_key("odd:scope:k")), Scope.ADMIN),
    }
    assert grants[hash_key("r-1")].scope is Scope.READ
    assert len(grants) == 6
    assert grants[hash_key("plain")].name == name_key(hash_key("plain"))
    assert "plain" not in name_key(hash_key("plain"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [("one,two", "one"), ("d:masked:m, o:admin:a", "a"), ("d:read:r", "r"), (" , ", "")],
)
def test_a_command_shows_the_first_key_that_allows_everything(text: str, shown: str) -> None:
    assert first_key(text) == shown


def test_the_parser_without_extensions_is_refused() -> None:
    with pytest.raises(SettingsError, match="AIOHTTP_NO_EXTENSIONS"):
        GatewaySettings.from_environment({"AIOHTTP_NO_EXTENSIONS": "1"})


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        (None, None),
        ("", None),
        ("nonsense", None),
        ("Digest one", None),
        ("Bearer one", True),
        ("bearer  one ", True),
        ("Bearer other", None),
        ("Bearer \udcff", None),
        (basic("one:"), True),
        (basic("one"), True),
        (basic("site:two"), True),
        (basic("other:"), False),
        (basic(":"), None),
        ("Basic", None),
        ("Basic %%%", False),
        ("Basic \udcff", False),
        ("Basic " + "A" * 100_000, False),
    ],
)
def test_a_header_opens_the_door_or_not_and_says_so_twice(
    header: str | None, *, verdict: bool | None
) -> None:
    ring = KeyRing(hash_keys("one,two"))
    assert [ring.judge(header), ring.judge(header)] == [verdict, verdict]


def test_a_flood_of_headers_is_forgotten() -> None:
    ring = KeyRing(hash_keys("one"))
    for number in range(5_000):
        assert ring.judge(basic(f"{number}:")) is False
    assert len(ring) <= 1_024
    assert ring.judge(basic("one:")) is True


@pytest.mark.parametrize("key", [None, "", 7, ["one"], "other", "\ud800"])
def test_what_is_no_key_opens_nothing(key: object) -> None:
    assert not KeyRing(hash_keys("one")).admits(key)
    assert KeyRing(frozenset()).admits(key)

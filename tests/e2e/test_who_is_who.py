"""Who is who over HTTP: asked, merged by hand, and made two again."""

from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from actors.memory import MemoryStore
from actors.rows import ActQuery
from actors.runtime import Runtime
from tests.e2e.gateway_host import Served, call
from tests.e2e.test_ingest_runtime import whole

Shard = tuple[Served, Runtime]
AT_HOME = {"defaults": {"country": "ZA"}}


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    async with whole(MemoryStore()) as (served, runtime):
        for number, user in enumerate(("u1", "u2", "a/3")):
            body = call(messageId=f"m{number}", userId=user, anonymousId=f"anon-{user}")
            (await served.send("/v1/track", body)).accepted()
        yield served, runtime


async def test_whose_an_identity_is(shard: Shard) -> None:
    served, _ = shard
    found = await served.send("/v1/identities/anonymous_id/anon-a%2F3", method="GET")
    assert found.said["customer"] == "a/3"
    unknown = await served.send("/v1/identities/email/nobody@b.example", method="GET")
    assert (unknown.status, unknown.said["code"]) == (404, "not_found")


IDENTITY = {
    "rules": [{"same": "email"}, {"same": ["first_name", "phone"]}],
    "namespaces": {"phone": {}, "passport": {"hash": True}},
}


async def test_an_identity_is_asked_for_as_people_write_it() -> None:
    async with whole(MemoryStore(), source={"identity": IDENTITY, **AT_HOME}) as (served, _):
        traits = {"email": "Ana@Example.com", "phone": "082 123 4567", "passport": "X 1"}
        said = {"type": "identify", "userId": "ana", "traits": traits}
        (await served.send("/v1/identify", said)).accepted()
        kept = sha256(b"X 1").hexdigest()
        for path, value in (
            ("email/ANA%40example.COM", "ana@example.com"),
            ("phone/+27%2082%20123%204567", "+27821234567"),
            ("phone/0821234567", "+27821234567"),
            ("passport/%20X%201", kept),
            (f"passport/{kept.upper()}", kept),
            ("user_id/ana", "ana"),
        ):
            found = await served.send(f"/v1/identities/{path}", method="GET")
            assert (found.said.get("customer"), found.said.get("value")) == ("ana", value), path
        for path, told in (
            ("emial/ana@example.com", "did you mean 'email'?"),
            ("zzz/1", "namespaces: anonymous_id, email, passport, phone, user_id"),
            ("first_name/ana", "only together with others"),
            ("email/none", "nobody's"),
            ("user_id/bob", "nobody's"),
            ("user_id/anon:7", "nobody's"),
            ("anonymous_id/ana", "nobody's"),
        ):
            refused = await served.send(f"/v1/identities/{path}", method="GET")
            assert refused.status == 404
            assert told in refused.said["message"], path


async def test_a_name_is_whose_it_became(shard: Shard) -> None:
    served, _ = shard
    visit = call(messageId="m9", userId=None, anonymousId="visitor")
    (await served.send("/v1/track", visit)).accepted()
    found = await served.send("/v1/identities/anonymous_id/visitor", method="GET")
    assert found.said["customer"] == "anon:visitor"
    (await served.send("/v1/customers/u1/merge/u2", b"")).accepted()
    (await served.send("/v1/customers/a%2F3/merge/u1", b"")).accepted()
    for path in ("user_id/u2", "user_id/u1", "anonymous_id/anon-u2"):
        found = await served.send(f"/v1/identities/{path}", method="GET")
        assert found.said["customer"] == "a/3", path


async def test_customers_are_merged_and_parted_by_hand(shard: Shard) -> None:
    served, runtime = shard
    (await served.send("/v1/customers/u1/merge/a%2F3", b"")).accepted()
    shown = (await served.send("/v1/customers/a%2F3", method="GET")).said
    assert (shown["customer"], shown["merged"]) == ("u1", ["a/3"])
    assert {one["value"] for one in shown["identities"]} >= {"anon-u1", "anon-a/3", "a/3"}
    again = await served.send("/v1/customers/u2/merge/a%2F3", b"")
    assert (again.status, again.said["code"]) == (400, "merged")
    (await served.send("/v1/customers/u1/unmerge/a%2F3", b"")).accepted()
    shown = (await served.send("/v1/customers/a%2F3", method="GET")).said
    assert (shown["customer"], shown["apart"]) == ("a/3", ["u1"])
    assert await runtime.resolve("anonymous_id", "anon-a/3") == "a/3"
    acts = [(row.act, row.subject, row.detail) for row in await runtime.store.acts(ActQuery())]
    assert acts == [("unmerged", "u1", "a/3"), ("merged", "u1", "a/3")]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("u1/merge/u9", 404, "not_found"),
        ("u1/merge/u1", 400, "same_customer"),
        ("u1/unmerge/u2", 400, "not_merged"),
        ("u1/merge/" + "x" * 300, 400, "bad_id"),
    ],
)
async def test_what_can_not_be_is_explained(
    shard: Shard, path: str, status: int, code: str
) -> None:
    served, _ = shard
    (await served.send(f"/v1/customers/{path}", b"")).refused(status, code)


async def test_a_merge_is_counted(shard: Shard) -> None:
    served, _ = shard
    (await served.send("/v1/customers/u1/merge/u2", b"")).accepted()
    assert (
        "nextbeat_merges_total 1.0" in (await served.send("/metrics", method="GET")).body.decode()
    )

"""Everything there is about a customer: whole, noted, and the same from server and folder."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest

from actors.memory import MemoryStore
from actors.rows import ActQuery
from adapters.gateway import dossier
from adapters.gateway.dossier import Dossier
from adapters.gateway.export import routes
from adapters.gateway.grants import read_grants
from adapters.inbox import Inbox, InboxMessage
from engine.events import ReceiptStatus
from engine.profile import Profile
from tests.e2e.command_line import SHOP, nextbeat, write_shop
from tests.e2e.gateway_host import OPEN, call
from tests.e2e.reading_host import NOW, serve
from tests.e2e.test_cli_serve import ANYTIME, send, serving
from tests.e2e.test_ingest_runtime import whole
from tests.shards import Shard

INBOX = ANYTIME.replace("message_types:", "  in_app: {adapter: inbox}\nmessage_types:").replace(
    "channels: [email]", "channels: [email, in_app]"
)
MERGING = """registries:
  za: {file: list.txt, channels: [email], max_age: 30d}
segments:
  gold: profile.plan == "gold"
traits:
  looked: {count: Looked}
message_types:"""


async def document(shard: Shard, user: str, inbox: Inbox | None = None) -> dict[str, Any]:
    """Export a customer of a shard."""
    runtime = shard.runtime
    profile = await shard.profile(user)
    customer = profile, await runtime.history(profile)
    made = Dossier(shard.store, runtime.program, customer, now=shard.clock.now(), inbox=inbox)
    written = b"".join([piece async for piece in made.pieces()])
    return dict(json.loads(written))


async def told_story() -> Shard:
    """Let u1 buy, get a message, open it, and withdraw."""
    shard = await Shard().start()
    await shard.submit(shard.known("u1"), shard.known("u2"))
    await shard.submit(shard.track("u1", "Buy", order="o-1"))
    [sent] = shard.email.taken
    await shard.submit(shard.receipt("u1", sent.message_id, ReceiptStatus.OPENED))
    await shard.submit(shard.consent("u1", "withdrawn"))
    await shard.submit(shard.track("u1", "Later"))
    return shard


async def test_all_there_is_stands_in_the_document() -> None:
    shard = await told_story()
    told = await document(shard, "u1")
    assert told["complete"] is True
    assert told["export"]["customer"] == "u1"
    assert told["profile"]["traits"]["email"] == "u1@example.com"
    assert told["state"]["traits"] == told["profile"]["traits"]
    assert told["profile"]["journeys"][0]["journey"] == "later"
    [statement] = told["consents"]
    assert (statement["purpose"], statement["status"]) == ("marketing", "withdrawn")
    [message] = told["messages"]
    assert message["address"] == "u1@example.com"
    assert message["content"]["body"] == "b"
    assert message["state"] == "sent"
    assert [one["status"] for one in message["receipts"]] == ["opened", "accepted"]
    [decision] = told["decisions"]
    assert decision["decision_id"] == message["decision_id"]
    assert decision["trace"]
    inputs = [(entry["kind"], entry["name"]) for entry in told["history"]]
    assert inputs == [
        ("event", "Later"),
        ("event", "Consent Stated"),
        ("receipt", "opened"),
        ("receipt", "accepted"),
        ("event", "Buy"),
        ("event", "Identified"),
    ]
    assert told["history"][4]["input"]["properties"] == {"order": "o-1"}
    assert "u2" not in json.dumps(told)
    await shard.runtime.stop()


async def test_a_history_longer_than_any_portion_is_there_to_its_first_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dossier, "_PORTION", 3)
    shard = await Shard().start()
    await shard.submit(shard.known("u1"))
    for _ in range(10):
        await shard.submit(*[shard.track("u1", "Pay") for _ in range(50)])
    told = await document(shard, "u1")
    assert len([one for one in told["history"] if one["kind"] == "event"]) == 501
    assert told["history"][-1]["name"] == "Identified"
    seqs = [entry["seq"] for entry in told["history"]]
    assert seqs == sorted(seqs, reverse=True)
    assert len({one["message_id"] for one in told["messages"]}) == 500
    assert len(told["decisions"]) == 500
    await shard.runtime.stop()


async def test_of_who_was_anonymous_first_the_time_before_is_there_too() -> None:
    shard = await Shard().start()
    await shard.submit(shard.anonymous("a-1", "Looked"), shard.anonymous("a-1", "Compared"))
    await shard.submit(shard.identify("u1", anonymous="a-1", email="u1@example.com"))
    await shard.submit(shard.track("u1", "Bought"))
    told = await document(shard, "u1")
    names = [(entry["kind"], entry["name"]) for entry in told["history"]]
    events = [name for kind, name in names if kind == "event"]
    assert events == ["Bought", "Identified", "Compared", "Looked"]
    assert ("merged", "anon:a-1") in names
    assert told["export"]["also"] == ["anon:a-1"]
    await shard.runtime.stop()


async def test_messages_in_the_inbox_are_there_though_they_were_put_away() -> None:
    shard = await told_story()
    box = Inbox(None, shard.clock.now)
    await box.open()
    for number in range(3):
        content = {"title": f"t{number}"}
        await box.put(InboxMessage(0, f"m_{number}", "u1", "in_app", NOW, content, expires_at=NOW))
    await box.note(["u1"], "m_1", is_dismissed=True)
    told = await document(shard, "u1", box)
    assert [one["content"]["title"] for one in told["inbox"]] == ["t0", "t1", "t2"]
    await box.close()
    await shard.runtime.stop()


async def test_the_export_is_noted_before_it_leaves_and_who_is_unknown_is_not() -> None:
    store = MemoryStore()
    async with whole(store) as (served, _):
        (await served.send("/v1/track", call(anonymousId="a-1"))).accepted()
        answer = await served.send("/v1/customers/a-1/export", method="GET")
        assert answer.status == 200
        assert answer.said["complete"] is True
        assert answer.said["export"]["customer"] == "u1"
        [act] = await store.acts(ActQuery())
        assert (act.act, act.subject, act.detail) == ("exported", "u1", "")
        unknown = await served.send("/v1/customers/nobody/export", method="GET")
        unknown.refused(404, "not_found")
        store.fail_next()
        refused = await served.send("/v1/customers/u1/export", method="GET")
        refused.refused(503, "unavailable")
        assert len(await store.acts(ActQuery())) == 1


async def test_an_export_may_be_had_without_personal_data() -> None:
    async with whole(MemoryStore()) as (served, _):
        traits = {"email": "zoe@example.com", "firstName": "Zoe", "plan": "gold"}
        said = {"type": "identify", "userId": "u1", "traits": traits}
        (await served.send("/v1/identify", said)).accepted()
        answer = await served.send("/v1/customers/u1/export?mask=1", method="GET")
        assert b"zoe" not in answer.body.lower()
        assert answer.said["profile"]["traits"] == {
            "email": "[email]", "firstName": "[firstName]", "plan": "gold"
        }  # fmt: skip
        assert answer.said["history"][0]["input"]["traits"]["plan"] == "gold"


async def test_the_proof_of_a_consent_is_shown_only_to_who_may_see_personal_data() -> None:
    grants = read_grants("ops:admin:a-1, desk:masked:m-1")
    settings = msgspec.structs.replace(OPEN, admin_keys=frozenset(grants), grants=grants)
    admin, desk = {"Authorization": "Bearer a-1"}, {"Authorization": "Bearer m-1"}
    async with whole(MemoryStore(), settings) as (served, _):
        said = {"userId": "u1", "purpose": "marketing", "status": "granted", "proof": "Zoe Smith"}
        (await served.send("/v1/consent", said)).accepted()
        for path in ("", "/timeline", "/export"):
            shown = await served.send(f"/v1/customers/u1{path}", method="GET", headers=admin)
            assert b"Zoe Smith" in shown.body, path
            for query, key in (("?mask=1", admin), ("", desk)):
                hidden = await served.send(
                    f"/v1/customers/u1{path}{query}", method="GET", headers=key
                )
                assert b"Zoe" not in hidden.body, path
                assert b'"proof":"[proof]"' in hidden.body, path


async def test_without_the_admin_key_nothing_is_exported() -> None:
    async with serve(routes) as served:
        served.runtime.profiles["u1"] = Profile("u1")
        await served.get("/v1/customers/u1/export", 401, {"X-Other": "1"})


@pytest.mark.slow
def test_server_and_folder_give_the_same_and_the_file_is_its_owners(tmp_path: Path) -> None:
    shop, data, out = write_shop(tmp_path, INBOX), tmp_path / "data", tmp_path / "ana.json"
    with serving(shop, data) as url:
        send(url, "/v1/identify", {"userId": "ana", "traits": {"email": "a@b.co"}})
        send(url, "/v1/track", {"userId": "ana", "event": "Signed Up"})
        send(url, "/v1/consent", {"userId": "ana", "purpose": "marketing", "status": "denied"})
        done = nextbeat("export", "ana", "--url", url, "--out", out)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{out} holds all there is about ana\n"
        assert out.stat().st_mode & 0o777 == 0o600
        in_use = nextbeat("export", "ana", "--data", data)
        assert in_use.returncode == 1
        assert "--url" in in_use.stderr
        timeline = nextbeat("timeline", "ana", "--url", url)
        missing = nextbeat("export", "nobody", "--url", url, "--out", tmp_path / "none.json")
        assert missing.returncode == 1
        assert not list(tmp_path.glob("none*"))
    live = json.loads(out.read_text(encoding="utf-8"))
    done = nextbeat("export", "ana", "--data", data)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["export"].pop("at") != live["export"].pop("at")
    assert told.keys() == live.keys()
    for section in ("export", "state", "consents", "messages", "decisions", "history", "inbox"):
        assert told[section] == live[section], section
    assert live["messages"][0]["address"] == "a@b.co"
    acts = json.loads(nextbeat("acts", "--data", data, "--act", "exported", "--json").stdout)
    assert [(one["who"], one["subject"]) for one in acts] == [
        ("command line", "ana"),
        ("anybody on this machine", "ana"),
    ]
    assert json.loads(nextbeat("export", "ana", "--data", data, "--out", "-").stdout)["complete"]
    assert not Path("-").exists()
    again = nextbeat("timeline", "ana", "--data", data)
    assert again.stdout == timeline.stdout


@pytest.mark.slow
def test_a_timeline_says_why_customers_were_made_one_or_were_not(tmp_path: Path) -> None:
    shop = write_shop(tmp_path, f"{SHOP}identity: {{rules: [{{same: email}}]}}\n")
    with serving(shop, tmp_path / "data") as url:
        for who in ({"userId": "ana"}, {"userId": "bob"}, {"anonymousId": "a-1"}):
            send(url, "/v1/identify", {**who, "traits": {"email": "ana@example.com"}})
        statement = {"purpose": "marketing", "channel": "email", "status": "granted"}
        send(url, "/v1/consent", {"userId": "ana", **statement})
        told = nextbeat("timeline", "ana", "--url", url).stdout.splitlines()
    lines = {line.partition("  ")[2]: after for line, after in pairwise(told) if line[:1] != " "}
    assert "one customer would have 2 user ids, 1 are allowed" in lines["refused  bob"]
    assert lines["merged  anon:a-1"].startswith("    because ")
    assert "event  Consent Stated · email" in lines


@pytest.mark.slow
def test_a_timeline_reads_as_a_story_and_hides_who_it_is_about(tmp_path: Path) -> None:
    shop, data = write_shop(tmp_path, SHOP), tmp_path / "data"
    with serving(shop, data) as url:
        at = "2026-03-02T18:30:00Z"
        for number, plan in enumerate(("free", "gold")):
            traits = {"email": "ana@example.com", "plan": plan}
            said: dict[str, object] = {"userId": "ana", "messageId": f"i{number}", "timestamp": at}
            said["traits"] = traits
            send(url, "/v1/identify", said)
        send(url, "/v1/track", {"userId": "ana", "event": "Signed Up", "messageId": "s"})
        told = nextbeat("timeline", "ana", "--url", url)
        shown = nextbeat("timeline", "ana", "--url", url, "--reveal", "--kind", "change")
        as_json = nextbeat("timeline", "ana", "--url", url, "--json", "--name", "plan")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("ana, in the time of Africa/Johannesburg\n")
    assert "trait plan: nothing → free" in told.stdout
    assert "trait plan: free → gold" in told.stdout
    assert "trait email: nothing → [email]" in told.stdout
    assert "ana@example.com" not in told.stdout
    assert "journey onboarding: entered" in told.stdout
    assert told.stdout.index("free → gold") < told.stdout.index("event  Signed Up")
    assert "trait email: nothing → ana@example.com" in shown.stdout
    latest = json.loads(as_json.stdout)[0]
    assert latest["changes"] == [{"of": "trait", "name": "plan", "now": "gold", "was": "free"}]
    assert nextbeat("timeline", "nobody", "--data", data).returncode == 1


def fetch(url: str, path: str) -> tuple[int, dict[str, Any]]:
    """Get from a server; gives the status and what it said."""
    try:
        with urlopen(f"{url}{path}", timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.slow
def test_of_a_merged_customer_both_histories_are_there_until_nothing_is(tmp_path: Path) -> None:
    text = INBOX.replace("message_types:", MERGING).replace("[email, in_app]", "[in_app]")
    text = text.replace("content: {email: ", "content: {in_app: ")
    shop, data = write_shop(tmp_path, text), tmp_path / "data"
    (shop / "list.txt").write_text(f"# as_of: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n")
    with serving(shop, data) as url:
        send(url, "/v1/track", {"anonymousId": "a-1", "event": "Signed Up", "messageId": "m1"})
        traits = {"email": "a@b.co", "plan": "gold"}
        send(url, "/v1/identify", {"userId": "ana", "traits": traits, "messageId": "m2"})
        known: dict[str, object] = {
            "userId": "ana",
            "anonymousId": "a-1",
            "event": "Looked",
            "messageId": "m3",
        }
        send(url, "/v1/track", known)
        status, told = fetch(url, "/v1/customers/a-1/export")
        assert (status, told["complete"]) == (200, True)
        assert (told["export"]["customer"], told["export"]["also"]) == ("ana", ["anon:a-1"])
        entries = [one for one in told["history"] if one["kind"] == "event"]
        events = [(one["customer"], one["name"]) for one in entries]
        assert events == [("ana", "Looked"), ("ana", "Identified"), ("anon:a-1", "Signed Up")]
        profile = told["profile"]
        assert list(profile["segments"]) == ["gold"]
        assert profile["live"]["looked"] == 1
        assert profile["merged"] == ["anon:a-1"]
        assert ("anonymous_id", "a-1") in {
            (one["namespace"], one["value"]) for one in profile["identities"]
        }
        [listing] = told["state"]["listings"].values()
        assert (listing["registry"], listing["listed"]) == ("za", False)
        [message] = told["messages"]
        assert [one["message_id"] for one in told["inbox"]] == [message["message_id"]]
        _, inbox = fetch(url, "/v1/inbox/ana")
        assert [one["message_id"] for one in inbox["messages"]] == [message["message_id"]]
        _, timeline = fetch(url, "/v1/customers/ana/timeline?kind=change&name=gold")
        [entered] = timeline["entries"]
        change = {"of": "segment", "name": "gold", "was": None, "now": "entered"}
        assert change in entered["changes"]
        done = nextbeat("erase", "ana", "--url", url, "--yes")
        assert done.returncode == 0, done.stderr
        for name in ("ana", "a-1", "anon:a-1"):
            assert fetch(url, f"/v1/customers/{name}/export")[0] == 404
        assert fetch(url, "/v1/inbox/ana")[1]["messages"] == []

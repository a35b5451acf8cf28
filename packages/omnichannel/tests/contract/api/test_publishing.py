"""What the API offers around messages: replays, batches, cancelling, dry runs, schedules, content, limits, scopes."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import httpx2
import pytest

from omnichannel.database import Database, Store
from omnichannel.database.keys import ApiKeys, Scope
from omnichannel.database.schedules import Schedules
from omnichannel.database.sealing import Seal
from omnichannel.messages.outcome import Delivered, PermanentFailure

HOOK = {"channel": "webhook", "address": "http://127.0.0.1:9000/hook"}
VALID: Mapping[str, Any] = {"subject": "Launch", "body": "We are live.", "recipients": [HOOK]}
SCHEDULE: Mapping[str, Any] = {"cron": "0 9 * * *", "zone": "Europe/Madrid", "message": VALID}


def pointers(answer: httpx2.Response) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return [error.get("pointer", error.get("parameter")) for error in answer.json().get("errors", [])]


async def fail(database: Database, delivery_id: str, clock: Any) -> None:
    store = Store(database)
    (claim,) = await store.claim([delivery_id], owner="worker", now=clock())
    await store.record(claim, PermanentFailure("HTTP 404"), now=clock())


async def test_the_same_key_and_body_get_the_same_answer(api: httpx2.AsyncClient) -> None:
    key = {"idempotency-key": '"launch-1"'}
    first = await api.post("/v1/messages", json=VALID, headers=key)
    again = await api.post("/v1/messages", json={**VALID, "send_at": None}, headers={"idempotency-key": "launch-1"})
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len((await api.get("/v1/messages")).json()["items"]) == 1


async def test_the_same_key_and_another_body_are_refused(api: httpx2.AsyncClient) -> None:
    await api.post("/v1/messages", json=VALID, headers={"idempotency-key": "k"})
    other = await api.post("/v1/messages", json={**VALID, "subject": "Other"}, headers={"idempotency-key": "k"})
    assert (other.status_code, other.json()["type"]) == (422, "urn:omnichannel:problem:idempotency-key-reused")


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "a\tb"])
async def test_a_key_that_is_none_is_refused(api: httpx2.AsyncClient, key: str) -> None:
    answer = await api.post("/v1/messages", json=VALID, headers={"idempotency-key": key})
    assert (answer.status_code, pointers(answer)) == (400, ["Idempotency-Key"])


async def test_a_refused_request_leaves_its_key_free(api: httpx2.AsyncClient) -> None:
    key = {"idempotency-key": "k"}
    assert (
        await api.post("/v1/messages", json={**VALID, "recipients": [{**HOOK, "address": "x"}]}, headers=key)
    ).is_error
    assert (await api.post("/v1/messages", json=VALID, headers=key)).status_code == 202


async def test_of_two_requests_at_once_one_is_taken(api: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(api.post("/v1/messages", json=VALID, headers={"idempotency-key": "k"}) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len((await api.get("/v1/messages")).json()["items"]) == 1


async def test_a_batch_is_taken_whole_or_not_at_all(api: httpx2.AsyncClient) -> None:
    batch = {"messages": [{**VALID, "subject": str(number)} for number in range(1000)]}
    taken = await api.post("/v1/messages/batch", json=batch, headers={"idempotency-key": "b"})
    assert taken.status_code == 202
    assert len({item["id"] for item in taken.json()["items"]}) == 1000
    again = await api.post("/v1/messages/batch", json=batch, headers={"idempotency-key": "b"})
    assert again.content == taken.content
    wrong = {"messages": [VALID, {**VALID, "recipients": [{**HOOK, "address": "ftp://x"}]}, VALID]}
    refused = await api.post("/v1/messages/batch", json=wrong)
    assert (refused.status_code, pointers(refused)) == (422, ["/messages/1/recipients/0/address"])
    assert (await api.post("/v1/messages/batch", json={"messages": [VALID] * 1001})).status_code == 422
    newest = (await api.get("/v1/messages", params={"limit": 1})).json()["items"][0]["id"]
    assert newest == taken.json()["items"][-1]["id"]


async def test_a_message_is_cancelled_and_says_what_was_too_late(
    api: httpx2.AsyncClient, database: Database, clock
) -> None:
    message = (
        await api.post("/v1/messages", json={**VALID, "recipients": [HOOK, {**HOOK, "address": "http://127.0.0.1:1/"}]})
    ).json()
    await Store(database).claim([message["deliveries"][0]["id"]], owner="worker", now=clock())
    answer = (await api.post(f"/v1/messages/{message['id']}/cancel")).json()
    assert (answer["cancelled"], answer["in_flight"], answer["ended"]) == (1, 1, 0)
    assert [each["status"] for each in answer["message"]["deliveries"]] == ["sending", "cancelled"]
    assert (await api.post("/v1/messages/nothing/cancel")).status_code == 404


async def test_a_dead_letter_is_seen_explained_and_replayed(api: httpx2.AsyncClient, database: Database, clock) -> None:
    message = (await api.post("/v1/messages", json=VALID)).json()
    delivery_id = message["deliveries"][0]["id"]
    assert (await api.post(f"/v1/deliveries/{delivery_id}/retry")).status_code == 409
    await fail(database, delivery_id, clock)
    assert [each["id"] for each in (await api.get("/v1/dead-letters")).json()["items"]] == [delivery_id]
    why = (await api.get(f"/v1/deliveries/{delivery_id}/why")).json()
    assert (why["status"], why["last_error"], why["next_at"]) == ("dead", "HTTP 404", None)
    (attempt,) = (await api.get(f"/v1/deliveries/{delivery_id}/attempts")).json()["items"]
    assert (attempt["number"], attempt["epoch"], attempt["outcome"]) == (1, 1, "permanent")
    replayed = (await api.post("/v1/dead-letters/replay", json={"channel": "webhook"})).json()
    assert replayed == {"replayed": 1, "ids": [delivery_id]}
    assert (await api.get(f"/v1/messages/{message['id']}")).json()["status"] == "in_progress"
    await fail(database, delivery_id, clock)
    assert (await api.post(f"/v1/messages/{message['id']}/retry")).json() == {"retried": 1}
    assert (await api.get("/v1/dead-letters")).json() == {"items": [], "next": None}
    assert (await api.get("/v1/deliveries/nothing/why")).status_code == 404


async def test_a_dry_run_shows_all_and_keeps_nothing(api: httpx2.AsyncClient) -> None:
    limits = {"quiet_hours": {"start": "22:00", "end": "07:00", "zone": "Europe/Madrid"}}
    assert (await api.put("/v1/channels/webhook/limits", json=limits)).status_code == 200
    asked = {
        **VALID,
        "send_at": "2026-03-02T01:00:00Z",
        "recipients": [{**HOOK, "zone": "Asia/Tokyo"}, {"channel": "email", "address": "a@b.c"}],
    }
    answer = await api.post("/v1/messages", json=asked, headers={"prefer": "dry-run"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "dry-run")
    shown = answer.json()
    assert (shown["valid"], [error["pointer"] for error in shown["errors"]]) == (False, ["/recipients/1/channel"])
    first, second = shown["deliveries"]
    assert (first["status"], first["send_at_local"], first["held_until"]) == (
        "scheduled",
        "2026-03-02T10:00:00+09:00",
        None,
    )
    assert (second["status"], second["held_until"], second["sms_segments"]) == ("invalid", None, 1)
    assert (await api.get("/v1/messages")).json()["items"] == []


async def test_lists_are_filtered(api: httpx2.AsyncClient, clock) -> None:
    await api.post("/v1/messages", json=VALID)
    clock.passes(60)
    late = (await api.post("/v1/messages", json=VALID)).json()["id"]

    async def found(**asked: str) -> list[str]:
        return [each["id"] for each in (await api.get("/v1/messages", params=asked)).json()["items"]]

    assert await found(created_from="2026-03-01T12:01:00Z") == [late]
    assert late not in await found(created_before="2026-03-01T12:01:00Z")
    assert len(await found(channel="webhook")) == 2
    assert await found(channel="email") == []


async def test_a_schedule_is_kept_previewed_paused_and_ended(
    api: httpx2.AsyncClient, database: Database, clock
) -> None:
    made = await api.post("/v1/schedules", json=SCHEDULE)
    assert made.status_code == 201
    schedule = made.json()
    path = made.headers["location"]
    assert (schedule["state"], schedule["next_at"]) == ("active", "2026-03-02T08:00:00Z")
    shown = (await api.get(f"{path}/preview", params={"count": 30})).json()["items"]
    assert [shown[0]["local"], shown[-1]["local"]] == ["2026-03-02T09:00:00+01:00", "2026-03-31T09:00:00+02:00"]
    clock.passes(20 * 3600)
    await Schedules(database).fire_due(now=clock())
    (occurrence,) = (await api.get(f"{path}/occurrences")).json()["items"]
    assert (occurrence["nominal_at"], occurrence["state"]) == ("2026-03-02T08:00:00Z", "sent")
    (message,) = (await api.get("/v1/messages", params={"schedule": schedule["id"]})).json()["items"]
    assert (message["id"], message["schedule_id"]) == (occurrence["message_id"], schedule["id"])
    assert (await api.post(f"{path}/pause")).json()["state"] == "paused"
    assert (await api.post(f"{path}/resume")).json()["state"] == "active"
    assert (await api.delete(path)).json()["state"] == "completed"
    assert (await api.post(f"{path}/pause")).status_code == 409
    assert len((await api.get("/v1/schedules", params={"state": "completed"})).json()["items"]) == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"cron": "61 * * * *"}, "/cron"),
        ({"cron": "* * * *"}, "/cron"),
        ({"zone": "Mars/Olympus"}, "/zone"),
        ({"misfire": "panic"}, "/misfire"),
        ({"misfire_limit": 0}, "/misfire_limit"),
        ({"message": {**VALID, "subject": ""}}, "/message/subject"),
        ({"message": {**VALID, "send_at": "2030-01-01T00:00:00Z"}}, "/message/send_at"),
        ({"message": {**VALID, "recipients": [{**HOOK, "address": "ftp://x"}]}}, "/message/recipients/0/address"),
    ],
)
async def test_a_schedule_that_is_wrong_is_refused_by_its_field(api: httpx2.AsyncClient, change, pointer: str) -> None:
    answer = await api.post("/v1/schedules", json={**SCHEDULE, **change})
    assert (answer.status_code, pointers(answer)) == (422, [pointer])


async def test_a_recurrence_is_previewed_before_it_is_used(api: httpx2.AsyncClient) -> None:
    asked = {"cron": "30 2 * * *", "zone": "Europe/Madrid", "after": "2027-03-27T12:00:00Z", "count": 2}
    shown = (await api.post("/v1/schedules/preview", json=asked)).json()["items"]
    assert [each["local"] for each in shown] == ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]


async def test_a_template_is_kept_in_versions_and_a_message_says_which_it_came_of(api: httpx2.AsyncClient) -> None:
    first = {
        "subject": "Hi {{ name }}",
        "body": "Welcome.",
        "variants": {"webhook": {"subject": "w", "body": "{{ name }}!"}},
    }
    assert (await api.put("/v1/templates/welcome", json=first)).json()["version"] == 1
    assert (await api.put("/v1/templates/welcome", json={**first, "body": "Welcome again."})).json()["version"] == 2
    shown = (await api.post("/v1/templates/welcome/preview", json={"variables": {"name": "Ada"}})).json()
    assert (shown["template"], shown["subject"], shown["variants"]["webhook"]["body"]) == (
        "welcome@2",
        "Hi Ada",
        "Ada!",
    )
    use = {"template": {"name": "welcome", "version": 1, "variables": {"name": "Ada"}}, "recipients": [HOOK]}
    message = (await api.post("/v1/messages", json=use)).json()
    assert message["template"] == "welcome@1"
    missing = await api.post("/v1/messages", json={**use, "template": {"name": "welcome"}})
    assert (missing.status_code, pointers(missing)) == (422, ["/template/variables"])
    unknown = await api.post("/v1/messages", json={**use, "template": {"name": "other"}})
    assert pointers(unknown) == ["/template/name"]
    both = await api.post("/v1/messages", json={**use, "subject": "x"})
    assert pointers(both) == ["/subject"]
    broken = await api.put(
        "/v1/templates/welcome", json={**first, "variants": {"webhook": {"subject": "s", "body": "{% if"}}}
    )
    assert (broken.status_code, pointers(broken)) == (422, ["/variants/webhook/body"])
    assert [each["name"] for each in (await api.get("/v1/templates")).json()["items"]] == ["welcome"]
    assert (await api.delete("/v1/templates/welcome")).status_code == 204
    assert (await api.get("/v1/templates/welcome")).status_code == 404


async def test_a_channel_gets_its_own_words(api: httpx2.AsyncClient, database: Database, clock) -> None:
    asked = {**VALID, "variants": {"webhook": {"subject": "short", "body": "s"}}}
    message = (await api.post("/v1/messages", json=asked)).json()
    (claim,) = await Store(database).claim([message["deliveries"][0]["id"]], owner="worker", now=clock())
    assert (claim.subject, claim.body) == ("short", "s")


async def test_an_audience_of_any_size_is_written_to(
    api: httpx2.AsyncClient, database: Database, clock: Callable[[], datetime]
) -> None:
    members = [{"channel": "webhook", "address": f"http://127.0.0.1:9/{each}"} for each in range(2200)]
    assert (await api.put("/v1/audiences/all", json={"recipients": members[:1000]})).status_code == 200
    for start in (1000, 2000):
        added = await api.post("/v1/audiences/all/recipients", json={"recipients": members[start : start + 1000]})
    assert added.json()["members"] == 2200
    first = (await api.get("/v1/audiences/all")).json()
    second = (await api.get("/v1/audiences/all", params={"cursor": first["next"], "limit": 700})).json()
    assert (len(first["recipients"]), len(second["recipients"]), first["members"]) == (1000, 700, 2200)
    asked = {"subject": "s", "body": "b", "audience": "all", "recipients": [HOOK]}
    rehearsed = (await api.post("/v1/messages", json=asked, headers={"prefer": "dry-run"})).json()
    assert (rehearsed["valid"], rehearsed["total"], len(rehearsed["deliveries"])) == (True, 2201, 101)
    taken = await api.post("/v1/messages", json=asked)
    assert (taken.status_code, taken.json()["expansion"]) == (202, {"made": 1, "total": 2201, "done": False})
    store = Store(database)
    while await store.make_piece(now=clock()) is not None:
        pass
    told = (await api.get(f"/v1/messages/{taken.json()['id']}")).json()
    assert told["expansion"] == {"made": 2201, "total": 2201, "done": True}
    assert (len(told["deliveries"]), told["counts"]) == (1000, {"queued": 1, "scheduled": 2200})
    path, query = f"/v1/messages/{told['id']}/deliveries", {"status": "scheduled", "limit": 1000}
    seen: list[str] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = (await api.get(path, params=query | {"cursor": cursor})).json()
        seen += [each["address"] for each in page["items"]]
        cursor = page["next"]
    assert seen == [each["address"] for each in members]
    assert (await api.get(path, params={"channel": "email"})).json() == {"items": [], "next": None}
    gone = await api.delete("/v1/audiences/all/recipients", params=members[0])
    assert (gone.status_code, (await api.get("/v1/audiences/all")).json()["members"]) == (204, 2199)
    assert (await api.post("/v1/audiences/other/recipients", json={"recipients": members[:1]})).status_code == 404
    cancelled = (await api.post(f"/v1/messages/{told['id']}/cancel")).json()
    assert (cancelled["cancelled"], cancelled["in_flight"], cancelled["ended"]) == (2201, 0, 0)


async def test_an_audience_adds_its_members(api: httpx2.AsyncClient) -> None:
    members = [{**HOOK, "address": f"http://127.0.0.1:9000/{number}"} for number in range(3)]
    assert (await api.put("/v1/audiences/team", json={"recipients": members})).status_code == 200
    asked = {"subject": "s", "body": "b", "audience": "team", "recipients": [HOOK, members[0]]}
    message = (await api.post("/v1/messages", json=asked)).json()
    assert [each["address"] for each in message["deliveries"]] == [
        *(each["address"] for each in members),
        HOOK["address"],
    ]
    assert (await api.get("/v1/audiences")).json()["items"][0]["members"] == 3
    assert pointers(await api.post("/v1/messages", json={**asked, "audience": "other"})) == ["/audience"]
    wrong = await api.put("/v1/audiences/team", json={"recipients": [{**HOOK, "address": "x"}]})
    assert pointers(wrong) == ["/recipients/0/address"]
    assert (await api.delete("/v1/audiences/team")).status_code == 204


async def test_an_attachment_goes_along(api: httpx2.AsyncClient, database: Database, clock) -> None:
    made = await api.post(
        "/v1/attachments", params={"name": "a.png"}, content=b"\x89PNG", headers={"content-type": "image/png"}
    )
    assert (made.status_code, made.json()["size"]) == (201, 4)
    attached = made.json()["id"]
    message = (await api.post("/v1/messages", json={**VALID, "attachments": [attached]})).json()
    (claim,) = await Store(database).claim([message["deliveries"][0]["id"]], owner="worker", now=clock())
    assert [(each.name, each.media_type, each.content) for each in claim.attachments] == [
        ("a.png", "image/png", b"\x89PNG")
    ]
    assert pointers(await api.post("/v1/messages", json={**VALID, "attachments": ["x"]})) == ["/attachments/0"]
    large = await api.post("/v1/attachments", params={"name": "b"}, content=b"x" * 300_000)
    heavy = await api.post("/v1/messages", json={**VALID, "attachments": [large.json()["id"]]})
    assert (pointers(heavy), "262144" in heavy.text) == (["/attachments"], True)
    assert (await api.post("/v1/attachments", params={"name": "b"}, content=b"x" * (5 * 2**20 + 1))).status_code == 413
    assert pointers(await api.post("/v1/attachments", params={"name": "../b"}, content=b"x")) == ["name"]


async def test_a_suppressed_address_gets_nothing(api: httpx2.AsyncClient) -> None:
    assert (await api.put("/v1/suppressions", json=HOOK)).status_code == 204
    message = (await api.post("/v1/messages", json=VALID)).json()
    assert (message["status"], message["deliveries"][0]["status"]) == ("failed", "suppressed")
    assert len((await api.get("/v1/suppressions")).json()["items"]) == 1
    assert (await api.delete("/v1/suppressions", params=HOOK)).status_code == 204
    assert (await api.delete("/v1/suppressions", params=HOOK)).status_code == 404


async def test_limits_are_set_and_told(api: httpx2.AsyncClient) -> None:
    asked = {
        "rate_per_s": 5.0,
        "concurrency": 2,
        "daily_quota": 500,
        "quiet_hours": {"start": "22:00", "end": "07:00", "zone": "UTC"},
        "lost_answer": "resend",
    }
    assert (await api.put("/v1/channels/email/limits", json=asked)).json() == asked
    assert (await api.get("/v1/channels/email/limits")).json() == asked
    for wrong, pointer in [
        ({"rate_per_s": 0}, "/rate_per_s"),
        ({"quiet_hours": {"start": "22:00", "end": "22:00"}}, "/quiet_hours"),
        ({"quiet_hours": {"start": "24:00", "end": "1:00"}}, "/quiet_hours/start"),
    ]:
        assert pointer in pointers(await api.put("/v1/channels/email/limits", json=wrong))


async def test_an_endpoint_is_kept_without_showing_its_secret_again(api: httpx2.AsyncClient) -> None:
    made = (await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9000/events"})).json()
    assert made["secret"].startswith("whsec_")
    listed = (await api.get("/v1/webhooks")).json()["items"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert "secret" not in json.dumps(listed)
    assert (await api.post(f"/v1/webhooks/{made['id']}/rotate")).json()["secret"] != made["secret"]
    assert (await api.post(f"/v1/webhooks/{made['id']}/enable")).json()["state"] == "active"
    assert pointers(await api.post("/v1/webhooks", json={"url": "http://10.0.0.1/"})) == ["/url"]
    assert (await api.delete(f"/v1/webhooks/{made['id']}")).status_code == 204


async def test_the_progress_of_a_message_is_streamed(api: httpx2.AsyncClient, database: Database, clock) -> None:
    message = (await api.post("/v1/messages", json=VALID)).json()
    store = Store(database)
    (claim,) = await store.claim([message["deliveries"][0]["id"]], owner="worker", now=clock())
    await store.record(claim, Delivered(), now=clock())
    answer = await api.get(f"/v1/messages/{message['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, end = answer.text.strip().split("\n\n")
    assert json.loads(first.split("data: ")[1])["status"] == "completed"
    assert end.startswith("event: end")
    assert (await api.get("/v1/messages/nothing/events")).status_code == 404
    told = next(line.removeprefix("id: ") for line in answer.text.splitlines() if line.startswith("id: "))
    again = await api.get(f"/v1/messages/{message['id']}/events", headers={"last-event-id": told})
    assert again.text == "event: end\ndata: {}\n\n"


async def test_a_key_does_what_its_scopes_allow(new_client, database: Database, clock) -> None:
    keys = ApiKeys(database)
    rights = {}
    for scope in Scope:
        rights[scope] = {"authorization": f"Bearer {await keys.create(scope, now=clock(), scopes=[scope])}"}
    wanted = [
        ("GET", "/v1/messages", None, set(Scope) - {Scope.WRITE, Scope.CONTENT}),
        ("POST", "/v1/messages", VALID, {Scope.WRITE, Scope.ADMIN}),
        ("PUT", "/v1/templates/t", {"subject": "s", "body": "b"}, {Scope.CONTENT, Scope.ADMIN}),
        ("PUT", "/v1/channels/email/limits", {}, {Scope.ADMIN}),
        ("PUT", "/v1/audiences/preview", {"recipients": []}, {Scope.CONTENT, Scope.ADMIN}),
        ("POST", "/v1/schedules/preview", {"cron": "0 0 * * *"}, {Scope.READ, Scope.ADMIN}),
    ]
    async with new_client(keys=keys) as api:
        for method, path, body, allowed in wanted:
            for scope, headers in rights.items():
                answer = await api.request(method, path, json=body, headers=headers)
                assert (answer.status_code == 403) == (scope not in allowed), (method, path, scope, answer.text)


async def test_what_is_counted_has_no_label_of_the_callers_making(api: httpx2.AsyncClient) -> None:
    await api.post("/v1/messages", json=VALID)
    await api.get("/v1/made/up")
    page = (await api.get("/metrics")).text
    assert "omnichannel_messages_accepted_total" in page
    assert "/v1/made" not in page
    assert 'route="/v1/messages"' in page or 'route="/messages"' in page or 'route=""' in page


class TestWithoutASealingKey:
    @pytest.fixture
    def seal(self) -> Seal:
        return Seal()

    async def test_no_endpoint_is_added(self, api: httpx2.AsyncClient) -> None:
        answer = await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9000/events"})
        assert answer.status_code == 503
        assert "OMNICHANNEL_SEALING_KEY is not set" in answer.json()["detail"]

"""HTML beside the text: handed in with a message, for one channel, or by a template."""

from typing import Any

import httpx2
import pytest

from omnichannel.database import Database, Store
from omnichannel.messages.model import Claim

from .conftest import NOW

HTML = "<p>We are <b>live</b>.</p><script>kept()</script>"
WORDS = {"subject": "Launch", "body": "We are live."}
TO = [{"channel": "webhook", "address": "http://127.0.0.1:9/hook"}]


async def claim_of(database: Database, api: httpx2.AsyncClient, body: dict[str, Any]) -> Claim:
    answer = await api.post("/v1/messages", json={"recipients": TO} | body)
    assert answer.status_code == 202, answer.text
    (claim,) = await Store(database).claim([answer.json()["deliveries"][0]["id"]], owner="w", now=NOW)
    return claim


async def test_a_message_brings_its_html_as_it_is(api: httpx2.AsyncClient, database: Database) -> None:
    assert (await claim_of(database, api, WORDS | {"html": HTML})).html == HTML
    assert (await claim_of(database, api, WORDS)).html is None


async def test_what_a_channel_says_of_its_own_has_its_own_html(api: httpx2.AsyncClient, database: Database) -> None:
    own = {"subject": "Own", "body": "Own words."}
    claim = await claim_of(database, api, WORDS | {"html": HTML, "variants": {"webhook": own | {"html": "<p>o</p>"}}})
    assert (claim.body, claim.html) == ("Own words.", "<p>o</p>")
    claim = await claim_of(database, api, WORDS | {"html": HTML, "variants": {"webhook": own}})
    assert (claim.body, claim.html) == ("Own words.", None)
    claim = await claim_of(database, api, WORDS | {"html": HTML, "variants": {"email": own}})
    assert (claim.body, claim.html) == ("We are live.", HTML)


async def test_a_template_escapes_what_its_variables_hold_in_html_alone(
    api: httpx2.AsyncClient, database: Database
) -> None:
    source = {"subject": "Hi {{ name }}", "body": "Hi {{ name }}", "html": "<p>{{ name }}</p>"}
    answer = await api.put("/v1/templates/hi", json=source)
    assert (answer.status_code, answer.json()["html"]) == (200, source["html"])
    use = {"template": {"name": "hi", "variables": {"name": "<b>Ada</b>"}}}
    claim = await claim_of(database, api, use)
    assert (claim.body, claim.html) == ("Hi <b>Ada</b>", "<p>&lt;b&gt;Ada&lt;/b&gt;</p>")
    shown = await api.post("/v1/templates/hi/preview", json={"variables": {"name": "&"}})
    assert shown.json()["html"] == "<p>&amp;</p>"
    broken = await api.put("/v1/templates/hi", json=source | {"html": "{% if %}"})
    assert broken.json()["errors"][0]["pointer"] == "/html"


@pytest.mark.parametrize("html", ["", "a\0b", "x" * 200_001])
async def test_html_has_its_bounds(api: httpx2.AsyncClient, html: str) -> None:
    answer = await api.post("/v1/messages", json=WORDS | {"recipients": TO, "html": html})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/html"


async def test_a_message_by_a_template_brings_no_html_of_its_own(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/messages", json={"recipients": TO, "template": {"name": "hi"}, "html": HTML})
    assert answer.status_code == 422
    assert "/html" in {error["pointer"] for error in answer.json()["errors"]}


async def test_a_dry_run_says_who_gets_the_html(api: httpx2.AsyncClient) -> None:
    to = [*TO, {"channel": "sms", "address": "+34600123456"}]
    body = WORDS | {"recipients": to, "html": HTML}
    answer = await api.post("/v1/messages", json=body, headers={"prefer": "dry-run"})
    webhook, sms = answer.json()["deliveries"]
    assert webhook["html"] == HTML
    assert sms["html"] is None
    assert "The HTML is left out: the channel carries none." in sms["notes"]


async def test_an_occurrence_of_a_schedule_keeps_the_html(api: httpx2.AsyncClient) -> None:
    message = WORDS | {"recipients": TO, "html": HTML}
    answer = await api.post("/v1/schedules", json={"cron": "0 9 * * *", "zone": "UTC", "message": message})
    assert answer.status_code == 201, answer.text
    assert answer.json()["message"]["html"] == HTML

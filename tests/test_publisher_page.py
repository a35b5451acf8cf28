"""The publisher's page in Chromium, on a platform that runs: written, sent and seen to arrive, without a reload."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect
from tests.browser import DESKTOP, PHONE, Chromium, violations
from tests.conftest import CHECKOUT, Platform, WebhookReceiver

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> &amp; {{7*7}}"
SHOTS = os.environ.get("README_SCREENSHOTS")  # a folder, for whoever wants new pictures


class Moody:
    """A receiver that refuses until it is told to take what comes."""

    def __init__(self) -> None:
        self.taking = threading.Event()
        self.taken: list[str] = []
        moody = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                body = b"" if moody.taking.is_set() else b"the mailbox is <b>full</b>"
                if moody.taking.is_set():
                    moody.taken.append(self.headers["webhook-id"])
                self.send_response(200 if moody.taking.is_set() else 403)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def moody() -> Iterator[Moody]:
    receiver = Moody()
    yield receiver
    receiver.close()


@pytest.fixture
def sent(page: Page) -> list[Request]:
    """What the page has posted to send a message, dry runs left out."""
    requests: list[Request] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/v1/messages") and "prefer" not in request.headers:
            requests.append(request)

    page.on("request", note)
    return requests


@pytest.fixture
def unreloaded(page: Page, platform: Platform) -> Iterator[Page]:
    """The page, opened; it must not be loaded anew, and must ask nobody else for anything."""
    elsewhere: list[str] = []
    page.on("request", lambda request: request.url.startswith(platform.url) or elsewhere.append(request.url))
    page.goto(platform.url)
    page.evaluate("window.stays = true")
    yield page
    assert page.evaluate("window.stays"), "the page was loaded anew"
    assert elsewhere == []


def write(page: Page, subject: str, address: str, *, body: str = "We are live.") -> None:
    page.get_by_label("Subject", exact=True).fill(subject)
    page.get_by_role("textbox", name="Message", exact=True).fill(body)
    page.get_by_role("checkbox", name="Webhook").check()
    page.get_by_label("Webhook URLs").fill(address)


def delivery(page: Page) -> Locator:
    return page.locator("#deliveries .item")


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


def test_a_message_is_written_previewed_sent_once_and_seen_to_arrive(
    unreloaded: Page, sent: list[Request], webhooks: WebhookReceiver
) -> None:
    page, subject = unreloaded, "Written on the page"
    write(page, subject, webhooks.url, body="Dear neighbours,\n\nthe bakery opens on Saturday at eight.\n\nAda")
    shown = page.locator(".shown[data-channel=webhook]")
    expect(shown.locator(".bubble")).to_contain_text("the bakery opens on Saturday")
    expect(shown).to_contain_text(f"Ready {webhooks.url}")
    shoot(page, "page-write")
    page.get_by_role("button", name="Send now").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text(subject)
    expect(delivery(page)).to_contain_text("Delivered")
    expect(page.locator("#message-facts")).to_contain_text("Arrived")
    (arrived,) = webhooks.about(subject)
    assert arrived[1]["body"].startswith("Dear neighbours")
    (request,) = sent
    assert re.fullmatch(r"page-[0-9a-f]{32}", request.headers["idempotency-key"])


def test_an_answer_that_is_lost_does_not_send_the_message_twice(
    unreloaded: Page, sent: list[Request], webhooks: WebhookReceiver
) -> None:
    page, subject, cut = unreloaded, "Sent once", [True]

    def lose(route: Any) -> None:
        if route.request.method == "POST" and "prefer" not in route.request.headers and cut.pop():
            route.fetch()  # it arrives; the answer does not
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/messages", lose)
    write(page, subject, webhooks.url)
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_role("alert").first).to_contain_text("press the button again")
    cut.append(False)
    page.get_by_role("button", name="Send now").click()
    expect(delivery(page)).to_contain_text("Delivered")
    assert len(webhooks.about(subject)) == 1
    assert len(sent) == 2
    assert sent[0].headers["idempotency-key"] == sent[1].headers["idempotency-key"]


def test_a_message_waits_for_a_time_in_another_zone_and_is_cancelled(
    unreloaded: Page, sent: list[Request], webhooks: WebhookReceiver
) -> None:
    page = unreloaded
    write(page, "For later", webhooks.url)
    page.get_by_role("radio", name="Later").check()
    page.get_by_label("Date").fill("2030-07-01")
    page.get_by_label("Time", exact=True).fill("09:30")
    page.get_by_label("Time zone").fill("Asia/Kolkata")
    expect(page.locator("#zone-says")).to_contain_text("04:00 UTC")
    page.get_by_role("button", name="Send at that time").click()
    expect(page.locator("#message-facts")).to_contain_text("Waits for its time")
    assert sent[0].post_data_json["send_at"] == "2030-07-01T04:00:00.000Z"
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    expect(delivery(page)).to_contain_text("Cancelled")
    page.get_by_role("link", name="All messages").click()
    expect(page.get_by_role("link", name="For later")).to_contain_text("Cancelled")
    assert webhooks.about("For later") == []


def test_a_time_that_the_clocks_skip_is_refused(unreloaded: Page, sent: list[Request]) -> None:
    page = unreloaded
    write(page, "Never", "http://127.0.0.1:9/hook")
    page.get_by_role("radio", name="Later").check()
    page.get_by_label("Date").fill("2030-03-31")
    page.get_by_label("Time", exact=True).fill("02:30")
    page.get_by_label("Time zone").fill("Europe/Madrid")
    expect(page.locator("#zone-says")).to_contain_text("does not exist")
    page.get_by_role("button", name="Send at that time").click()
    expect(page.locator("#refusal")).to_contain_text("does not exist")
    assert sent == []


def test_a_delivery_that_failed_is_sent_again(unreloaded: Page, moody: Moody) -> None:
    page = unreloaded
    write(page, "Refused at first", moody.url)
    page.get_by_role("button", name="Send now").click()
    expect(delivery(page)).to_contain_text("Failed")
    delivery(page).get_by_text("What happened").click()
    expect(delivery(page).locator(".attempts")).to_contain_text("HTTP 403: the mailbox is <b>full</b>")
    shoot(page, "page-message")
    page.get_by_role("link", name="Undelivered").click()
    row = page.locator("#undelivered .item", has_text=moody.url)
    expect(row).to_contain_text("the mailbox is <b>full</b>")
    row.get_by_role("link", name="The message").click()
    moody.taking.set()
    page.get_by_role("button", name=f"Try {moody.url} again now").click()
    expect(delivery(page)).to_contain_text("Delivered")
    expect(delivery(page).locator(".attempts li")).to_have_count(0)  # folded away
    assert len(moody.taken) == 1


def test_the_list_moves_by_itself(unreloaded: Page, platform: Platform, webhooks: WebhookReceiver) -> None:
    page = unreloaded
    page.get_by_role("link", name="Messages").click()
    expect(page.locator("#line")).to_have_text("Live")
    body = {"subject": "From elsewhere", "body": "x", "recipients": [{"channel": "webhook", "address": webhooks.url}]}
    answer = page.request.post(f"{platform.url}/v1/messages", data=body)
    assert answer.status == 202
    row = page.get_by_role("link", name="From elsewhere")
    expect(row).to_contain_text("Arrived")
    row.click()
    expect(delivery(page)).to_contain_text("Delivered")


def test_a_schedule_is_made_paused_resumed_and_ended(unreloaded: Page, webhooks: WebhookReceiver) -> None:
    page = unreloaded
    page.get_by_role("link", name="Schedules").click()
    page.get_by_role("link", name="Write a new one").click()
    write(page, "Every Monday", webhooks.url)
    expect(page.get_by_role("radio", name="Repeating")).to_be_checked()
    page.get_by_label("How often").select_option("Every week")
    page.get_by_label("At", exact=True).fill("08:15")
    page.get_by_label("Time zone").fill("America/New_York")
    expect(page.locator("#runs li")).to_have_count(5)
    expect(page.locator("#runs li").first).to_contain_text(re.compile(r"Mon, .* 08:15"))
    page.get_by_role("button", name="Start the schedule").click()
    row = page.locator("#schedules .item", has_text="Every Monday")
    expect(row).to_contain_text("15 8 * * MON on the clock of America/New_York")
    expect(row.locator(".runs li")).to_have_count(3)
    shoot(page, "page-schedules")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("Active")
    row.get_by_role("button", name="End").click()
    page.get_by_role("dialog").get_by_role("button", name="End it").click()
    expect(row).to_contain_text("Ended")


def test_the_keyboard_alone_is_enough(unreloaded: Page, webhooks: WebhookReceiver) -> None:
    page, subject = unreloaded, "By keyboard"

    def tab_to(what: Locator) -> None:
        for _ in range(60):
            if what.evaluate("each => each === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {what}")

    expect(page.get_by_role("checkbox", name="Webhook")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    tab_to(page.get_by_label("Subject", exact=True))
    page.keyboard.type(subject)
    tab_to(page.get_by_role("textbox", name="Message", exact=True))
    page.keyboard.type("No mouse.")
    tab_to(page.get_by_role("checkbox", name="Webhook"))
    page.keyboard.press("Space")
    tab_to(page.get_by_label("Webhook URLs"))
    page.keyboard.type(webhooks.url)
    tab_to(page.get_by_role("button", name="Send now"))
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(delivery(page)).to_contain_text("Delivered")
    tab_to(delivery(page).locator("summary"))
    page.keyboard.press("Enter")
    expect(delivery(page).locator(".attempts")).to_contain_text("Attempt 1")


def test_what_is_missing_is_said_at_its_field(unreloaded: Page) -> None:
    page = unreloaded
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_role("alert").first).to_contain_text("The subject is missing.")
    expect(page.get_by_label("Subject", exact=True)).to_be_focused()
    expect(page.get_by_label("Subject", exact=True)).to_have_attribute("aria-invalid", "true")
    write(page, "Fine", "http://10.0.0.1/secret")
    expect(page.locator(".shown[data-channel=webhook]")).to_contain_text("Cannot be sent")
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("#addresses-webhook-error")).to_contain_text("must not be reached")


def test_hostile_text_stays_text(unreloaded: Page, webhooks: WebhookReceiver) -> None:
    page = unreloaded
    write(page, HOSTILE, f"{webhooks.url}?<script>alert(1)</script>".replace(" ", ""), body=HOSTILE)
    expect(page.locator("#preview .bubble")).to_contain_text(HOSTILE)
    page.get_by_label("Webhook URLs").fill(webhooks.url)
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator("#message-says")).to_contain_text(HOSTILE)
    page.get_by_role("link", name="All messages").click()
    expect(page.locator("#messages .name").first).to_have_text(HOSTILE)
    assert page.locator("main img, main script").count() == 0
    assert "owned" not in page.title().split(" · ")[0]


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")], ids=str
)
def test_everybody_can_read_it(
    browser: Chromium, platform: Platform, webhooks: WebhookReceiver, size: tuple[int, int], scheme: Any
) -> None:
    page = browser.new_page(*size, color_scheme=scheme)
    page.goto(platform.url)
    write(page, "For everybody", f"{webhooks.url}\nhttp://10.0.0.1/secret")
    page.get_by_role("radio", name="Later").check()
    page.get_by_text("More options").click()
    expect(page.locator(".shown")).to_contain_text("Cannot be sent")
    page.get_by_role("button", name="Send at that time").click()
    expect(page.locator("#refusal")).to_be_visible()
    assert_readable(page, size)
    page.get_by_label("Webhook URLs").fill(webhooks.url)
    page.get_by_role("radio", name="Now").check()
    page.get_by_role("button", name="Send now").click()
    expect(delivery(page)).to_contain_text("Delivered")
    delivery(page).get_by_text("What happened").click()
    expect(delivery(page).locator(".attempts")).to_be_visible()
    assert_readable(page, size)
    for section, drawn in [
        ("Messages", "#messages .item"),
        ("Schedules", "#schedules > li"),
        ("Undelivered", "#undelivered > li"),
    ]:
        page.get_by_role("navigation").get_by_role("link", name=section).click()
        expect(page.locator(drawn).first).to_be_visible()
        assert_readable(page, size)
    page.goto(f"{platform.url}/docs")
    page.locator(".operation summary").first.click()
    expect(page.locator(".operation .schema").first).to_be_visible()
    assert_readable(page, size)
    assert page.failures == []  # type: ignore[attr-defined]
    browser.close_pages()


def assert_readable(page: Page, size: tuple[int, int]) -> None:
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "it is wider than the screen"


def test_what_is_typed_before_there_is_anything_to_find_is_found(page: Page, platform: Platform) -> None:
    held: list[Route] = []
    page.route("**/openapi.json", lambda route: held.append(route))
    page.goto(f"{platform.url}/docs")
    page.get_by_label("Find").fill("echo worker")
    while not held:
        page.wait_for_timeout(10)
    held[0].continue_()
    expect(page.locator(".operation:visible")).to_have_count(1)


def test_a_call_is_tried_on_the_page_of_the_api(unreloaded: Page, platform: Platform) -> None:
    page = unreloaded
    page.goto(f"{platform.url}/docs")
    page.evaluate("window.stays = true")
    page.get_by_label("Find").fill("echo worker")
    expect(page.locator(".operation:visible")).to_have_count(1)
    operation = page.locator(".operation:visible")
    operation.locator("summary").first.click()
    operation.get_by_text("Try it").click()
    operation.get_by_label("text").fill("hello")
    operation.get_by_role("button", name="Send GET").click()
    expect(operation.locator("pre")).to_contain_text('"text": "hello"')
    addresses = [task["address"] for task in platform.tasks("worker")]
    assert any(address in operation.locator("pre").inner_text() for address in addresses)


def test_where_keys_are_asked_for_so_does_the_page(
    page: Page, tmp_path: Path, mailbox: tuple[Any, str], webhooks: WebhookReceiver
) -> None:
    platform = Platform(tmp_path / "keys", {"OMNICHANNEL_AUTH": "on", "SMTP_URL": mailbox[1]})
    try:
        platform.up()
        page.goto(platform.url)
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("An API key, please")
        assert violations(page) == []
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Key").fill("omni_wrong")
        dialog.get_by_role("button", name="Use this key").click()
        expect(dialog).to_contain_text("not known")
        dialog.get_by_label("Key").fill(new_key(platform))
        dialog.get_by_role("button", name="Use this key").click()
        write(page, "With a key", webhooks.url)
        page.get_by_role("button", name="Send now").click()
        expect(delivery(page)).to_contain_text("Delivered")
        page.reload()
        expect(delivery(page)).to_contain_text("Delivered")  # the tab has kept it ...
        assert page.evaluate("localStorage.length") == 0  # ... and nobody else
        assert page.context.cookies() == []
    finally:
        platform.clear()


def new_key(platform: Platform) -> str:
    (task, *_) = platform.tasks("api")
    environment = psutil.Process(task["pid"]).environ()
    command = [CHECKOUT / ".venv/bin/omnichannel", "keys", "create", "page"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]

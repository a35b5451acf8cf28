"""Pictures: uploaded before a post that names them, so that nothing is public until all of it is."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from omnichannel.channels.adapter import Adapter
from omnichannel.channels.credentials import Secret
from omnichannel.channels.facebook import Facebook
from omnichannel.channels.graph import Graph
from omnichannel.channels.http_api import HttpApi
from omnichannel.channels.instagram import Instagram
from omnichannel.channels.linkedin import LinkedIn
from omnichannel.messages.model import AttachmentRef, Channel, Claim
from omnichannel.messages.outcome import Accepted, Outcome, PermanentFailure, Throttled, TransientFailure

from .conftest import StartReceiver

MakeClaim = Callable[[Channel, str], Claim]
TOKEN = Secret("TOKEN", "s3cret")
PICTURES = (AttachmentRef("a.jpg", "image/jpeg", b"\xff\xd8a"), AttachmentRef("b.png", "image/png", b"\x89PNGb"))
PAGE, AUTHOR, ACCOUNT = "102030405060708", "urn:li:organization:5515715", "17841400000000000"


@dataclass
class Provider:
    """Answers as Meta and LinkedIn do, but for the paths that end like a key of ``faults``; keeps what it was sent."""

    url: str = ""
    faults: dict[str, tuple[int, object]] = field(default_factory=dict)
    upload_url: str | None = None
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        what = await self._read(request)
        self.asked.append((request.method, request.path_qs, what))
        number = len(self.asked)
        for end, (status, body) in self.faults.items():
            if request.path.endswith(end):
                return web.json_response(body, status=status)
        if request.path == "/rest/images":
            upload = self.upload_url or f"{self.url}/dms-uploads/{number}"
            return web.json_response({"value": {"uploadUrl": upload, "image": f"urn:li:image:C{number}"}})
        if request.path.startswith("/dms-uploads/"):
            return web.Response(status=201)
        if request.path == "/rest/posts":
            return web.Response(status=201, headers={"x-restli-id": "urn:li:share:1"})
        if request.method == "GET":
            return web.json_response({"status_code": "FINISHED"})
        return web.json_response({"id": f"id-{number}"})

    async def _read(self, request: web.Request) -> Any:
        kind = request.content_type
        if kind == "multipart/form-data":
            form = await request.post()
            return {
                name: (value.filename, value.content_type, value.file.read())
                if isinstance(value, web.FileField)
                else value
                for name, value in form.items()
            }
        raw = await request.read()
        return json.loads(raw) if kind == "application/json" else (kind, raw)

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.asked]


@pytest.fixture
async def provider(start_receiver: StartReceiver) -> Provider:
    provider = Provider()
    provider.url = await start_receiver(provider.answer)
    return provider


def graph(url: str) -> Graph:
    return Graph(HttpApi(url, timeout_s=2), version="v23.0", token=TOKEN)


async def sent(adapter: Adapter, claim: Claim) -> Outcome:
    try:
        return await adapter.send(claim)
    finally:
        await adapter.close()


async def test_facebook_gets_pictures_before_the_post_that_names_them(
    provider: Provider, make_claim: MakeClaim
) -> None:
    """Graph API reference, "Page photos", section "Publishing"; Pages API, "Publish a multi-photo post"."""
    claim = replace(make_claim(Channel.FACEBOOK, PAGE), attachments=PICTURES)
    assert await sent(Facebook(graph(provider.url)), claim) == Accepted("id-3")
    first, second, post = provider.asked
    assert [path for _, path, _ in (first, second)] == [f"/v23.0/{PAGE}/photos"] * 2
    assert first[2] == {"published": "false", "source": ("a.jpg", "image/jpeg", b"\xff\xd8a")}
    assert second[2]["source"] == ("b.png", "image/png", b"\x89PNGb")
    assert post[1] == f"/v23.0/{PAGE}/feed"
    assert post[2]["attached_media"] == [{"media_fbid": "id-1"}, {"media_fbid": "id-2"}]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [  # Graph API, "Handling errors"
        (400, {"error": {"code": 324, "message": "Missing or invalid image file"}}, PermanentFailure),
        (400, {"error": {"code": 190, "message": "expired"}}, Throttled),
        (500, {"error": {"code": 1, "message": "unknown"}}, TransientFailure),
        (200, {}, TransientFailure),
    ],
)
async def test_without_its_pictures_nothing_is_posted_on_facebook(
    status: int, body: object, expected: type[Outcome], provider: Provider, make_claim: MakeClaim
) -> None:
    provider.faults["/photos"] = (status, body)
    claim = replace(make_claim(Channel.FACEBOOK, PAGE), attachments=PICTURES)
    assert isinstance(await sent(Facebook(graph(provider.url)), claim), expected)
    assert provider.paths() == [f"/v23.0/{PAGE}/photos"]


@pytest.mark.parametrize(
    ("count", "content"),
    [  # LinkedIn, "Images API", sections "Initialize image upload" and "Upload the image"; "MultiImage API"
        (1, {"media": {"id": "urn:li:image:C1"}}),
        (2, {"multiImage": {"images": [{"id": "urn:li:image:C1"}, {"id": "urn:li:image:C3"}]}}),
    ],
)
async def test_linkedin_gets_pictures_before_the_post_that_names_them(
    count: int, content: object, provider: Provider, make_claim: MakeClaim
) -> None:
    claim = replace(make_claim(Channel.LINKEDIN, AUTHOR), attachments=PICTURES[:count])
    adapter = LinkedIn(HttpApi(provider.url, timeout_s=2), token=TOKEN, version="202510")
    assert await sent(adapter, claim) == Accepted("urn:li:share:1")
    begin, upload, *_, post = provider.asked
    assert begin[:2] == ("POST", "/rest/images?action=initializeUpload")
    assert begin[2] == {"initializeUploadRequest": {"owner": AUTHOR}}
    assert upload == ("PUT", "/dms-uploads/1", ("image/jpeg", b"\xff\xd8a"))
    assert post[2]["content"] == content


@pytest.mark.parametrize(
    ("end", "status", "body", "expected"),
    [  # LinkedIn, "Error handling"
        ("/rest/images", 401, {"code": "REVOKED_ACCESS_TOKEN"}, Throttled),
        ("/rest/images", 400, {"code": "ILLEGAL_ARGUMENT"}, PermanentFailure),
        ("/rest/images", 200, {"value": {}}, TransientFailure),
        ("/rest/images", 200, {"value": 5}, TransientFailure),
        ("/dms-uploads/1", 500, {}, TransientFailure),
        ("/dms-uploads/1", 429, {}, Throttled),
    ],
)
async def test_without_its_pictures_nothing_is_posted_on_linkedin(
    end: str, status: int, body: object, expected: type[Outcome], provider: Provider, make_claim: MakeClaim
) -> None:
    provider.faults[end] = (status, body)
    claim = replace(make_claim(Channel.LINKEDIN, AUTHOR), attachments=PICTURES)
    adapter = LinkedIn(HttpApi(provider.url, timeout_s=2), token=TOKEN, version="202510")
    assert isinstance(await sent(adapter, claim), expected)
    assert "/rest/posts" not in provider.paths()


@pytest.mark.parametrize("url", ["https://linkedin.com.example.com/u", "http://www.linkedin.com/u", "file:///u", "//["])
async def test_the_token_goes_to_linkedin_alone(url: str, provider: Provider, make_claim: MakeClaim) -> None:
    provider.upload_url = url
    claim = replace(make_claim(Channel.LINKEDIN, AUTHOR), attachments=PICTURES)
    adapter = LinkedIn(HttpApi(provider.url, timeout_s=2), token=TOKEN, version="202510")
    assert isinstance(await sent(adapter, claim), TransientFailure)
    assert len(provider.asked) == 1


def with_images(make_claim: MakeClaim, count: int) -> Claim:
    lines = "\n".join(f"https://media.example.com/{number}.jpg" for number in range(count))
    return replace(make_claim(Channel.INSTAGRAM, ACCOUNT), subject="Launch", body=f"{lines}\nWe are live.")


async def test_several_pictures_become_a_carousel(provider: Provider, make_claim: MakeClaim) -> None:
    """Instagram Platform, "Content publishing", section "Carousel posts"."""
    adapter = Instagram(graph(provider.url), look_every_s=0.001)
    assert isinstance(await sent(adapter, with_images(make_claim, 2)), Accepted)
    made = [what for method, path, what in provider.asked if path.endswith("/media")]
    assert made == [
        {"image_url": "https://media.example.com/0.jpg", "is_carousel_item": True},
        {"image_url": "https://media.example.com/1.jpg", "is_carousel_item": True},
        {"media_type": "CAROUSEL", "children": "id-1,id-2", "caption": "Launch\n\nWe are live."},
    ]
    assert provider.asked[-1][1:] == (f"/v23.0/{ACCOUNT}/media_publish", {"creation_id": "id-5"})


def test_a_carousel_has_room_for_ten(make_claim: MakeClaim) -> None:
    rendered = Instagram(graph("http://127.0.0.1:9")).render("Launch", with_images(make_claim, 12).body)
    assert rendered.text == "Launch\n\nWe are live."
    assert rendered.notes == (
        "There are 10 images, which become a carousel.",
        "A carousel holds 10 images; 2 were cut.",
    )


async def test_a_container_that_is_never_ready_is_asked_a_bounded_number_of_times(
    provider: Provider, make_claim: MakeClaim
) -> None:
    provider.faults["/id-1"] = (200, {"status_code": "IN_PROGRESS"})
    adapter = Instagram(graph(provider.url), look_every_s=0.001)
    assert isinstance(await sent(adapter, with_images(make_claim, 1)), TransientFailure)
    assert provider.paths().count("/v23.0/id-1?fields=status_code") == 12
    assert not [path for path in provider.paths() if path.endswith("media_publish")]

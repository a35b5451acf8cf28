"""What SES and SNS tell by a topic, signed as SNS signs, over HTTP and on both databases."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from fastapi import FastAPI

from omnichannel.api.receipts import Noting, sns_routes
from omnichannel.api.refusals import add_refusals
from omnichannel.channels.sns_messages import SnsMessages
from omnichannel.database import Database, Store
from omnichannel.database.receipts import Receipts
from omnichannel.messages.model import Channel, NewMessage, Recipient
from omnichannel.messages.outcome import Accepted

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem"
SUBSCRIBE_URL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=b"


class Amazon:
    """Signs as SNS does, and serves what it is asked for."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.fetched: list[str] = []
        self.is_away = False
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
        )
        self.pem = certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    async def fetch(self, url: str) -> bytes:
        if self.is_away:
            raise OSError("away")
        self.fetched.append(url)
        return self.pem if url == CERTIFICATE_URL else b"<ConfirmSubscriptionResponse/>"

    def signed(self, text: object, *, kind: str = "Notification", version: str = "1", **changes: Any) -> dict[str, Any]:
        """Return a message; "Verifying the signatures of Amazon SNS messages" says what of it is signed, and how."""
        fields = {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": text if isinstance(text, str) else json.dumps(text),
            "Timestamp": "2030-01-01T09:00:00.000Z",
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE_URL,
        }
        if kind != "Notification":
            fields |= {"Token": "b", "SubscribeURL": SUBSCRIBE_URL}
        fields |= changes
        names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        plain = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        return {"Signature": b64encode(self.key.sign(plain.encode(), padding.PKCS1v15(), algorithm)).decode()} | fields


@pytest.fixture(scope="module")
def key() -> Amazon:
    return Amazon()


@pytest.fixture
def amazon(key: Amazon) -> Amazon:
    key.fetched.clear()
    key.is_away = False
    return key


@pytest.fixture
async def api(database: Database, amazon: Amazon) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    noting = Noting(Receipts(database), clock=lambda: NOW, look_again_s=0)
    app.include_router(sns_routes(noting, SnsMessages([TOPIC], amazon.fetch)), prefix="/v1/receipts")
    add_refusals(app)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api") as client:
        yield client


async def tell(api: httpx2.AsyncClient, message: object) -> int:
    content = message if isinstance(message, (str, bytes)) else json.dumps(message)
    headers = {"content-type": "text/plain; charset=UTF-8"}  # as SNS sends it
    return (await api.post("/v1/receipts/sns", content=content, headers=headers)).status_code


async def sent(database: Database, channel: Channel, address: str, provider_id: str) -> str:
    store = Store(database)
    message = await store.accept(NewMessage(subject="s", body="b", recipients=(Recipient(channel, address),)), now=NOW)
    (claim,) = await store.claim([each.id for each in message.deliveries], owner="w", now=NOW)
    assert await store.record(claim, Accepted(provider_id), now=NOW)
    return message.id


async def status(database: Database, message_id: str) -> tuple[str, str | None]:
    (delivery,) = (await Store(database).find_message(message_id)).deliveries
    return delivery.status.value, delivery.last_error


async def is_suppressed(database: Database, channel: Channel, address: str) -> bool:
    new = NewMessage(subject="s", body="b", recipients=(Recipient(channel, address),))
    (message,) = await Store(database).prepare([new], now=NOW)
    return message.deliveries[0].status == "suppressed"


def ses(kind: str, **part: object) -> dict[str, object]:
    """Amazon SES, "Contents of event data that Amazon SES publishes to Amazon SNS"."""
    mail = {"timestamp": "2030-01-01T09:00:00.000Z", "messageId": "ses-1", "destination": ["ada@example.com"]}
    return {"eventType": kind, "mail": mail} | part


BOUNCE = {
    "bounceType": "Permanent",
    "bounceSubType": "General",
    "bouncedRecipients": [{"emailAddress": "ada@example.com", "status": "5.1.1", "diagnosticCode": "smtp; 550 no"}],
}


@pytest.mark.parametrize("version", ["1", "2"])
async def test_an_email_has_arrived(version: str, api: httpx2.AsyncClient, database: Database, amazon: Amazon) -> None:
    message_id = await sent(database, Channel.EMAIL, "ada@example.com", "ses-1")
    for kind in ("Send", "DeliveryDelay", "Open"):
        assert await tell(api, amazon.signed(ses(kind), version=version)) == 204
    assert await status(database, message_id) == ("accepted", None)
    for _ in range(2):
        assert await tell(api, amazon.signed(ses("Delivery"), version=version)) == 204
    assert await status(database, message_id) == ("delivered", None)
    assert amazon.fetched == [CERTIFICATE_URL]


@pytest.mark.parametrize(("kind", "suppressed"), [("Permanent", True), ("Transient", False)])
async def test_an_email_has_bounced_in_the_providers_words(
    kind: str, suppressed: bool, api: httpx2.AsyncClient, database: Database, amazon: Amazon
) -> None:
    message_id = await sent(database, Channel.EMAIL, "ada@example.com", "ses-1")
    bounce = BOUNCE | {"bounceType": kind}
    assert await tell(api, amazon.signed(ses("Delivery"))) == 204
    assert await tell(api, amazon.signed(ses("Bounce", bounce=bounce), Subject="Amazon SES Email Event")) == 204
    words = f"SES told of a bounce, {kind}/General: smtp; 550 no"
    assert await status(database, message_id) == ("bounced", words)
    assert await is_suppressed(database, Channel.EMAIL, "ada@example.com") == suppressed
    assert await tell(api, amazon.signed(ses("Delivery"))) == 204  # too late: it changes nothing
    assert await status(database, message_id) == ("bounced", words)


async def test_a_feedback_notification_says_the_same(
    api: httpx2.AsyncClient, database: Database, amazon: Amazon
) -> None:
    """Amazon SES, "Amazon SNS notification contents": another name for the kind."""
    message_id = await sent(database, Channel.EMAIL, "ada@example.com", "ses-1")
    told = {"notificationType": "Bounce", "mail": {"messageId": "ses-1"}, "bounce": BOUNCE}
    assert await tell(api, amazon.signed(told)) == 204
    assert (await status(database, message_id))[0] == "bounced"


async def test_who_complains_is_not_written_to_again(
    api: httpx2.AsyncClient, database: Database, amazon: Amazon
) -> None:
    message_id = await sent(database, Channel.EMAIL, "ada@example.com", "ses-1")
    complaint = {"complaintFeedbackType": "abuse"}
    assert await tell(api, amazon.signed(ses("Complaint", complaint=complaint))) == 204
    assert await status(database, message_id) == ("accepted", None)
    assert await is_suppressed(database, Channel.EMAIL, "ada@example.com")


@pytest.mark.parametrize(
    ("told", "expected"),
    [  # Amazon SNS, "Viewing Amazon CloudWatch metrics and logs for SMS deliveries"
        ({"status": "SUCCESS", "delivery": {"providerResponse": "Message has been accepted"}}, ("delivered", None)),
        (
            {"status": "FAILURE", "delivery": {"providerResponse": "Unknown error attempting to reach phone"}},
            ("bounced", "SNS could not deliver it: Unknown error attempting to reach phone"),
        ),
    ],
)
async def test_a_text_message(
    told: dict[str, Any], expected: tuple[str, str], api: httpx2.AsyncClient, database: Database, amazon: Amazon
) -> None:
    message_id = await sent(database, Channel.SMS, "+34600123456", "sns-1")
    assert await tell(api, amazon.signed(told | {"notification": {"messageId": "sns-1"}})) == 204
    assert await status(database, message_id) == expected


async def test_what_is_not_signed_changes_nothing(api: httpx2.AsyncClient, database: Database, amazon: Amazon) -> None:
    message_id = await sent(database, Channel.EMAIL, "ada@example.com", "ses-1")
    good = amazon.signed(ses("Delivery"))
    for bad in (
        good | {"Signature": b64encode(b"x" * 256).decode()},
        good | {"Signature": "é"},
        good | {"Message": json.dumps(ses("Bounce", bounce=BOUNCE))},
        good | {"SignatureVersion": "3"},
        good | {"SignatureVersion": "2"},
        good | {"TopicArn": TOPIC + "x"},
        amazon.signed(ses("Delivery"), TopicArn="arn:aws:sns:eu-west-1:666:mail"),
        good | {"Type": ["Notification"]},
        {},
        [],
        "no JSON",
        b"\xff",
    ):
        assert await tell(api, bad) == 403, bad
    assert await status(database, message_id) == ("accepted", None)


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.example.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@example.com/a.pem",
        "https://example.com/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://s3.eu-west-1.amazonaws.com/a.pem",
        "https://evil-sns.eu-west-1.amazonaws.com/a.pem",
        "https://[::1/a.pem",
        "",
    ],
)
async def test_no_other_host_is_asked_for_anything(url: str, api: httpx2.AsyncClient, amazon: Amazon) -> None:
    assert await tell(api, amazon.signed(ses("Delivery"), SigningCertURL=url)) == 403
    assert amazon.fetched == []
    confirmation = amazon.signed("", kind="SubscriptionConfirmation", SubscribeURL=url)
    assert await tell(api, confirmation) == 403
    assert set(amazon.fetched) <= {CERTIFICATE_URL}


async def test_a_subscription_of_a_topic_of_ours_is_confirmed(api: httpx2.AsyncClient, amazon: Amazon) -> None:
    foreign = amazon.signed("", kind="SubscriptionConfirmation", TopicArn="arn:aws:sns:eu-west-1:666:mail")
    assert await tell(api, foreign) == 403
    assert amazon.fetched == []
    assert await tell(api, amazon.signed("You have chosen …", kind="SubscriptionConfirmation")) == 204
    assert amazon.fetched == [CERTIFICATE_URL, SUBSCRIBE_URL]
    assert await tell(api, amazon.signed("", kind="UnsubscribeConfirmation")) == 204
    assert amazon.fetched == [CERTIFICATE_URL, SUBSCRIBE_URL]


async def test_while_the_certificate_is_away_sns_is_asked_to_come_again(
    api: httpx2.AsyncClient, database: Database, amazon: Amazon
) -> None:
    message_id = await sent(database, Channel.EMAIL, "ada@example.com", "ses-1")
    amazon.is_away = True
    assert await tell(api, amazon.signed(ses("Delivery"))) == 503
    amazon.is_away = False
    assert await tell(api, amazon.signed(ses("Delivery"))) == 204
    assert (await status(database, message_id))[0] == "delivered"


@pytest.mark.parametrize(
    "told",
    [ses("Delivery") | {"mail": {"messageId": "of somebody else"}}, {"eventType": "Bounce", "mail": 5}, [], "text", ""],
)
async def test_what_is_not_ours_does_no_harm(told: object, api: httpx2.AsyncClient, amazon: Amazon) -> None:
    assert await tell(api, amazon.signed(told)) == 204

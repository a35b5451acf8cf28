import dns.exception
import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost_client.reply import Alias, Located, NoData, NoName, Outcome, Server, Trouble, read_reply

SOA = ";AUTHORITY\nexample. 60 IN SOA ns.example. admin.example. 1 60 60 60 3\n"


def name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


def reply(question: str, rest: str = "") -> dns.message.Message:
    head = rest if rest.startswith("rcode") else f"rcode NOERROR\n{rest}"
    first, _, sections = head.partition("\n")
    return dns.message.from_text(f"id 1\nopcode QUERY\n{first}\nflags QR\n;QUESTION\n{question}\n{sections}")


@pytest.mark.parametrize(
    ("question", "rest", "outcome"),
    [
        (
            "a.example. IN A",
            ";ANSWER\na.example. 9 IN A 192.0.2.2\na.example. 9 IN A 192.0.2.1",
            Located(9, addresses=("192.0.2.1", "192.0.2.2")),
        ),
        (
            "a.example. IN A",
            ";ANSWER\na.example. 9 IN CNAME b.example.\nb.example. 4 IN A 192.0.2.1",
            Located(4, addresses=("192.0.2.1",)),
        ),
        ("a.example. IN A", ";ANSWER\na.example. 9 IN CNAME b.test.", Alias(name("b.test."), 9)),
        ("a.example. IN A", f";ANSWER\na.example. 9 IN CNAME b.example.\n{SOA}", NoData(3)),
        ("a.example. IN A", SOA, NoData(3)),
        ("a.example. IN A", "", NoData(0)),
        ("a.example. IN A", f"rcode NXDOMAIN\n{SOA}", NoName(3)),
        ("a.example. IN A", "rcode NXDOMAIN\n", NoName(0)),
        ("a.example. IN A", "rcode SERVFAIL\n", Trouble("the nameserver answered SERVFAIL")),
        ("a.example. IN A", "rcode REFUSED\n", Trouble("the nameserver answered REFUSED")),
        (
            "a.example. IN A",
            ";AUTHORITY\nexample. 60 IN NS ns.example.",
            Trouble("the nameserver only refers to others"),
        ),
        (
            "a.example. IN SRV",
            ";ANSWER\na.example. 9 IN SRV 1 1 81 t.example.\na.example. 9 IN SRV 2 1 82 u.example.\n"
            ";ADDITIONAL\nt.example. 5 IN A 192.0.2.1",
            Located(5, servers=(Server(name("t.example."), 81, ("192.0.2.1",)),)),
        ),
        (
            "a.example. IN SRV",
            ";ANSWER\na.example. 9 IN SRV 1 1 81 t.example.",
            Located(9, servers=(Server(name("t.example."), 81, ()),)),
        ),
        ("a.example. IN SRV", ";ANSWER\na.example. 9 IN SRV 0 0 0 .", Located(9)),
    ],
)
def test_a_reply_says(question: str, rest: str, outcome: Outcome) -> None:
    assert read_reply(reply(question, rest)) == outcome


def test_an_alias_that_leads_back_to_itself_is_trouble() -> None:
    loop = reply("a.example. IN A", ";ANSWER\na.example. 9 IN CNAME b.example.\nb.example. 9 IN CNAME a.example.")
    assert isinstance(read_reply(loop), Trouble)


@given(st.binary(max_size=200))
def test_whatever_parses_as_a_message_is_read_without_raising(tail: bytes) -> None:
    try:
        message = dns.message.from_wire(b"\x00\x01\x80\x00" + tail, ignore_trailing=True)
    except dns.exception.DNSException:
        return
    assert isinstance(read_reply(message), Outcome)

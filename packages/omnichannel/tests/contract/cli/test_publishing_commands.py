"""The commands that speak to the API, as a user runs them: text, JSON and exit codes, against a running publisher."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Ended, RunningPublisher

Run = Callable[..., Ended]

NOBODY = "http://127.0.0.1:9"
NO_ID = "0198c5e2-0000-7000-8000-000000000000"
LATER = "2100-01-01T09:00"


def said(ended: Ended, code: int = 0) -> Any:
    """Return the JSON that a command has printed."""
    assert ended.returncode == code, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def scheduled(omnichannel: Run, hooks: str) -> str:
    """Return the id of a message that waits for its time."""
    words = ("send", "Later", "--to", f"webhook:{hooks}/hook", "--at", LATER, "--zone", "Europe/Madrid", "-o", "name")
    return omnichannel(*words).stdout.strip()


def test_a_message_is_sent_and_waited_for(omnichannel: Run, hooks: str) -> None:
    sent = omnichannel("send", "We are live.", "--to", f"webhook:{hooks}/hook", "--wait", "-o", "json")
    message = said(sent)
    assert message["status"] == "completed"
    assert [each["status"] for each in message["deliveries"]] == ["delivered"]
    table = omnichannel("send", "We are live.", "-t", f"webhook:{hooks}/hook").stdout
    assert "in_progress" in table
    assert "webhook" in table


@pytest.mark.parametrize("source", ["file", "stdin", "dash"])
def test_the_text_comes_from_where_it_is(omnichannel: Run, hooks: str, tmp_path: Path, source: str) -> None:
    (tmp_path / "text").write_text("First line\n\nand more\n")
    words = {"file": ["--file", "text"], "stdin": [], "dash": ["-f", "-"]}[source]
    rehearsed = omnichannel(
        "send", *words, "--to", f"webhook:{hooks}/x", "--dry-run", "-o", "json", input="First line\n\nand more\n"
    )
    (delivery,) = said(rehearsed)["deliveries"]
    assert (delivery["subject"], delivery["body"]) == ("First line", "First line\n\nand more")


def test_a_dry_run_sends_nothing_and_says_what_would_not_be_taken(omnichannel: Run, hooks: str) -> None:
    fine = omnichannel("send", "Hello", "--to", f"webhook:{hooks}/x", "--dry-run")
    assert fine.returncode == 0
    assert f"{hooks}/x" in fine.stdout
    wrong = omnichannel("send", "Hello", "--to", "sms:+34600123456", "--dry-run", "-o", "json")
    assert said(wrong, 2)["valid"] is False
    assert "it would not be taken" in wrong.stderr


def test_a_time_is_on_the_clock_of_its_zone(omnichannel: Run, scheduled: str) -> None:
    shown = said(omnichannel("messages", "show", scheduled, "-o", "json"))
    assert (shown["status"], shown["send_at"]) == ("scheduled", "2100-01-01T08:00:00Z")


def test_the_same_key_is_the_same_message(omnichannel: Run, hooks: str) -> None:
    words = ("send", "Once", "--to", f"webhook:{hooks}/x", "--idempotency-key", "once-and-again", "-o", "name")
    first, again = omnichannel(*words), omnichannel(*words)
    assert first.stdout == again.stdout != ""
    other = omnichannel("send", "Other", "--to", f"webhook:{hooks}/x", "--idempotency-key", "once-and-again")
    assert (other.returncode, other.stdout) == (2, "")


def test_messages_are_listed_and_shown(omnichannel: Run, scheduled: str) -> None:
    rows = said(omnichannel("messages", "list", "--status", "scheduled", "-o", "json"))
    assert scheduled in [row["id"] for row in rows]
    assert scheduled in omnichannel("messages", "list", "-o", "name").stdout.split()
    table = omnichannel("messages", "list", "--limit", "1").stdout
    assert "0/1" in table
    lines = omnichannel("messages", "list", "--limit", "2", "-o", "jsonl").stdout.splitlines()
    assert all(json.loads(line)["deliveries"] for line in lines)
    assert "webhook" in omnichannel("messages", "show", scheduled).stdout


def test_a_message_is_watched_to_its_end(omnichannel: Run, hooks: str) -> None:
    sent = omnichannel("send", "Watch me", "--to", f"webhook:{hooks}/hook", "-o", "name").stdout.strip()
    states = [
        json.loads(line) for line in omnichannel("messages", "show", sent, "-w", "-o", "jsonl").stdout.splitlines()
    ]
    assert states[-1]["status"] == "completed"
    assert omnichannel("messages", "show", sent, "--watch").stdout.split("\t")[3] == "delivered"
    assert omnichannel("messages", "show", sent, "--watch", "-o", "json").returncode == 2


def test_a_delivery_says_why_it_stands_where_it_does(omnichannel: Run, scheduled: str) -> None:
    (delivery,) = said(omnichannel("deliveries", "list", scheduled, "-o", "json"))
    assert (delivery["message_id"], delivery["status"]) == (scheduled, "scheduled")
    why = said(omnichannel("deliveries", "why", delivery["id"], "-o", "json"))
    assert (why["reason"], why["status"]) == ("time", "scheduled")
    assert why["summary"] in " ".join(omnichannel("deliveries", "why", delivery["id"]).stdout.split())
    shown = said(omnichannel("deliveries", "show", delivery["id"], "-o", "json"))
    assert (shown["id"], shown["history"]) == (delivery["id"], [])
    assert "worker" in omnichannel("deliveries", "show", delivery["id"]).stdout
    assert delivery["id"] in omnichannel("deliveries", "list", "--status", "scheduled", "-o", "name").stdout.split()


def test_what_has_failed_is_tried_again_and_says_so(omnichannel: Run, hooks: str) -> None:
    failed = omnichannel("send", "Gone", "--to", f"webhook:{hooks}/gone", "--wait", "-o", "json")
    message = said(failed, 1)
    assert message["status"] == "failed"
    assert f"the message {message['id']} is failed: omnichannel deliveries list" in failed.stderr
    assert said(omnichannel("retry", message["id"], "-o", "json")) == {"id": message["id"], "retried": 1}
    said_again = omnichannel("messages", "show", message["id"], "--watch", "-o", "jsonl").stdout.splitlines()
    assert json.loads(said_again[-1])["status"] == "failed"
    (delivery,) = message["deliveries"]
    assert "retried" in omnichannel("retry", delivery["id"]).stdout


def test_what_waits_is_cancelled(omnichannel: Run, scheduled: str) -> None:
    nothing = omnichannel("retry", scheduled)
    assert (nothing.returncode, nothing.stdout) == (5, "")
    done = said(omnichannel("cancel", scheduled, "-o", "json"))
    assert done == {"id": scheduled, "status": "cancelled", "cancelled": 1, "in_flight": 0, "ended": 0}
    assert "cancelled" in omnichannel("cancel", scheduled).stdout


def test_what_is_waited_for_too_long_is_left_to_go_on(omnichannel: Run, hooks: str) -> None:
    words = ("send", "Later", "--to", f"webhook:{hooks}/x", "--at", f"{LATER}Z", "--wait", "--timeout", "200ms")
    late = omnichannel(*words)
    assert (late.returncode, late.stdout) == (7, "")
    assert "is scheduled after 0.2 s, and goes on" in late.stderr


def test_schedules_are_kept_paused_and_ended(omnichannel: Run, hooks: str) -> None:
    words = ("0 9 * * MON", "Stand-up", "--to", f"webhook:{hooks}/x", "--zone", "Europe/Madrid", "-o", "json")
    made = said(omnichannel("schedules", "create", *words))
    assert (made["state"], made["cron"], made["zone"]) == ("active", "0 9 * * MON", "Europe/Madrid")
    id_ = made["id"]
    assert id_ in [row["id"] for row in said(omnichannel("schedules", "list", "-o", "json"))]
    assert "Stand-up" in omnichannel("schedules", "list").stdout
    assert said(omnichannel("schedules", "pause", id_, "-o", "json"))["state"] == "paused"
    assert id_ in omnichannel("schedules", "list", "--state", "paused", "-o", "name").stdout
    assert "active" in omnichannel("schedules", "resume", id_).stdout
    assert said(omnichannel("schedules", "show", id_, "-o", "json"))["id"] == id_
    assert said(omnichannel("schedules", "occurrences", id_, "-o", "json")) == []
    times = said(omnichannel("schedules", "preview", id_, "--count", "2", "-o", "json"))
    assert [each["local"][11:16] for each in times] == ["09:00", "09:00"]
    assert "active" not in omnichannel("schedules", "delete", id_, "-o", "json").stdout


def test_a_recurrence_is_looked_at_before_it_is_kept(omnichannel: Run) -> None:
    shown = said(
        omnichannel("schedules", "preview", "0 9 * * MON", "--count", "3", "--zone", "Asia/Tokyo", "-o", "json")
    )
    assert [each["at"][11:16] for each in shown] == ["00:00"] * 3
    assert omnichannel("schedules", "preview", "0 9 * *").returncode == 2


def test_channels_are_listed(omnichannel: Run) -> None:
    rows = {row["name"]: row for row in said(omnichannel("channels", "list", "-o", "json"))}
    assert rows["webhook"]["configured"] is True
    assert "webhook" in omnichannel("channels", "list").stdout


def test_keys_are_made_listed_and_revoked(omnichannel: Run) -> None:
    made = said(omnichannel("keys", "create", "reader", "--scope", "messages:read", "--days", "1", "-o", "json"))
    assert made["scopes"] == ["messages:read"]
    denied = omnichannel("send", "x", "--to", "webhook:http://127.0.0.1:9/", OMNICHANNEL_API_KEY=made["key"])
    assert (denied.returncode, denied.stdout) == (4, "")
    assert "messages:write" in denied.stderr
    (row,) = [each for each in said(omnichannel("keys", "list", "-o", "json")) if each["name"] == "reader"]
    assert (row["state"], row["scopes"]) == ("holds", ["messages:read"])
    assert said(omnichannel("keys", "revoke", row["id"], "-o", "json"))["state"] == "revoked"
    assert "revoked" in omnichannel("keys", "list").stdout
    assert omnichannel("messages", "list", OMNICHANNEL_API_KEY=made["key"]).returncode == 4
    assert omnichannel("keys", "revoke", "000000000000").returncode == 3
    assert omnichannel("keys", "create", "x", "--scope", "everything").returncode == 2
    assert omnichannel("keys", "create", "plain").stdout.startswith("omni_")


def test_the_database_is_brought_up_to_date(omnichannel: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    done = omnichannel("db", "upgrade", DATABASE_URL=url)
    assert (done.returncode, done.stdout[:27]) == (0, "the database is at revision")
    assert said(omnichannel("db", "upgrade", "-o", "json", DATABASE_URL=url))["revision"]


def test_a_database_out_of_reach_is_named_by_its_variable(omnichannel: Run) -> None:
    refused = omnichannel("keys", "list", DATABASE_URL="postgresql://nobody:hidden@127.0.0.1:9/x")
    assert refused.returncode == 6
    assert refused.stderr.startswith("omnichannel: the database that DATABASE_URL names is out of reach: ")
    assert "hidden" not in refused.stderr


def test_one_real_message_tries_a_channel(omnichannel: Run, hooks: str) -> None:
    tried = said(omnichannel("channels", "test", "webhook", "--to", f"{hooks}/hook", "-o", "json"))
    assert tried["answer"].startswith("delivered")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["messages", "show", NO_ID], 3, NO_ID),
        (["messages", "show", NO_ID, "--watch"], 3, NO_ID),
        (["messages", "show", "../keys"], 3, "Not Found"),
        (["deliveries", "why", NO_ID], 3, NO_ID),
        (["retry", NO_ID], 3, NO_ID),
        (["cancel", NO_ID], 3, NO_ID),
        (["schedules", "pause", NO_ID], 3, NO_ID),
        (["messages", "list", "--status", "well"], 2, "status"),
        (["send", "x", "--to", "ada@example.com"], 2, "is not CHANNEL:ADDRESS"),
        (["send", "x", "--to", "pigeon:coop"], 2, "channel"),
        (["send", "x"], 2, "say to whom"),
        (["send", "x", "--file", "y", "--to", "email:ada@example.com"], 2, "give the text once"),
        (["send", "--file", "missing", "--to", "email:ada@example.com"], 2, "cannot read missing"),
        (["send", "x", "--template", "welcome", "--to", "email:ada@example.com"], 2, "it says everything"),
        (["send", "x", "--to", "email:ada@example.com", "--at", "2030-01-01T09:00"], 2, "has no zone"),
        (["send", "x", "--to", "email:ada@example.com", "--at", "soon"], 2, "is no time"),
        (
            ["send", "x", "--to", "email:a@example.com", "--at", "2030-03-31T02:30", "--zone", "Europe/Madrid"],
            2,
            "clock",
        ),
        (["send", "x", "--to", "email:ada@example.com", "--at", LATER, "--zone", "Mars/Base"], 2, "is no time zone"),
        (["schedules", "create", "at nine", "x", "--to", "email:ada@example.com"], 2, "cron"),
        (["messages", "list", "--api", "pigeon"], 2, "is no address of an API"),
        (["messages", "list", "--api-key-file", "missing"], 2, "the key cannot be read"),
        (["messages", "list", "--api", NOBODY], 6, f"no API answers at {NOBODY}"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    omnichannel: Run, words: list[str], code: int, told: str
) -> None:
    refused = omnichannel(*words)
    assert (refused.returncode, refused.stdout) == (code, ""), refused.stderr
    assert told in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr


def test_without_a_key_it_is_denied(omnichannel: Run, publisher: RunningPublisher, tmp_path: Path) -> None:
    assert omnichannel("messages", "list", OMNICHANNEL_API_KEY="").returncode == 4
    for none in ("omni_ü", "omni\nkey"):
        refused = omnichannel("messages", "list", OMNICHANNEL_API_KEY=none)
        assert (refused.returncode, refused.stderr) == (2, "omnichannel: OMNICHANNEL_API_KEY holds no key\n")
    (tmp_path / "key").write_text(f"{publisher.key}\n")
    assert omnichannel("messages", "list", "--api-key-file", "key", OMNICHANNEL_API_KEY="").returncode == 0


def test_the_api_is_found_where_a_platform_says(omnichannel: Run, publisher: RunningPublisher, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    address = publisher.url.removeprefix("http://127.0.0.1")
    (tmp_path / "state" / "run.json").write_text(json.dumps({"balancer_address": f"0.0.0.0{address}"}))
    assert omnichannel("messages", "list", "--state-dir", "state", OMNICHANNEL_API="").returncode == 0


def test_a_flag_comes_before_the_environment_and_that_before_the_file(omnichannel: Run, tmp_path: Path) -> None:
    (tmp_path / "omnichannel").mkdir()
    config = tmp_path / "omnichannel" / "config.toml"
    config.write_text('output = "json"\n[messages.list]\nlimit = 1\n')
    assert len(json.loads(omnichannel("messages", "list").stdout)) <= 1
    assert omnichannel("channels", "list", OMNICHANNEL_OUTPUT="name").stdout.startswith("webhook\n")
    assert omnichannel("channels", "list", "-o", "jsonl", OMNICHANNEL_OUTPUT="name").stdout.startswith("{")
    for text, told in (("colour = 1", "colour"), ("[paint]\nx = 1", "paint"), ("[send]\nx = 1", "x"), ("=", "config")):
        config.write_text(text)
        refused = omnichannel("channels", "list")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert told in refused.stderr

"""mbox and git log."""

import mailbox
import os
import subprocess
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from penchant.errors import InputError
from penchant.history.importers import read_format
from penchant.history.importers.mbox import own_words
from penchant.history.records import Record


def mail(sender, body, subject="Hello", **headers):
    message = EmailMessage()
    message["From"] = sender
    message["To"] = "Bob <bob@example.org>"
    message["Subject"] = subject
    message["Date"] = "Wed, 01 May 2024 10:00:00 +0200"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


def box(path, *messages):
    opened = mailbox.mbox(path)
    for message in messages:
        opened.add(message)
    opened.close()
    return path


REPLY = "Yes, let's.\n\nOn Tue, 30 Apr 2024 at 09:00, Bob <bob@example.org>\nwrote:\n> Shall we meet?\n> Bob\n"


def test_mbox_of_ones_own_mail(tmp_path):
    html = mail("ann@example.org", "x", subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?=", Message_ID="<3@x>")
    html.set_content(
        "<html><head><style>p {}</style></head><p>Hello <b>you</b><br>there &amp; here</p></html>", subtype="html"
    )
    path = box(
        tmp_path / "all.mbox",
        mail("Ann <Ann@Example.org>", REPLY, Message_ID="<1@x>"),
        mail("Bob <bob@example.org>", "not mine"),
        mail("ann@example.org", "> only quoted\n"),
        mail("Ann <ann@example.org>", REPLY, Message_ID="<1@x>"),
        html,
    )
    (owner, first), (_, second) = read_format("mbox", path, user="me", me="other@example.org, ann@example.org")
    when = datetime(2024, 5, 1, 8, tzinfo=UTC)
    assert owner == "me"
    assert first == Record("Hello\nYes, let's.", id="1@x", when=when, kind="mail", meta={"to": ["bob@example.org"]})
    assert second.text == "Grüße\nHello you\nthere & here"


def test_mbox_finds_out_who_the_owner_is(tmp_path):
    mixed = [mail("ann@example.org", "a"), mail("ann@example.org", "b"), mail("bob@example.org", "c")]
    with pytest.raises(InputError, match=r"which address is yours.*senders: ann@example\.org, bob@"):
        list(read_format("mbox", box(tmp_path / "all.mbox", *mixed), user="me"))
    sent = list(read_format("mbox", box(tmp_path / "Sent", *mixed), user="me"))
    assert [record.text for _, record in sent] == ["Hello\na", "Hello\nb"]
    labelled = [*mixed, mail("bob@example.org", "d", X_Gmail_Labels="Sent,Opened")]
    takeout = list(read_format("mbox", box(tmp_path / "takeout.mbox", *labelled), user="me"))
    assert [record.text for _, record in takeout] == ["Hello\nc", "Hello\nd"]
    alone = list(read_format("mbox", box(tmp_path / "one.mbox", mixed[2]), user="me"))
    assert len(alone) == 1


def test_mbox_with_broken_mails(tmp_path):
    path = tmp_path / "sent.mbox"
    raw = [
        b"From x Wed May  1 10:00:00 2024\nFrom: ann@example.org\nSubject: =?bad?q?x?=\nDate: someday\n"
        b"Content-Type: text/plain; charset=nonsense\n\ncaf\xc3\xa9 here\n\n",
        b"From x Wed May  1 10:00:00 2024\nFrom: ann@example.org\nMessage-ID: <[x\n\n\xff\xfe half\x00 bytes\n\n",
        b"From x Wed May  1 10:00:00 2024\nFrom: ann@example.org\n"
        b"Content-Type: multipart/mixed; boundary=b\n\n--b--\n\n",
    ]
    path.write_bytes(b"".join(raw))
    got = [record for _, record in read_format("mbox", path, user="me")]
    assert len(got) == 2
    assert got[0].text.endswith("café here")
    assert got[0].when is None
    assert "bytes" in got[1].text
    for record in got:
        record.text.encode("utf-8")
    path.write_bytes(b"no mail\n")
    with pytest.raises(InputError, match="holds no mail"):
        list(read_format("mbox", path, user="me"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (REPLY, "Yes, let's."),
        ("Hi\r\n-- \r\nAnn, Rome", "Hi"),
        ("Ja.\n\nAm 30.04.2024 um 09:00 schrieb Bob:\n> Treffen?", "Ja."),
        ("Oui.\n\nLe mar. 30 avr. 2024 à 09:00, Bob <b@x> a écrit :\n> Hein ?", "Oui."),
        ("Ok\n\n-----Original Message-----\nFrom: Bob\nhello", "Ok"),
        ("Inline:\n> question?\nanswer", "Inline:\nanswer"),
        ("On Monday I wrote to Bob.\nHe is fine.", "On Monday I wrote to Bob.\nHe is fine."),
        ("> all quoted", ""),
    ],
)
def test_own_words(body, expected):
    assert own_words(body) == expected


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(*arguments, **more):
        subprocess.run(
            ["git", "-C", folder, *arguments], check=True, capture_output=True, env={**os.environ, **quiet, **more}
        )

    def commit(message, name, day):
        who = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in name.items()}
        dates = {"GIT_AUTHOR_DATE": f"2024-05-{day:02}T10:00:00+02:00", "GIT_COMMITTER_DATE": "2024-06-01T00:00:00Z"}
        git("commit", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "-m", message, **who, **dates)

    git("init", "-q")
    return folder, git, commit


ANN = {"NAME": "Ann [x]", "EMAIL": "ann@example.org"}
BOB = {"NAME": "Bob", "EMAIL": "bob@example.org"}


def test_gitlog(repository):
    folder, git, commit = repository
    commit("First\n\nwith a body — ünï", ANN, 1)
    commit("not hers", BOB, 2)
    commit("", ANN, 3)
    commit("Third", ANN, 4)
    git("config", "user.email", "ann@example.org")
    (owner, first), (_, third) = read_format("gitlog", folder, user="me")
    assert owner == "me"
    assert (first.text, first.when) == ("First\n\nwith a body — ünï", datetime(2024, 5, 1, 8, tzinfo=UTC))
    assert (first.kind, first.meta) == ("commit", {"author": "Ann [x]", "repository": "project"})
    assert len(first.id) == 40
    assert third.text == "Third"
    assert [record.text for _, record in read_format("gitlog", folder, user="me", author="bob")] == ["not hers"]
    assert len(list(read_format("gitlog", folder, user="me", author="Ann [x]"))) == 2
    assert list(read_format("gitlog", folder, user="me", author="B.b")) == []
    generator = read_format("gitlog", folder, user="me")
    next(generator)
    generator.close()


def test_gitlog_what_is_wrong(repository, tmp_path, monkeypatch):
    folder, _, commit = repository
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    with pytest.raises(InputError, match="has no commits"):
        list(read_format("gitlog", folder, user="me", author="ann"))
    commit("x", ANN, 1)
    with pytest.raises(InputError, match=r"has no user\.email: expected an author"):
        list(read_format("gitlog", folder, user="me"))
    plain = tmp_path / "plain"
    plain.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(InputError, match="can't be read as a git repository"):
        list(read_format("gitlog", plain, user="me", author="ann"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="git is not installed"):
        list(read_format("gitlog", folder, user="me", author="ann"))

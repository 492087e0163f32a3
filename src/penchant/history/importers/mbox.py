"""Your own sent mail from an mbox file (Thunderbird, Apple Mail, Google Takeout)."""

from __future__ import annotations

import email
import mailbox
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import Path

from penchant.errors import InputError
from penchant.history.importers.goodreads import plain
from penchant.history.importers.importer import Importer
from penchant.history.importers.reading import Pair, need_user
from penchant.history.records import Record
from penchant.text.unicode import replace_surrogates

_HEAD = re.compile(r"<(style|script|head)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
# "On 3 May 2024, Ann wrote:" in the languages of the common mail programs, on one line or broken into two.
_ATTRIBUTION = re.compile(
    r"^(?=.{0,200}\d)(On|Am|Le|El|Il|Em|Op|Den|W dniu)\b.{3,160}?"
    r"(wrote|schrieb|a écrit|escribió|ha scritto|escreveu|schreef|skrev|napisał)[^\n]{0,80}:\s*$",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
_BELOW = re.compile(
    r"^(-{2,}\s*(Original Message|Ursprüngliche Nachricht|Message d'origine|Forwarded message|Mensaje original)\s*-{2,}"
    r"|_{20,}\s*|-- )$",
    re.MULTILINE | re.IGNORECASE,
)


def read(path: str | Path, *, user: str | None = None, me: str | None = None) -> Iterator[Pair]:
    """Yield one record per mail that the owner sent; all belong to `user`.

    me: the owner's addresses, separated by commas. Default: the senders of mails that Gmail labelled as sent, else the
    only sender in the file, else, if the file's name contains "sent", the most frequent one. text: the subject, and the
    new text below it: quoted mails and signatures are cut off, HTML becomes plain text. id: the Message-ID; kind
    "mail"; meta: to. Mails without new text and repeated mails are skipped. Raises `InputError` for a file without
    mail, or if the owner's address is unclear.
    """
    owner = need_user(user, "an mbox")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} can't be read: no such file; expected an mbox file")
    box = mailbox.mbox(path, create=False)
    try:
        if not len(box):
            raise InputError(f"{path.name} holds no mail: expected an mbox file (its mails begin with 'From ')")
        mine = {address.strip().lower() for address in me.split(",")} if me else _addresses(box, path.name)
        seen: set[str] = set()
        for mail in _mails(box):
            record = _record(mail) if _sender(mail) in mine else None
            if record and record.id not in seen:
                seen.add(record.id)
                yield owner, record
    finally:
        box.close()


def _mails(box: mailbox.mbox) -> Iterator[EmailMessage]:
    for key in box.keys():  # noqa: SIM118 (a mailbox iterates over its messages, parsed the old way)
        yield email.message_from_bytes(box.get_bytes(key), policy=policy.default)


def _addresses(box: mailbox.mbox, name: str) -> set[str]:
    everybody: Counter[str] = Counter()
    labelled: Counter[str] = Counter()
    for mail in _mails(box):
        sender = _sender(mail)
        if sender:
            everybody[sender] += 1
            if "sent" in re.split(r"\s*,\s*", _header(mail, "X-Gmail-Labels").lower()):
                labelled[sender] += 1
    if labelled:
        return set(labelled)
    common = [address for address, _ in everybody.most_common(5)]
    if len(everybody) == 1 or ("sent" in name.lower() and common):
        return set(common[:1])
    raise InputError(f"{name}: can't tell which address is yours, pass -o me=ADDRESS; senders: {', '.join(common)}")


def _header(mail: EmailMessage, name: str) -> str:
    # The parser raises various errors on malformed headers; such a header is ignored.
    try:
        return replace_surrogates(str(mail.get(name, "")))
    except (ValueError, IndexError, AttributeError, TypeError):
        return ""


def _sender(mail: EmailMessage) -> str:
    return next((address.lower() for _, address in getaddresses([_header(mail, "From")]) if address), "")


def _record(mail: EmailMessage) -> Record | None:
    subject = " ".join(_header(mail, "Subject").split())
    text = own_words(_body(mail))
    if not text:
        return None
    to = [address for _, address in getaddresses([_header(mail, "To")]) if address]
    return Record(
        f"{subject}\n{text}" if subject else text,
        id=_header(mail, "Message-ID").strip().strip("<>"),
        when=_date(mail),
        kind="mail",
        meta={"to": to} if to else {},
    )


def _date(mail: EmailMessage) -> datetime | None:
    try:
        return parsedate_to_datetime(_header(mail, "Date"))
    except ValueError:
        return None


def _body(mail: EmailMessage) -> str:
    part = mail.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    try:
        text = str(part.get_content())
    except (LookupError, ValueError, KeyError):  # an unknown charset, or bytes that don't fit it
        payload = part.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    text = replace_surrogates(text)
    return plain(_HEAD.sub("", text)) if part.get_content_subtype() == "html" else text


def own_words(body: str) -> str:
    """Return what the sender wrote: without quoted lines, the text below a reply header, and the signature."""
    text = body.replace("\r\n", "\n")
    for ending in (_ATTRIBUTION, _BELOW):
        if match := ending.search(text):
            text = text[: match.start()]
    lines = [line.rstrip() for line in text.split("\n") if not line.lstrip().startswith(">")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


IMPORTER = Importer(read, "mail you sent, from an mbox file")

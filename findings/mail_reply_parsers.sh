#!/bin/sh
# Mail parsers that "give the reply only" give somebody else's words, or nothing, for answers below what they quote.
# Expected: an answer written below the quotation, or between quoted lines, is found as one above it is; and a first line
# "On Monday I wrote:" by the writer, with nothing quoted, isn't taken for the head of a quotation.
# What happens: mail-parser-reply cuts from the first head on only if something stands above it. Of an answer below or between
# it returns the whole mail, quoted lines and their author's name included. email-reply-parser finds these, and returns
# an empty reply for a mail that begins "On Monday I wrote:". Each is right where the other is wrong.
# Seen with mail-parser-reply 1.36, email-reply-parser 0.5.12.
# Why it matters: what is learned of a user's style and facts would be another person's. Penchant reads mails by rules of
# its own (src/penchant/history/importers/mbox.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q mail-parser-reply==1.36 email-reply-parser==0.5.12
"$v/bin/python" - <<'PYTHON'
from importlib.metadata import version

from email_reply_parser import EmailReplyParser
from mailparser_reply import EmailReplyParser as MailParserReply

print(*(f"{name} {version(name)}" for name in ("mail-parser-reply", "email-reply-parser")))
head = "On Mon, 4 May 2026 at 10:00, Ann Lee <ann@example.org> wrote:"
mails = {
    "above": (f"Tuesday is fine.\n\n{head}\n> Tuesday or Friday?", "Tuesday is fine."),
    "below": (f"{head}\n> Tuesday or Friday?\n\nTuesday is fine.", "Tuesday is fine."),
    "between": (f"{head}\n> Tuesday or Friday?\n\nTuesday is fine.\n\n> And lunch?\n\nGladly.", "Tuesday is fine. Gladly."),
    "no quotation": ("On Monday I wrote:\nthe plan is fine.\nI still think so.",
                     "On Monday I wrote: the plan is fine. I still think so."),
}
found = {}
for case, (mail, reply) in mails.items():
    replies = MailParserReply(languages=["en"]).parse_reply(mail), EmailReplyParser.parse_reply(mail)
    found[case] = tuple(" ".join(text.split()) == reply for text in replies)
    for name, text, right in zip(("mail-parser-reply", "email-reply-parser"), replies, found[case]):
        print(f"{case:12} {name:18} {'right' if right else 'wrong'} {text!r}")
assert MailParserReply(languages=["en"]).parse_reply(mails["below"][0]) == mails["below"][0]
expected = {"above": (True, True), "below": (False, True), "between": (False, True), "no quotation": (True, False)}
raise SystemExit(0 if found == expected else "the behaviour has changed")
PYTHON

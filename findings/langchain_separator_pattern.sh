#!/bin/sh
# LangChain's CharacterTextSplitter writes its pattern into the chunks.
# Expected: with is_separator_regex=True the separator is a pattern to split at; pieces that are put together into a chunk are
# joined by what stood between them. add_start_index=True says where a chunk starts in the text.
# What happens: the pieces are joined by the text of the pattern. Split at \s+, "one  two" becomes "one\s+two": words that
# nobody wrote, which are embedded, searched and shown. The start of such a chunk is given as -1, which Python counts from
# the end. With a plain "\n", blank lines between the pieces are lost, and the start is -1 again.
# Seen with langchain-text-splitters 1.1.3.
# Why it matters: quotations of a user's own words must be theirs, with true offsets. Penchant keeps the offsets of each
# sentence in the record as it was written (src/penchant/history/segmentation.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q langchain-text-splitters==1.1.3
"$v/bin/python" - <<'PYTHON'
from importlib.metadata import version

from langchain_text_splitters import CharacterTextSplitter

print("langchain-text-splitters", version("langchain-text-splitters"))

def chunks(text, **options):
    splitter = CharacterTextSplitter(chunk_size=14, chunk_overlap=0, add_start_index=True, **options)
    return [(document.page_content, document.metadata["start_index"]) for document in splitter.create_documents([text])]

found = {
    "pattern": chunks("one  two\tthree\nfour five", separator=r"\s+", is_separator_regex=True),
    "kept": chunks("one  two\tthree\nfour five", separator=r"\s+", is_separator_regex=True, keep_separator=True),
    "blank lines": chunks("tea\n\n\nmilk\nlemon and honey", separator="\n"),
}
for case, pieces in found.items():
    print(f"{case:12} {pieces}")
expected = {
    "pattern": [(r"one\s+two", -1), (r"three\s+four", -1), ("five", 20)],
    "kept": [("one  two\tthree", 0), ("four five", 15)],
    "blank lines": [("tea\nmilk", -1), ("lemon and honey", 11)],
}
raise SystemExit(0 if found == expected else "the behaviour has changed")
PYTHON

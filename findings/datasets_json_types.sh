#!/bin/sh
# datasets turns quoted dates of a JSON file into timestamps, and numbers of 20 digits into rounded ones.
# Expected: JSON has no dates: "2026-05-04" in quotes is a text, and stays one. A number that the library's integers can't hold
# is refused or kept as text. What to_json writes of a loaded file says the same as the file.
# What happens: if every text of a column looks like a date, the column becomes timestamps: a user who answered with dates only
# has no texts left, and to_json writes milliseconds since 1970. One row with another text, and all stay texts. The offset
# of "+02:00" is worked in and gone. A whole number of 20 digits becomes a float, so two ids become one; floats are
# written with 10 digits. No warning.
# Seen with datasets 5.2.0, pyarrow 26.0.1, pandas 3.1.1.
# Why it matters: histories in JSON Lines hold ids and dates as the exporter wrote them, and the type must not depend on what
# the other users said. Penchant reads JSON Lines with the standard library (src/penchant/history/lines.py).
set -eu
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT
v=${VENV:-$t/venv} # VENV=folder: a virtual environment to use again
[ -x "$v/bin/python" ] || python3 -m venv "$v"
"$v/bin/pip" install -q datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1
HF_HOME=$t HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$v/bin/python" - "$t" <<'PYTHON'
import json, sys
from importlib.metadata import version
from pathlib import Path

from datasets import load_dataset

print(*(f"{name} {version(name)}" for name in ("datasets", "pyarrow", "pandas")))
folder = Path(sys.argv[1])

def there_and_back(name, values):
    """The type of the column, and its values after load_dataset and to_json."""
    source, copy = folder / f"{name}.jsonl", folder / f"{name}-copy.jsonl"
    source.write_text("".join(json.dumps({"text": value}) + "\n" for value in values))
    rows = load_dataset("json", data_files=str(source), split="train")
    rows.to_json(copy)
    return rows.features["text"].dtype, [json.loads(line)["text"] for line in copy.read_text().splitlines()]

values = {"words": ["tea", "milk"], "dates": ["2026-05-04", "2026-05-05"], "mixed": ["2026-05-04", "soon"],
          "offset": ["2026-05-04T10:00:00+02:00"], "ids": [12345678901234567890, 12345678901234567891], "thirds": [1 / 3, 2 / 3]}
found = {}
for name, texts in values.items():
    found[name] = there_and_back(name, texts)
    print(f"{name:7} {texts} -> {found[name][0]}: {found[name][1]}")
expected = {
    "words": ("string", values["words"]),
    "dates": ("timestamp[s]", [1777852800000, 1777939200000]),
    "mixed": ("string", values["mixed"]),
    "offset": ("timestamp[s]", [1777881600000]),
    "ids": ("float64", [1.23456789e19] * 2),
    "thirds": ("float64", [0.3333333333, 0.6666666667]),
}
raise SystemExit(0 if found == expected else "the behaviour has changed")
PYTHON

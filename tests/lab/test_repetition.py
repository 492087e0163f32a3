"""`python -m penchant_lab.repetition`: counting texts that are taken for loops, and saying where they are."""

import random
from pathlib import Path

from penchant_lab.repetition import SIZE, alarms, pieces, table


def test_a_loop_is_counted_and_located(tmp_path: Path) -> None:
    words = ("lamp", "boat", "hill", "rain", "song", "door", "river", "bread", "winter", "letter", "garden", "stone")
    draw = random.Random(0)
    fine = "".join(" ".join(draw.choices(words, k=9)) + ".\n" for _ in range(40))
    loop = "The lamp is lit and the boat comes home again. " * 90
    (tmp_path / "notes.md").write_text(fine[:1000].ljust(SIZE - 1) + "\n" + loop, encoding="utf-8")
    found = alarms(pieces(list(tmp_path.glob("*.md")), tmp_path))
    lines = fine[:1000].count("\n") + 1
    assert found["texts"] == 3  # two of SIZE characters, and what is left
    assert f"notes.md:{lines + 1}" in found["where"]
    assert not any(where == "notes.md:1" for where in found["where"])
    page = table({"command": "python -m penchant_lab.repetition", "kinds": {"notes": found}})
    assert f"| notes | 3 | {found['alarms']} |" in page

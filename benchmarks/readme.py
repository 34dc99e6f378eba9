"""Write the README's table of results from the records.

    python benchmarks/readme.py

A record's quoted lines are its rows, `> what | found`; the README shows those of the records that
`SHOWN` names, in its order.
"""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- made by benchmarks/readme.py -->\n", "<!-- end -->\n"

#: Is it accurate, what does it cost, does it hold: the records that no later one has overtaken.
SHOWN = (
    "2026-11-25-demo",
    "2026-11-27-tuned",
    "2026-11-27-fewer",
    "2026-11-27-deepglobe",
    "2026-11-27-init",
    "2026-11-25-discs",
    "2026-11-26-prediction",
    "2026-11-27-cuda-best",
    "2026-11-26-large",
    "2026-11-25-training-memory",
    "2026-11-26-kills",
)


def rows() -> list[str]:
    """The table's lines."""
    found = ["| what | found | record |", "|---|---|---|"]
    for name in SHOWN:
        record = (HERE / "records" / f"{name}.md").read_text(encoding="utf-8")
        label = re.sub(r"^[\d-]+-", "", name)
        link = f"[{label}](benchmarks/records/{name}.md)"
        found += [f"| {row} | {link} |" for row in re.findall(r"^> (.+)$", record, re.MULTILINE)]
    return found


def with_table(text: str) -> str:
    """The README with the table in its place."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n" + "\n".join(rows()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")

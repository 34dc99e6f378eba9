"""Write the README's table of results from the records.

    python benchmarks/readme.py

A record's first quoted line is its row, `> what | found`; records without one have none. The rows
come in the order of the list in `benchmarks/README.md`.
"""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- made by benchmarks/readme.py -->\n", "<!-- end -->\n"


def rows() -> list[str]:
    """The table's lines."""
    found = ["| what | found | record |", "|---|---|---|"]
    for name in re.findall(
        r"^\| \[([\w-]+)\]\(records/", (HERE / "README.md").read_text(), re.MULTILINE
    ):
        record = HERE / "records" / f"{name}.md"
        row = re.search(r"^> (.+)$", record.read_text(encoding="utf-8"), re.MULTILINE)
        if row:
            label = re.sub(r"^[\d-]+-", "", name)
            found.append(f"| {row[1]} | [{label}](benchmarks/records/{name}.md) |")
    return found


def with_table(text: str) -> str:
    """The README with the table in its place."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n" + "\n".join(rows()) + f"\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")

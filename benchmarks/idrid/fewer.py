"""Draw some of a manifest's training rows, three times; the other rows stay.

    python benchmarks/idrid/fewer.py MANIFEST NUMBER

writes NUMBER-0.csv to NUMBER-2.csv beside the manifest. A smaller draw is part of a larger one.
"""

import csv
import sys
from pathlib import Path

import numpy as np

DRAWS = 3


def main(manifest: Path, number: int) -> None:
    """Write all draws."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    train = [row for row in rows if row["split"] == "train"]
    rest = [row for row in rows if row["split"] != "train"]
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(train))
        target = manifest.with_name(f"{number}-{draw}.csv")
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows([train[i] for i in sorted(order[:number])] + rest)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

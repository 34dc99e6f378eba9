"""Write a manifest and a class table for IDRiD's optic discs, or for its lesions.

    python benchmarks/idrid/prepare.py DATA FOLDER [discs | lesions]

DATA holds `train/` and `test/`, each with `images/NAME.jpg` and `labels/NAME.png` (0 background,
1 optic disc, 2 to 5 lesions); what is not asked for counts as background. The last six training
images are for validation.
"""

import csv
import sys
from pathlib import Path

VALIDATION = 6
FOREGROUND = {"discs": ("optic disc", (1,)), "lesions": ("lesion", (2, 3, 4, 5))}
VALUES = range(6)


def class_table(name: str, values: tuple[int, ...]) -> str:
    """One foreground class; a class of several values needs colours that differ."""
    rows = [
        f"{name},{value},#ff{value:02x}00"
        if value in values
        else f"background,{value},#{value:06x}"
        for value in VALUES
    ]
    return "\n".join(["name,value,colour", *rows, ""])


def main(data: Path, folder: Path, foreground: str = "discs") -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split in ("train", "test"):
        images = sorted((data.resolve() / split / "images").glob("*.jpg"))
        held_out = images[-VALIDATION:] if split == "train" else []
        for image in images:
            mask = image.parents[1] / "labels" / f"{image.stem}.png"
            rows.append((image, mask, "validation" if image in held_out else split))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "mask", "split"), *rows])
    (folder / "classes.csv").write_text(class_table(*FOREGROUND[foreground]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])

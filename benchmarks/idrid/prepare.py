"""Write the manifest and the class table of IDRiD's optic discs.

    python benchmarks/idrid/prepare.py DATA FOLDER

DATA holds `train/` and `test/`, each with `images/NAME.jpg` and `labels/NAME.png` (0 background,
1 optic disc, 2 to 5 lesions, which count as background here). The last six training images are for
validation.
"""

import csv
import sys
from pathlib import Path

VALIDATION = 6
CLASSES = """name,value,colour
background,0,#000000
optic disc,1,#ffd000
background,2,#300000
background,3,#003000
background,4,#000030
background,5,#303000
"""


def main(data: Path, folder: Path) -> None:
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
    (folder / "classes.csv").write_text(CLASSES)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Train and evaluate GLNet on the Dubai scenes, by scene; writes a work folder.

    python benchmarks/dubai/run.py DATA WORK

DATA holds `dubai/images/tileN.jpg`, `dubai/labels/tileN.png` and `weights/*.safetensors` (a
ResNet-50); WORK gets the manifest, the run, the masks of the test scenes and `scores.json`.
"""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

SPLITS = {"train": (1, 2, 3, 5, 7), "validation": (6,), "test": (4, 8)}
HERE = Path(__file__).resolve().parent


def main(data: Path, work: Path) -> None:
    """Prepare, train, evaluate, predict."""
    work.mkdir(parents=True, exist_ok=True)
    for name in ("classes.csv", "recipe.yaml"):
        shutil.copy(HERE / name, work)
    weights = work / "resnet50.safetensors"
    weights.unlink(missing_ok=True)
    weights.symlink_to(next((data / "weights").glob("*.safetensors")).resolve())
    with (work / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "mask", "split"))
        for split, numbers in SPLITS.items():
            for number in numbers:
                image = data.resolve() / f"dubai/images/tile{number}.jpg"
                rows.writerow((image, data.resolve() / f"dubai/labels/tile{number}.png", split))
    glnet("train", work / "recipe.yaml", "--out", work / "run")
    model, manifest = work / "run/model", work / "manifest.csv"
    glnet("evaluate", "--model", model, "--manifest", manifest, "--json", work / "scores.json")
    earlier = work / "run/global_to_local/best"
    glnet("evaluate", "--model", earlier, "--manifest", manifest, "--json", work / "stage2.json")
    for number in SPLITS["test"]:
        image = data / f"dubai/images/tile{number}.jpg"
        glnet("predict", image, "--model", model, "--out", work / f"tile{number}.png")


def glnet(*arguments: object) -> None:
    """Run one command as a user would."""
    command = [str(Path(sys.executable).with_name("glnet")), *map(str, arguments)]
    print("$ glnet", *command[1:], flush=True)
    subprocess.run(command, check=True)  # noqa: S603  our own command


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""The demo: synthetic scenes, three trainings, scores on held-out scenes, masks and a picture.

python examples/demo/run.py [--seed N] [--out FOLDER]
"""

import argparse
import json
import time
from pathlib import Path

import yaml

import glnet
from glnet.recipe import ModelSettings
from picture import draw_picture
from scenes import write_scenes

HERE = Path(__file__).resolve().parent
COUNTS = {"train": 48, "test": 12}
SIDE = 768

#: What each network is: its branches, and in words what it is given.
NETWORKS = {
    "global_only": ("global", "the whole scene on a 128 px thumbnail"),
    "local_only": ("local", "128 px patches at full resolution"),
    "glnet": ("both", "both, sharing their maps"),
}


def main(out: Path, seed: int) -> None:
    """Run it all; everything lands in one folder."""
    began = time.monotonic()
    print(f"making {sum(COUNTS.values())} scenes of {SIDE} x {SIDE} px, seed {seed}", flush=True)
    write_scenes(out / "scenes", COUNTS, SIDE, seed)
    base = yaml.safe_load((HERE / "recipe.yaml").read_text(encoding="utf-8"))
    base["train"]["seed"] = seed
    steps = total_steps(base)
    scores, details = {}, {}
    for name, (branches, given) in NETWORKS.items():
        recipe = write_recipe(out, name, branches, base, steps)
        print(f"\n{name}: given {given}; {steps} steps", flush=True)
        model = train(recipe, out / name)
        result = glnet.evaluate(model, out / "scenes/manifest.csv", "test")
        views = {view: matrix.scores().mean_iou for view, matrix in result.matrices.items()}
        scores[name] = next(iter(views.values()))
        details[name] = result.as_dict()["views"]
        shown = ", ".join(f"{view} {100 * score:.1f}" for view, score in views.items())
        print(f"  mIoU on {COUNTS['test']} held-out scenes: {shown}", flush=True)
    masks = predict_masks(out)
    (out / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    (out / "details.json").write_text(json.dumps(details, indent=2) + "\n", encoding="utf-8")
    captions = {name: given for name, (_, given) in NETWORKS.items()}
    draw_picture(out / "demo.png", out / "scenes", masks, scores, captions, steps)
    farewell(out, scores, time.monotonic() - began)


def total_steps(base: dict) -> int:
    """Steps of all of GLNet's stages together."""
    images = COUNTS["train"]
    stages = base["train"]["stages"].values()
    return sum(stage["epochs"] * -(-images // stage["batch"]) for stage in stages)


def write_recipe(out: Path, name: str, branches: str, base: dict, steps: int) -> Path:
    """The recipe of one network; a single branch spends all steps in its one stage."""
    recipe = json.loads(json.dumps(base))
    recipe["model"]["branches"] = branches
    for stage in ModelSettings(branches=branches).stages if branches != "both" else ():
        per_epoch = -(-COUNTS["train"] // recipe["train"]["stages"][stage]["batch"])
        recipe["train"]["stages"][stage]["epochs"] = round(steps / per_epoch)
    path = out / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


def train(recipe: Path, folder: Path) -> Path:
    """Train, and say one line per stage."""
    for record in glnet.train(glnet.load_recipe(recipe), folder, restart=True):
        if getattr(record, "step", 0) and record.step == record.steps:
            loss = record.losses["loss"]
            seconds = f"{record.pace.seconds:.0f} s"
            print(f"  {record.stage}: {record.steps} steps, {seconds}, loss {loss:.3f}", flush=True)
    return folder / "model"


def predict_masks(out: Path) -> dict[str, list[Path]]:
    """Masks of three held-out scenes by every network."""
    first = COUNTS["train"]
    images = [out / f"scenes/scene{first + i:03}.tif" for i in range(3)]
    (out / "masks").mkdir(exist_ok=True)
    masks: dict[str, list[Path]] = {}
    for name in NETWORKS:
        masks[name] = [out / f"masks/{image.stem}_{name}.tif" for image in images]
        for image, mask in zip(images, masks[name], strict=True):
            glnet.predict(image, out / name / "model", mask)
    return {"image": images, **masks}


def farewell(out: Path, scores: dict[str, float], seconds: float) -> None:
    """Where all is, and what to type next."""
    print("\n            mIoU   given")
    for name, (_, given) in NETWORKS.items():
        print(f"{name:12}{100 * scores[name]:5.1f}   {given}")
    print(f"""
done in {seconds:.0f} s
  {out}/demo.png       image, truth and predictions side by side
  {out}/scores.json    the three mean IoUs
  {out}/masks/         georeferenced masks
  {out}/glnet/model/   the trained model
next, on an image of yours:
  .venv/bin/glnet predict IMAGE.tif --model {out}/glnet/model -o MASK.tif
and on your own classes: write a manifest and a class table (README, "Use"), then
  .venv/bin/glnet train RECIPE.yaml""")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    arguments = parser.parse_args()
    main(arguments.out, arguments.seed)

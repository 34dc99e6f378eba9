"""What recipes promise: presets, overrides, and one line that says which setting is wrong."""

import re
from pathlib import Path

import pytest
import yaml

from glnet.errors import RecipeError
from glnet.recipe import STAGES, ModelSettings, dump_recipe, load_recipe
from makers import noise, write_png, write_text

DATA = {"manifest": "manifest.csv", "classes": "classes.csv"}


def write_recipe(folder, *, preset=None, place=None, value=None):
    """A recipe of one data section, a preset and one setting, named by its dotted place."""
    values = {"data": dict(DATA)}
    if preset is not None:
        values["preset"] = preset
    if place is not None:
        _put(values, place, value)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def _put(values, place, value):
    *above, key = place.split(".")
    for part in above:
        values = values.setdefault(part, {})
    values[key] = value


def settings_of(recipe):
    """Every setting by its dotted place."""
    return dict(_flat("", recipe.model_dump(mode="json")))


def _flat(place, value):
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _flat(f"{place}.{key}" if place else key, below)
    else:
        yield place, value


PAPER = {
    "model.trunk": "resnet50",
    "model.thumbnail": 500,
    "model.patch": 500,
    "model.overlap": 50,
    "model.branches": "both",
    "model.sharing": "bidirectional",
    "loss.kind": "focal",
    "loss.gamma": 6.0,
    "loss.regulariser": 0.15,
    "train.stages.global.learning_rate": 1e-4,
    "train.stages.global_to_local.learning_rate": 2e-5,
    "train.stages.local_to_global.learning_rate": 1e-4,
    "train.stages.global.batch": 6,
    "train.mini_batch": 6,
    "train.power": 0.9,
}

#: DESIGN.md's table of presets: place -> (authors, default).
PRESETS = {
    "loss.gamma": (3.0, 6.0),
    "train.stages.global.learning_rate": (5e-5, 1e-4),
    "train.stages.global_to_local.learning_rate": (2e-5, 2e-5),
    "train.stages.local_to_global.learning_rate": (5e-5, 1e-4),
    "loss.regulariser": (0.15, 0.15),
    "loss.resolution": ("quarter", "full"),
    "train.gradients": ("summed", "averaged"),
    "train.mix_images": (False, True),
    "model.input.scale": (255.0, 255.0),
    "model.input.mean": ([0.0, 0.0, 0.0], None),
    "model.input.deviation": ([1.0, 1.0, 1.0], None),
    "model.thumbnail": (508, 500),
    "model.patch": (508, 500),
    "model.alignment": ("authors", "exact"),
    "train.initialisation": ("authors", "unit"),
    "train.refined_start": ("authors", "plain"),
    "train.local_start": ("drawn", "alone"),
}


@pytest.mark.parametrize(("place", "value"), PAPER.items())
def test_the_defaults_are_the_papers(tmp_path, place, value):
    """A recipe that says nothing but where its data lies trains the paper's network."""
    recipe = load_recipe(write_recipe(tmp_path))

    assert settings_of(recipe)[place] == value


@pytest.mark.parametrize(("place", "values"), PRESETS.items())
def test_the_presets_are_those_of_the_design(tmp_path, place, values):
    """What the released code does instead is one word away."""
    authors = load_recipe(write_recipe(tmp_path, preset="authors"))
    default = load_recipe(write_recipe(tmp_path, preset="default"))

    assert (settings_of(authors)[place], settings_of(default)[place]) == values


def test_the_best_preset_is_the_papers_but_for_what_was_found_better(tmp_path):
    best = settings_of(load_recipe(write_recipe(tmp_path, preset="best")))
    default = settings_of(load_recipe(write_recipe(tmp_path)))

    differing = {place: best[place] for place in best if best[place] != default[place]}

    assert differing == {
        "preset": "best",
        "model.sharing": "global_to_local",
        "model.pyramid": "normed",
        "model.finest": 2,
        "model.width": 64,
        "model.view": "validated",
        "loss.kind": "cross_entropy",
        "loss.dice_weight": 1.0,
        "loss.regulariser": 0.0,
        "train.schedule": "cosine",
        "train.warmup_steps": 10,
        "train.augment.colour": 0.1,
    }


def test_the_presets_differ_in_nothing_else(tmp_path):
    """Every difference between the presets is one that the design tells of."""
    authors = settings_of(load_recipe(write_recipe(tmp_path, preset="authors")))
    default = settings_of(load_recipe(write_recipe(tmp_path)))
    told = {place for place, (theirs, ours) in PRESETS.items() if theirs != ours}

    differing = {place for place in authors if authors[place] != default[place]}

    assert differing == told | {"preset"}


@pytest.mark.parametrize("preset", ["default", "authors", "best"])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model.overlap", 100),
        ("model.input.scale", 1.0),
        ("model.input.mean", [1.0, 2.0, 3.0]),
        ("loss.gamma", 2.0),
        ("loss.resolution", "full"),
        ("train.gradients", "averaged"),
        ("train.augment.flips", False),
        ("train.stages.global.epochs", 7),
        ("train.stages.global_to_local.batch", 2),
        ("train.stages.local_to_global.learning_rate", 3e-4),
        ("data.tolerance", 9),
    ],
)
def test_a_presets_values_are_overridden_one_by_one(tmp_path, preset, place, value):
    """One setting in a recipe changes this setting and leaves its neighbours alone."""
    before = settings_of(load_recipe(write_recipe(tmp_path, preset=preset)))

    after = settings_of(
        load_recipe(write_recipe(tmp_path, preset=preset, place=place, value=value))
    )

    assert after == before | {place: value}


@pytest.mark.parametrize("rate", ["1e-4", "0.0001", "1.0e-4"])
def test_numbers_are_numbers_however_they_are_written(tmp_path, rate):
    """YAML takes 1e-4 for text; a recipe does not."""
    path = write_text(
        tmp_path / "recipe.yaml",
        "data: {manifest: m.csv, classes: c.csv}",
        f"train: {{weight_decay: {rate}}}",
    )

    recipe = load_recipe(path)

    assert recipe.train.weight_decay == 1e-4


@pytest.mark.parametrize(
    ("place", "right"),
    [
        ("modell", "model"),
        ("trian", "train"),
        ("data.tolerence", "tolerance"),
        ("model.overlapp", "overlap"),
        ("model.input.skale", "scale"),
        ("loss.regularizer", "regulariser"),
        ("train.stages.globl", "global"),
        ("train.stages.global_", "global"),
        ("train.stages.global.learningrate", "learning_rate"),
        ("train.augment.color", "colour"),
    ],
)
def test_a_misspelt_key_is_told_with_the_right_one(tmp_path, place, right):
    """At any depth: the line has the place, the key that is unknown and the known one."""
    path = write_recipe(tmp_path, place=place, value={} if "." not in place else 1)

    with pytest.raises(RecipeError) as caught:
        load_recipe(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: unknown setting '{place}'; ")
    assert re.search(rf"\b{right}\b", message.split("; ", 1)[1])
    assert "\n" not in message


def test_a_key_like_no_other_lists_the_known_ones(tmp_path):
    """Where nothing resembles it, all the settings there are named."""
    path = write_recipe(tmp_path, place="loss.zzz", value=1)

    with pytest.raises(RecipeError, match="known here: class_weights, dice_weight, gamma, kind"):
        load_recipe(path)


def test_a_key_of_another_place_is_not_told_with_a_wrong_one(tmp_path):
    """Learning rates belong to the stages: under `train` none of its settings is meant."""
    path = write_recipe(tmp_path, place="train.learning_rate", value=1e-4)

    with pytest.raises(RecipeError, match=r"unknown setting 'train\.learning_rate'") as caught:
        load_recipe(path)

    assert "did you mean 'mini_batch'" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("preset", "author"),
        ("model", None),
        ("model", "resnet50"),
        ("model.trunk", 5),
        ("model.bands", 0),
        ("model.width", 7),
        ("model.patch", 501),
        ("model.patch", 1_000_000_000),
        ("model.patch", "large"),
        ("model.thumbnail", 16),
        ("model.overlap", -1),
        ("model.overlap", 505),
        ("model.sharing", "both_ways"),
        ("model.view", "patches"),
        ("model.input.scale", 0),
        ("model.input.mean", [0.5, 0.5]),
        ("model.input.deviation", [1, 0, 1]),
        ("loss.gamma", -1),
        ("loss.gamma", "high"),
        ("loss.gamma", float("nan")),
        ("loss.class_weights", [1, -1]),
        ("data.tolerance", 128),
        ("data.manifest", None),
        ("train.patches", 0),
        ("train.patches", "some"),
        ("train.mini_batch", 1.5),
        ("train.precision", "int8"),
        ("train.augment.scale", [2, 1]),
        ("train.augment.scale", [1]),
        ("train.augment.colour", 1),
        ("train.stages.global.epochs", 0),
        ("train.stages.global.learning_rate", 0),
        ("train.stages.global.learning_rate", float("inf")),
        ("train.workers", -1),
        ("train.seed", 1 << 63),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_place(tmp_path, place, value):
    """One line: the recipe, the setting by its place in the file, and what is wrong with it."""
    path = write_recipe(tmp_path, preset="authors", place="train.seed", value=1)
    values = yaml.safe_load(path.read_text())
    _put(values, place, value)
    path.write_text(yaml.safe_dump(values))

    with pytest.raises(RecipeError) as caught:
        load_recipe(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert place.split(".")[-1] in message
    assert place.split(".")[0] in message
    assert "\n" not in message
    assert "constrained" not in message


def test_the_view_that_is_given_is_one_that_the_network_has():
    """It comes first among the views; a smaller network of an early stage has its own."""
    settings = ModelSettings(view="local")

    assert settings.views == ("local", "aggregated", "global")
    assert settings.after("global_to_local").views == settings.views
    assert settings.after("global").views == ("global",)
    assert ModelSettings(branches="local", view="validated").views == ("local",)
    with pytest.raises(ValueError, match="no aggregated view; it has: local"):
        ModelSettings(branches="local", view="aggregated")


def test_finer_maps_are_the_local_branchs_of_a_normed_pyramid(tmp_path):
    """A global branch alone and a rival have none; what cannot be is refused."""
    settings = ModelSettings(pyramid="normed", finest=2)
    fine = {"pyramid": "normed", "finest": 2}
    path = tmp_path / "recipe.yaml"

    assert settings.output_stride == settings.after("global_to_local").output_stride == 2
    assert settings.after("global").output_stride == 4
    assert ModelSettings(**fine, branches="global").output_stride == 4
    assert ModelSettings(**fine, branches="local", network="unet").output_stride == 1
    with pytest.raises(ValueError, match="finest: 2 takes a pyramid: normed"):
        ModelSettings(finest=2)
    for loss, said in (
        ({"resolution": "quarter", "regulariser": 0}, "leave model.finest at 4"),
        ({}, "cannot be coupled; say loss.regulariser: 0"),
    ):
        path.write_text(yaml.safe_dump({"data": DATA, "model": fine, "loss": loss}))
        with pytest.raises(RecipeError, match=said):
            load_recipe(path)


@pytest.mark.parametrize("section", ["data", "data.manifest", "data.classes"])
def test_what_a_recipe_must_have_is_named(tmp_path, section):
    """Where the data lies has no default; what is missing is named."""
    path = tmp_path / "recipe.yaml"
    values = {"data": dict(DATA), "loss": {"gamma": 2}}
    if section == "data":
        del values["data"]
    else:
        del values["data"][section.removeprefix("data.")]
    path.write_text(yaml.safe_dump(values))

    with pytest.raises(RecipeError, match=f"{path}: the setting '{section}' is missing"):
        load_recipe(path)


def _missing(path):
    return path


def _folder(path):
    path.mkdir()
    return path


def _empty(path):
    return write_text(path)


def _image(path):
    return write_png(path, noise(8, 8))


def _broken(path):
    return write_text(path, "data: {manifest: [", "model: :")


def _list(path):
    return write_text(path, "- data", "- model")


def _deep(path):
    return write_text(path, "[" * 5000)


@pytest.mark.parametrize("make", [_missing, _folder, _empty, _image, _broken, _list, _deep])
def test_a_file_that_is_no_recipe_is_named_in_one_line(tmp_path, make):
    """Missing, a folder, empty, an image, broken YAML or a list: one line with the path."""
    path = make(tmp_path / "recipe.yaml")

    with pytest.raises(RecipeError) as caught:
        load_recipe(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", ["default", "authors", "best"])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("train.seed", 5),
        ("train.augment.scale", [0.5, 2.0]),
        ("train.patches", 4),
        ("model.trunk_options", {"channels": [8, 16, 32, 64]}),
        ("loss.class_weights", [1.0, 2.5]),
        ("train.trunk_weights", "weights/trunk.pth"),
    ],
)
def test_a_dumped_recipe_loads_as_the_same(tmp_path, preset, place, value):
    """The resolved recipe that lies beside a run repeats it, from any folder."""
    recipe = load_recipe(write_recipe(tmp_path, preset=preset, place=place, value=value))
    elsewhere = tmp_path / "runs" / "one"
    elsewhere.mkdir(parents=True)
    (elsewhere / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")

    again = load_recipe(elsewhere / "recipe.yaml")

    assert again == recipe


def test_paths_are_relative_to_the_recipes_folder(tmp_path, monkeypatch):
    """Manifest, classes and a file of weights are found from any working folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_recipe(folder, place="train.trunk_weights", value="weights/trunk.pth")
    monkeypatch.chdir(tmp_path)

    recipe = load_recipe("project/recipe.yaml")

    assert recipe.data.manifest == folder / "manifest.csv"
    assert recipe.data.classes == folder / "classes.csv"
    assert Path(recipe.train.trunk_weights) == folder / "weights/trunk.pth"


@pytest.mark.parametrize("weights", ["imagenet", "none"])
def test_words_for_weights_are_no_paths(tmp_path, weights):
    """`imagenet` and `none` stay what they are."""
    path = write_recipe(tmp_path, place="train.trunk_weights", value=weights)

    assert load_recipe(path).train.trunk_weights == weights


def test_absolute_paths_stay_as_they_are(tmp_path):
    """A path from the root does not depend on where the recipe lies."""
    path = write_recipe(tmp_path, place="data.manifest", value="/data/manifest.csv")

    assert load_recipe(path).data.manifest == Path("/data/manifest.csv")


TWO = STAGES[:2]
NETWORKS = [
    # branches, sharing, stages, views
    ("both", "none", TWO, ("aggregated", "global", "local")),
    ("both", "shallow", TWO, ("aggregated", "global", "local")),
    ("both", "global_to_local", TWO, ("aggregated", "global", "local")),
    ("both", "bidirectional", STAGES, ("aggregated", "global", "local")),
    *(
        ("global", sharing, ("global",), ("global",))
        for sharing in ("none", "shallow", "global_to_local", "bidirectional")
    ),
    *(
        ("local", sharing, ("global_to_local",), ("local",))
        for sharing in ("none", "shallow", "global_to_local", "bidirectional")
    ),
]


@pytest.mark.parametrize(("branches", "sharing", "stages", "views"), NETWORKS)
def test_a_network_has_the_stages_and_views_of_its_branches(branches, sharing, stages, views):
    """Which stages train a network, and which outputs it has, follows from two settings."""
    settings = ModelSettings(branches=branches, sharing=sharing)

    assert settings.stages == stages
    assert settings.views == views


@pytest.mark.parametrize(("branches", "sharing"), [row[:2] for row in NETWORKS])
def test_after_a_stage_the_network_so_far_is_whole(branches, sharing):
    """Every stage leaves a network whose own stages end with it, and that has what it trained."""
    settings = ModelSettings(branches=branches, sharing=sharing, overlap=60)

    for number, stage in enumerate(settings.stages, start=1):
        so_far = settings.after(stage)

        assert so_far.stages == settings.stages[:number]
        assert so_far.overlap == 60
        trained = {"global": "global", "global_to_local": "local", "local_to_global": "aggregated"}
        assert trained[stage] in so_far.views


def test_a_normed_pyramid_has_nothing_to_share_shallowly(tmp_path):
    path = write_recipe(tmp_path, preset="best", place="model.sharing", value="shallow")

    with pytest.raises(RecipeError, match="say pyramid: linear, or another sharing"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("sharing", "after"),
    [
        ("none", ["none", "none"]),
        ("shallow", ["none", "shallow"]),
        ("global_to_local", ["none", "global_to_local"]),
        ("bidirectional", ["none", "global_to_local", "bidirectional"]),
    ],
)
def test_sharing_grows_stage_by_stage(sharing, after):
    """The global branch alone shares nothing; the last stage leaves the network itself."""
    settings = ModelSettings(sharing=sharing)

    grown = [settings.after(stage) for stage in settings.stages]

    assert [network.sharing for network in grown] == after
    assert grown[-1] == settings

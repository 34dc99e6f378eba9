"""Every setting of a run, with its default and its reason, and the presets.

The defaults are the `default` preset: the paper's values, and sound arithmetic where the released
code departs from it. `preset: authors` starts from what the released code does instead, `best` from
what the project's own studies found better under the same budget (docs/log.md). A recipe
holds only what differs from its preset; the resolved one is written beside every run. What the
network computes is in `glnet.recipe.model`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from glnet.recipe.amounts import read_bytes
from glnet.recipe.model import Licence, ModelSettings, Positive, Settings, Share, Stage


def _an_amount(text: str) -> str:
    read_bytes(text)
    return text


class LossSettings(Settings):
    """Main loss and both auxiliary losses are of one kind and weigh the same (paper)."""

    kind: Literal["focal", "cross_entropy"] = "focal"
    #: Focal exponent: 6 in the paper, 3 in the released code.
    gamma: Share = 6.0
    #: Weight of a soft Dice term added to it.
    dice_weight: Share = 0.0
    #: One per class that is not ignored, in the class table's order.
    class_weights: list[Share] | None = None
    #: Weak coupling: pulls the local branch's last maps towards the global ones (paper: 0.15).
    regulariser: Share = 0.15
    #: `full`: bilinear logits against all labels; `quarter`: logits as they are, labels nearest.
    resolution: Literal["full", "quarter"] = "full"


class DataSettings(Settings):
    """Where the images, masks and classes are; paths are relative to the recipe's folder."""

    manifest: Path
    classes: Path
    #: Largest difference per channel at which a mask's colour still counts as a class's.
    tolerance: Annotated[int, Field(ge=0, le=127)] = 0


class AugmentSettings(Settings):
    """Drawn from (seed, epoch, image) alone."""

    #: Mirror left to right, and turn by quarter turns, each with probability one half.
    flips: bool = True
    quarter_turns: bool = True
    #: Factors between which the patches' ground sampling is drawn; [1, 1] is off.
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (1.0, 1.0)
    #: Largest relative change of each band's gain; its offset changes by half as much of the input
    #: scale at the most. 0 is off.
    colour: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> "AugmentSettings":
        if self.scale[0] > self.scale[1]:
            msg = "augment.scale must be [smallest, largest]"
            raise ValueError(msg)
        return self


class StageSettings(Settings):
    """How long and how fast one stage learns. Rates are the paper's, epochs the released code's."""

    epochs: Positive = 120
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    #: Images per optimiser step.
    batch: Positive = 6


class LocalStageSettings(StageSettings):
    """The stage that trains the local branch is shorter and slower."""

    epochs: Positive = 50
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5


class StagesSettings(Settings):
    """The three stages, in order."""

    global_: Annotated[StageSettings, Field(alias="global")] = StageSettings()
    global_to_local: LocalStageSettings = LocalStageSettings()
    local_to_global: StageSettings = StageSettings()

    model_config = ConfigDict(serialize_by_alias=True)

    def of(self, stage: Stage) -> StageSettings:
        """The settings of one stage."""
        settings: StageSettings = getattr(self, "global_" if stage == "global" else stage)
        return settings


class TrainSettings(Settings):
    """How the network is trained."""

    stages: StagesSettings = StagesSettings()
    #: `imagenet` (fetched by timm), a file of weights, or `none` for a random start.
    trunk_weights: str = "imagenet"
    #: A model folder whose weights start this run, instead of `trunk_weights`, as far as it has the
    #: parts; layers with an output per class are taken over class by class, by name.
    start_from: str | None = None
    #: Patches drawn per image and step, or all of them (the authors).
    patches: Positive | Literal["all"] = "all"
    #: Share of the drawn patches that are centred on a pixel of a class, each class of the image
    #: being equally likely: rare classes are seen more often than they occur.
    rare_patches: Annotated[float, Field(ge=0, le=1)] = 0.0
    #: Patches per forward pass.
    mini_batch: Positive = 6
    #: May a mini-batch mix patches of several images? (The authors: no.)
    mix_images: bool = True
    #: Gradients of a step's mini-batches: averaged over patches, or summed (the authors).
    gradients: Literal["averaged", "summed"] = "averaged"
    weight_decay: Share = 5e-4
    schedule: Literal["poly", "cosine"] = "poly"
    power: Share = 0.9
    #: Steps until the full rate, at most half of a stage's.
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    #: Keep the trunks' batch norm statistics as pretrained: for a few patches per mini-batch.
    freeze_batch_norm: bool = False
    #: Start of the pyramids: maps of unit size, or N(0, 0.01 squared) (the authors).
    initialisation: Literal["unit", "authors"] = "unit"
    #: Start of what the local branch reads of the global one: zero, so that it begins as it would
    #: alone, or drawn like all else (the authors).
    local_start: Literal["alone", "drawn"] = "alone"
    #: Start of the refined global branch: the plain one, its other half at zero, or the authors'.
    refined_start: Literal["plain", "authors"] = "plain"
    augment: AugmentSettings = AugmentSettings()
    seed: Annotated[int, Field(ge=0, lt=1 << 62)] = 0
    device: str = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    #: CUDA alone: the same bits from the same seed, at some cost in speed. The CPU needs nothing.
    deterministic: bool = False
    #: Processes that read images ahead; 0: a thread of this one.
    workers: Annotated[int, Field(ge=0)] = 0
    #: What training may take, e.g. 2GiB: device memory, or what it adds to the process on the CPU.
    #: `mini_batch` is lowered until it fits.
    memory: Annotated[str, AfterValidator(_an_amount)] | None = None
    #: Minutes between two checkpoints, from which a stopped run goes on.
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 10.0

    @model_validator(mode="after")
    def _room_to_seek(self) -> "TrainSettings":
        if self.rare_patches and self.patches == "all":
            msg = "train.rare_patches moves drawn patches; set train.patches to a number"
            raise ValueError(msg)
        return self

    #: Epochs between validations; the last epoch of a stage is always validated.
    validate_every: Positive = 1


class Recipe(Settings):
    """One run, whole."""

    preset: Literal["default", "authors", "best"] = "default"
    #: Of the weights that come of it, for the model's card: an SPDX identifier, e.g. CC-BY-4.0.
    licence: Licence | None = None
    data: DataSettings
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    train: TrainSettings = TrainSettings()

    @model_validator(mode="after")
    def _one_search(self) -> "Recipe":
        if self.model.coarse_to_fine and self.train.rare_patches:
            msg = "model.coarse_to_fine chooses the patches already; leave train.rare_patches at 0"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _rival_can(self) -> "Recipe":
        network = self.model.network
        if network != "glnet" and self.loss.resolution == "quarter":
            msg = f"loss.resolution: quarter is GLNet's; a {network} has logits at full size"
            raise ValueError(msg)
        if self.model.is_finer:
            self._check_finer()
        if network in _POOLING and self.train.deterministic:
            msg = (
                f"train.deterministic: on CUDA the pooling of a {network} cannot be; leave it away"
            )
            raise ValueError(msg)
        return self

    def _check_finer(self) -> None:
        if self.loss.resolution == "quarter":
            msg = "loss.resolution: quarter has labels at stride 4; leave model.finest at 4"
            raise ValueError(msg)
        if self.loss.regulariser and self.model.branches == "both":
            msg = "model.finest: 2 gives the branches different maps, which cannot be coupled; "
            msg += "say loss.regulariser: 0, as the preset best does"
            raise ValueError(msg)

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, values: Any) -> Any:  # noqa: ANN401  whatever the file held
        if isinstance(values, dict):
            return merged(PRESETS.get(str(values.get("preset")), {}), values)
        return values


#: Rivals that pool maps to a few cells, which PyTorch does in no fixed order on CUDA.
_POOLING = ("pspnet", "upernet")

#: Where the released code departs from the defaults. "Unknown" is trained there: in a recipe that
#: is a matter of the class table, which says what is ignored.
AUTHORS: dict[str, Any] = {
    "model": {
        "thumbnail": 508,
        "patch": 508,
        "alignment": "authors",
        "input": {"scale": 255.0, "mean": [0.0] * 3, "deviation": [1.0] * 3},
    },
    "loss": {"gamma": 3.0, "resolution": "quarter"},
    "train": {
        "stages": {
            "global": {"epochs": 120, "learning_rate": 5e-5},
            "global_to_local": {"epochs": 50, "learning_rate": 2e-5},
            "local_to_global": {"epochs": 120, "learning_rate": 5e-5},
        },
        "mix_images": False,
        "gradients": "summed",
        "initialisation": "authors",
        "local_start": "drawn",
        "refined_start": "authors",
    },
}

#: What the studies found better, or as good in less memory and time. What depends on the images,
#: scenes of one size among it, is for `glnet init` to choose.
BEST: dict[str, Any] = {
    "model": {
        "sharing": "global_to_local",
        "pyramid": "normed",
        "finest": 2,
        "width": 64,
        "view": "validated",
    },
    "loss": {"kind": "cross_entropy", "dice_weight": 1.0, "regulariser": 0.0},
    "train": {"schedule": "cosine", "warmup_steps": 10, "augment": {"colour": 0.1}},
}

PRESETS = {"authors": AUTHORS, "best": BEST}


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, key by key down the tree."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        out[key] = merged(below, value) if both and isinstance(below, dict) else value
    return out

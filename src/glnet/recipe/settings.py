"""Every setting of a run, with its default and its reason, and the two presets.

The defaults are the `default` preset: the paper's values, and sound arithmetic where the released
code departs from it. `preset: authors` starts from what the released code does instead. A recipe
holds only what differs from its preset; the resolved one is written beside every run.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from glnet.geometry import OUTPUT_STRIDE, Alignment
from glnet.recipe.amounts import read_bytes

Stage = Literal["global", "global_to_local", "local_to_global"]
Sharing = Literal["none", "shallow", "global_to_local", "bidirectional"]
View = Literal["aggregated", "global", "local"]
Network = Literal[
    "glnet", "unet", "fpn", "pspnet", "deeplabv3plus", "fcn", "segformer", "upernet"
]  # fmt: skip

STAGES: tuple[Stage, ...] = ("global", "global_to_local", "local_to_global")

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0)]


def _an_amount(text: str) -> str:
    read_bytes(text)
    return text


class Settings(BaseModel):
    """Frozen, and a key that does not exist is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputSettings(Settings):
    """From stored values to the network's input: (value / scale - mean) / deviation, per band."""

    scale: Annotated[float, Field(gt=0)] = 255.0
    #: None: the trunk's own, as it was pretrained (three bands only).
    mean: list[float] | None = None
    deviation: list[Annotated[float, Field(gt=0)]] | None = None


class CoarseToFineSettings(Settings):
    """Patches only where the global branch finds foreground (paper: small, single foregrounds)."""

    #: At most so many boxes are laid around the foreground; the paper has one.
    boxes: Positive = 1
    #: Ground added on each side, as a share of the foreground's longer side; at least one cell of
    #: the coarse mask. It is what the local branch may correct.
    margin: Share = 0.2
    #: The class of all that lies outside: its position among the classes that are not ignored.
    background: Annotated[int, Field(ge=0)] = 0


class ModelSettings(Settings):
    """What the network computes. Fixed when a model is trained or imported."""

    #: GLNet, or a rival of one branch on the same trunk: `branches: global` gives it thumbnails
    #: ("global inference" in the paper), `local` patches. `width` and `sharing` are GLNet's alone.
    network: Network = "glnet"
    #: Any timm model with stages at strides 4, 8, 16 and 32.
    trunk: str = "resnet50"
    #: Passed on to timm, e.g. {channels: [16, 32, 64, 128]} for a thin ResNet.
    trunk_options: dict[str, Any] = {}
    bands: Positive = 3
    input: InputSettings = InputSettings()
    #: Channels of the pyramids' first maps; the last ones have half (paper: FPN with 256).
    width: Annotated[int, Field(gt=0, multiple_of=2)] = 256
    #: `global` and `local` alone are the first two rows of the paper's ablation.
    branches: Literal["both", "global", "local"] = "both"
    sharing: Sharing = "bidirectional"
    #: Side of the thumbnail and of a patch in pixels, and what neighbouring patches share at least.
    thumbnail: Annotated[int, Field(ge=32, multiple_of=OUTPUT_STRIDE)] = 500
    patch: Annotated[int, Field(ge=32, multiple_of=OUTPUT_STRIDE)] = 500
    overlap: Annotated[int, Field(ge=0)] = 50
    #: Longest side of a scene in pixels; a larger image or window is cut into equal scenes. None:
    #: one image is one scene, as in the paper.
    scene: Positive | None = None
    #: None: patches cover the whole scene.
    coarse_to_fine: CoarseToFineSettings | None = None
    #: `exact` samples maps where they lie; `authors` rounds windows to cells as the released code.
    alignment: Alignment = "exact"

    @model_validator(mode="after")
    def _consistent(self) -> "ModelSettings":
        if self.network != "glnet" and self.branches == "both":
            msg = f"a {self.network} is one branch: say branches: global (on thumbnails) or local"
            raise ValueError(msg)
        if self.coarse_to_fine and (self.branches != "both" or self.alignment != "exact"):
            msg = "coarse_to_fine needs branches: both and alignment: exact"
            raise ValueError(msg)
        if self.overlap > self.patch - 2 * OUTPUT_STRIDE:
            limit = self.patch - 2 * OUTPUT_STRIDE
            msg = f"overlap must be at most patch - {2 * OUTPUT_STRIDE} = {limit}"
            raise ValueError(msg)
        for name, values in (("mean", self.input.mean), ("deviation", self.input.deviation)):
            if values is not None and len(values) != self.bands:
                msg = f"input.{name} has {len(values)} values for {self.bands} bands"
                raise ValueError(msg)
        return self

    @property
    def output_stride(self) -> int:
        """Pixels per cell of the logits: rivals give them at the input's size."""
        return OUTPUT_STRIDE if self.network == "glnet" else 1

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The training stages that this network has, in order."""
        if self.branches == "global":
            return ("global",)
        if self.branches == "local":
            return ("global_to_local",)
        return STAGES if self.sharing == "bidirectional" else STAGES[:2]

    @property
    def views(self) -> tuple[View, ...]:
        """The outputs that this network has, the one that is meant by default first."""
        return ("aggregated", "global", "local") if self.branches == "both" else (self.branches,)

    def after(self, stage: Stage) -> "ModelSettings":
        """The smaller network that is complete once `stage` is trained."""
        if stage == "global":
            alone = {"branches": "global", "sharing": "none", "coarse_to_fine": None}
            return self.model_copy(update=alone)
        if stage == "global_to_local" and self.sharing == "bidirectional":
            return self.model_copy(update={"sharing": "global_to_local"})
        return self


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
    #: Largest relative change of each band's gain and offset; 0 is off.
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
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    #: Keep the trunks' batch norm statistics as pretrained: for a few patches per mini-batch.
    freeze_batch_norm: bool = False
    #: Start of the pyramids: N(0, 1 / fan-in), or N(0, 0.01 squared) (the authors).
    initialisation: Literal["fan_in", "authors"] = "fan_in"
    #: Start of the refined global branch: the plain one, its other half at zero, or the authors'.
    refined_start: Literal["plain", "authors"] = "plain"
    augment: AugmentSettings = AugmentSettings()
    seed: Annotated[int, Field(ge=0)] = 0
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

    preset: Literal["default", "authors"] = "default"
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
        if network in _POOLING and self.train.deterministic:
            msg = (
                f"train.deterministic: on CUDA the pooling of a {network} cannot be; leave it away"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, values: Any) -> Any:  # noqa: ANN401  whatever the file held
        if isinstance(values, dict) and values.get("preset") == "authors":
            return merged(AUTHORS, values)
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
        "refined_start": "authors",
    },
}


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, key by key down the tree."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        out[key] = merged(below, value) if both and isinstance(below, dict) else value
    return out

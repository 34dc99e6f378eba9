"""What a network computes: the settings that are fixed when it is trained or imported."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from glnet.geometry import OUTPUT_STRIDE, Alignment, Size

Stage = Literal["global", "global_to_local", "local_to_global"]
Sharing = Literal["none", "shallow", "global_to_local", "bidirectional"]
View = Literal["aggregated", "global", "local"]
Pyramid = Literal["linear", "normed"]
Network = Literal[
    "glnet", "unet", "fpn", "pspnet", "deeplabv3plus", "fcn", "segformer", "upernet"
]  # fmt: skip

STAGES: tuple[Stage, ...] = get_args(Stage)
VIEWS: tuple[View, ...] = get_args(View)

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0)]
#: Of what a branch sees, in pixels; the most is that of a square scene, see `glnet.limits`.
Side = Annotated[int, Field(ge=32, le=10_000, multiple_of=OUTPUT_STRIDE)]

#: An SPDX identifier.
Licence = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$", max_length=64)]


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
    #: `linear`: nothing but convolutions after the trunk, and classes read maps of all levels (the
    #: paper). `normed`: batch norm and ReLU after each, and classes read the finest maps alone.
    pyramid: Pyramid = "linear"
    #: Pixels per cell of the local branch's finest maps and scores, along a side: 4 (the paper), or
    #: 2, in half of the width, for a normed pyramid and a trunk that has a map there.
    finest: Literal[2, 4] = 4
    #: Channels of the pyramids' maps; the linear one's last have half (paper: FPN with 256).
    width: Annotated[int, Field(gt=0, multiple_of=2)] = 256
    #: `global` and `local` alone are the first two rows of the paper's ablation.
    branches: Literal["both", "global", "local"] = "both"
    sharing: Sharing = "bidirectional"
    #: Side of the thumbnail and of a patch in pixels, and what neighbouring patches share at least.
    thumbnail: Side = 500
    patch: Side = 500
    overlap: Annotated[int, Field(ge=0)] = 50
    #: Pixels of an image, along a side, to one of the network's: what it sees is shrunk so many
    #: times, its scores are enlarged to the image's own size. Thumbnail, patches and their overlap
    #: count the network's pixels.
    shrink: Positive = 1
    #: Longest side of a scene in the image's pixels; a larger image or window is cut into equal
    #: scenes. None: one image is one scene, as in the paper.
    scene: Positive | None = None
    #: None: patches cover the whole scene.
    coarse_to_fine: CoarseToFineSettings | None = None
    #: What is given where no view is asked for: of a trained model `validated` stands for the one
    #: that scored best on the validation images. None: `aggregated`, or the one there is.
    view: View | Literal["validated"] | None = None
    #: `exact` samples maps where they lie; `authors` rounds windows to cells as the released code.
    alignment: Alignment = "exact"

    @model_validator(mode="after")
    def _consistent(self) -> "ModelSettings":
        if self.network != "glnet" and self.branches == "both":
            msg = f"a {self.network} is one branch: say branches: global (on thumbnails) or local"
            raise ValueError(msg)
        if self.pyramid == "normed" and self.sharing == "shallow":
            msg = "sharing: shallow lends narrowed maps, which a normed pyramid has not; "
            msg += "say pyramid: linear, or another sharing"
            raise ValueError(msg)
        if self.is_finer and self.pyramid == "linear":
            msg = "finest: 2 takes a pyramid: normed; say that, or finest: 4"
            raise ValueError(msg)
        if self.coarse_to_fine and (self.branches != "both" or self.alignment != "exact"):
            msg = "coarse_to_fine needs branches: both and alignment: exact"
            raise ValueError(msg)
        if self.overlap > self.patch - 2 * OUTPUT_STRIDE:
            limit = self.patch - 2 * OUTPUT_STRIDE
            msg = f"overlap must be at most patch - {2 * OUTPUT_STRIDE} = {limit}"
            raise ValueError(msg)
        if self.view not in (None, "validated", *self.views):
            msg = f"view: this network has no {self.view} view; it has: {', '.join(self.views)}"
            raise ValueError(msg)
        for name, values in (("mean", self.input.mean), ("deviation", self.input.deviation)):
            if values is not None and len(values) != self.bands:
                msg = f"input.{name} has {len(values)} values for {self.bands} bands"
                raise ValueError(msg)
        return self

    @property
    def thumbnail_size(self) -> Size:
        """What the global branch sees a scene as."""
        return Size(self.thumbnail, self.thumbnail)

    @property
    def takes(self) -> str:
        """What it sees of a scene, in words."""
        shrunk = f", images shrunk by {self.shrink}" if self.shrink > 1 else ""
        sides = f"thumbnail {self.thumbnail} px, patches {self.patch} px"
        return f"{sides}, {self.bands} bands{shrunk}"

    @property
    def refines(self) -> bool:
        """Does a second global branch read what the local one made?"""
        return self.branches == "both" and self.sharing == "bidirectional"

    @property
    def output_stride(self) -> int:
        """Pixels per cell of the logits of patches: rivals give them at the input's size."""
        if self.network != "glnet":
            return 1
        return self.finest if self.is_finer else OUTPUT_STRIDE

    @property
    def is_finer(self) -> bool:
        """Has the local branch a level below the usual ones? The global branch has none."""
        return self.network == "glnet" and self.branches != "global" and self.finest == 2  # noqa: PLR2004

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The training stages that this network has, in order."""
        if self.branches == "global":
            return ("global",)
        if self.branches == "local":
            return ("global_to_local",)
        return STAGES if self.refines else STAGES[:2]

    @property
    def views(self) -> tuple[View, ...]:
        """The outputs that this network has, the one that is meant by default first."""
        if self.branches != "both":
            return (self.branches,)
        return tuple(sorted(VIEWS, key=lambda view: view != self.view))

    def after(self, stage: Stage) -> "ModelSettings":
        """The smaller network that is complete once `stage` is trained."""
        if stage == "global":
            alone = {"branches": "global", "sharing": "none", "coarse_to_fine": None}
            return self.model_copy(update={**alone, "view": None, "finest": OUTPUT_STRIDE})
        if stage == "global_to_local" and self.refines:
            return self.model_copy(update={"sharing": "global_to_local"})
        return self

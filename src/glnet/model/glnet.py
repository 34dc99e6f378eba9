"""GLNet: the branches, the sharing between them and the aggregation. It joins; it keeps nothing.

No field holds anything about one image: methods take what they need and return what they made.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from glnet.errors import RecipeError
from glnet.extras import install
from glnet.geometry import Size
from glnet.model.aggregation import Aggregation
from glnet.model.branch import (
    Branch,
    BranchOutput,
    LinearBranch,
    NormedBranch,
    Receives,
    SharedMaps,
)
from glnet.model.pretrained import input_statistics
from glnet.model.sharing import crop_maps, crop_under
from glnet.model.trunk import Trunk
from glnet.recipe import InputSettings, ModelSettings, Sharing
from glnet.sharing import COARSE_FIRST, Place

if TYPE_CHECKING:
    from glnet.model.rivals import Rival

_LOCAL_RECEIVES: dict[Sharing, Receives] = {
    "none": "nothing",
    "shallow": "narrowed",
    "global_to_local": "all",
    "bidirectional": "all",
}


class Normalise(nn.Module):
    """Stored values (B, bands, H, W), any dtype, to the trunks' input."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, statistics: InputSettings) -> None:
        """With mean and deviation filled in."""
        super().__init__()
        self.scale, shape = statistics.scale, (1, -1, 1, 1)
        mean, deviation = (torch.tensor(v) for v in (statistics.mean, statistics.deviation))
        self.register_buffer("mean", mean.view(shape), persistent=False)
        self.register_buffer("deviation", deviation.view(shape), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised."""
        return (pixels.to(self.mean.dtype) / self.scale - self.mean) / self.deviation


class GLNet(nn.Module):
    """The network of Chen et al., CVPR 2019, in every setting of its ablation.

    A rival stands in the place of the one branch that it has. There is no `forward`: who calls
    the passes says what is shared, and when (docs/python.md has a loop).

    Attributes:
        settings: What it computes; input mean and deviation are filled in.
        global_branch: On the thumbnail. None for a local branch alone.
        local_branch: On patches, joined by the global maps under them.
        refined_global: On the thumbnail, joined by the local maps laid onto the scene
            (bidirectional sharing only).
        normalise: From stored values to the trunks' input.
        aggregation: Over the last features of the local and the last global branch.
    """

    def __init__(self, settings: ModelSettings, classes: int) -> None:
        """Build with random weights; see `build_glnet`.

        Raises:
            RecipeError: the trunk cannot be built, or its input statistics must be given.
        """
        super().__init__()
        self.classes = classes
        both = settings.branches == "both"
        receives = _LOCAL_RECEIVES[settings.sharing] if both else "nothing"
        refines = both and settings.sharing == "bidirectional"

        def branch(receives: Receives, *, detail: bool = False) -> Branch:
            trunk = Trunk(settings.trunk, settings.bands, settings.trunk_options, detail=detail)
            kind = LinearBranch if settings.pyramid == "linear" else NormedBranch
            return kind(trunk, settings.width, classes, receives)

        def branch_or_rival(receives: Receives, *, detail: bool = False) -> "Branch | Rival":
            rival = settings.network != "glnet"
            return _rival(settings, classes) if rival else branch(receives, detail=detail)

        self.global_branch = branch_or_rival("nothing") if settings.branches != "local" else None
        self.local_branch = None
        if settings.branches != "global":
            self.local_branch = branch_or_rival(receives, detail=settings.is_finer)
        self.refined_global = branch("all") if refines else None
        self.aggregation = None
        if isinstance(self.local_branch, Branch) and isinstance(self.global_branch, Branch):
            joined = self.local_branch.joined, self.global_branch.joined
            self.aggregation = Aggregation(*joined, classes)

        statistics = _with_statistics(settings)
        self.settings = settings.model_copy(update={"input": statistics})
        self.normalise = Normalise(statistics)

    def global_pass(self, thumbnails: Tensor) -> BranchOutput:
        """The plain global branch on thumbnails (B, bands, H, W), as stored."""
        return self._branch("global_branch")(self.normalise(thumbnails))

    def local_pass(
        self, patches: Tensor, places: Sequence[Place], global_maps: SharedMaps | None
    ) -> BranchOutput:
        """The local branch on patches (P, bands, h, w) of one size, as stored.

        Args:
            patches: Full-resolution pixels.
            places: Where each lies.
            global_maps: Of the plain global branch; not read where nothing is shared.
        """
        branch = self._branch("local_branch")
        received = None
        if branch.receives != "nothing" and global_maps is not None:
            maps = global_maps
            if branch.receives == "narrowed":
                maps = SharedMaps((), (), narrowed=global_maps.narrowed)
            received = crop_maps(maps, places, COARSE_FIRST, self.settings.alignment)
        return branch(self.normalise(patches), received)

    def refined_global_pass(self, thumbnails: Tensor, laid: SharedMaps) -> BranchOutput:
        """The refined global branch on thumbnails, joined by local maps laid onto the scenes.

        Args:
            thumbnails: (B, bands, H, W), as stored.
            laid: `Canvas.finished` of every scene, stacked.
        """
        return self._branch("refined_global")(self.normalise(thumbnails), laid)

    def global_share(self, joined: Tensor, places: Sequence[Place]) -> Tensor:
        """The global branch's share of the aggregated logits of patches of one size.

        Args:
            joined: The last global features (B, C, H, W): refined ones where the network has them.
            places: Where the patches lie.
        """
        return self._aggregator.global_half(self.global_features(joined, places))

    def global_features(self, joined: Tensor, places: Sequence[Place]) -> Tensor:
        """The last global features under patches of one size."""
        cells = places[0].window.size.cells(self.settings.output_stride)
        return crop_under(joined, places, cells, self.settings.alignment)

    def aggregate(self, local: Tensor, under: Tensor) -> Tensor:
        """Aggregated logits of patches, from local features and the global ones under them."""
        return self._aggregator.local_half(local) + self._aggregator.global_half(under)

    def local_share(self, joined: Tensor) -> Tensor:
        """The local branch's share of the aggregated logits, bias included."""
        return self._aggregator.local_half(joined)

    @property
    def thumbnail_size(self) -> Size:
        """What the global branch sees a scene as."""
        return self.settings.thumbnail_size

    @property
    def _aggregator(self) -> Aggregation:
        if self.aggregation is None:
            msg = f"a network of the {self.settings.branches} branch alone aggregates nothing"
            raise ValueError(msg)
        return self.aggregation

    def _branch(self, name: str) -> "Branch | Rival":
        branch: Branch | Rival | None = getattr(self, name)
        if branch is None:
            msg = f"this network ({self.settings.branches}, {self.settings.sharing}) has no {name}"
            raise ValueError(msg)
        return branch


def _rival(settings: ModelSettings, classes: int) -> "Rival":
    """The rival that the settings name, from libraries that GLNet does not need."""
    try:
        from glnet.model.rivals import Rival  # noqa: PLC0415  an extra, and slow to import
    except ImportError as error:
        msg = f"model.network: {settings.network} needs: {install('rivals')} ({error})"
        raise RecipeError(msg) from error
    return Rival(settings, classes)


def _with_statistics(settings: ModelSettings) -> InputSettings:
    """The input settings, mean and deviation filled in from the trunk where they are not given."""
    given, bands = settings.input, settings.bands
    known = {"mean": given.mean, "deviation": given.deviation}
    for name, own in zip(known, input_statistics(settings.trunk), strict=True):
        if known[name] is None:
            # A trunk pretrained on RGB says nothing of other bands: their mean serves all.
            known[name] = own if bands == len(own) else [sum(own) / len(own)] * bands
    return given.model_copy(update=known)


def build_glnet(settings: ModelSettings, classes: int) -> GLNet:
    """A network with random weights, in evaluation mode."""
    return GLNet(settings, classes).eval()

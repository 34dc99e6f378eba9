"""What a coarse-to-fine network promises: the plain one's scores in the boxes, background around.

The coarse mask of a random network is set by the bias of its global classifier.
"""

import numpy as np
import pytest
import torch

from glnet.boxes import PatchCount, find_boxes, patches_in
from glnet.engines.torch_engine import TorchEngine
from glnet.engines.turning import segment_turned
from glnet.geometry import OUTPUT_STRIDE, Size, Window, patch_grid
from glnet.model.branch import SharedMaps
from glnet.model.sharing import Canvas
from glnet.sharing import COARSE_FIRST, Place
from networks import SHARINGS, random_scene, tiny_network

#: No side is a multiple of the output stride.
SCENE = random_scene(331, 283)


def network(share, sharing="bidirectional", scene=SCENE, **search):
    """A network whose coarse mask shows foreground on about a share of a scene."""
    model = tiny_network(2, sharing=sharing, coarse_to_fine={"boxes": 1, **search})
    with torch.no_grad():
        logits = coarse_logits(model, scene)
        lead = (logits[1] - logits[0]).flatten().sort(descending=True).values
        count = round(share * len(lead))
        shift = lead[count] if 0 < count < len(lead) else lead[0] + 1 if not count else lead[-1] - 1
        model.global_branch.classify.bias[0] += shift
    return model


def coarse_logits(model, scene=SCENE):
    with torch.no_grad():
        return model.global_pass(thumbnail(model, scene)).logits[0]


def thumbnail(model, scene=SCENE):
    return torch.from_numpy(scene.thumbnail(model.thumbnail_size))[None]


def segment(model, scene=SCENE, mini_batch=6):
    engine = TorchEngine(model, torch.device("cpu"), mini_batch=mini_batch)
    return engine.segment(scene, model.settings.views)


def whole_grid(model, scene=SCENE):
    return patch_grid(scene.size, model.settings.patch, model.settings.overlap)


def plain_twin(model):
    """The same weights without the search."""
    twin = tiny_network(2, sharing=model.settings.sharing)
    twin.load_state_dict(model.state_dict())
    return twin


def full(scores):
    return torch.cat([strip for _, strip in scores.strips()], dim=1)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_coarse_mask_that_fills_the_scene_gives_the_plain_network(sharing):
    model = network(1.0, sharing)
    plain = segment(plain_twin(model))

    found = segment(model)

    assert found.patches == plain.patches
    assert found.patches.computed == found.patches.whole == len(whole_grid(model))
    for view, scores in plain.views.items():
        assert torch.equal(full(found.views[view]), full(scores))


def test_an_empty_coarse_mask_is_background_and_costs_no_patch():
    model = network(0.0)

    found = segment(model)

    assert found.patches == PatchCount(0, len(whole_grid(model)))
    for scores in found.views.values():
        assert scores.labels().shape == SCENE.size
        assert not scores.labels().any()


@pytest.mark.parametrize("background", [0, 1])
def test_all_that_lies_outside_of_the_boxes_is_background(background):
    """To half a cell of the output, over which scores are blended at a box's edge."""
    model = network(0.02, boxes=3, background=background)
    if background:
        classify = model.global_branch.classify
        with torch.no_grad():
            classify.weight.copy_(classify.weight.flip(0))
            classify.bias.copy_(classify.bias.flip(0))

    found = segment(model)

    outside = np.ones(SCENE.size, bool)
    for window in chosen(model):
        blend = OUTPUT_STRIDE // 2
        rows = slice(max(0, window.top - blend), window.bottom + blend)
        outside[rows, max(0, window.left - blend) : window.right + blend] = False
    assert outside.mean() > 0.3
    for view in ("aggregated", "local"):
        assert (found.views[view].labels()[outside] == background).all()


def chosen(model):
    """The patches that the network should look at."""
    search = model.settings.coarse_to_fine
    mask = (coarse_logits(model).argmax(0) != search.background).numpy()
    return patches_in(find_boxes(mask, SCENE.size, search, model.settings), model.settings)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_in_the_boxes_each_patch_is_as_the_paper_joins_it(sharing):
    """A slow twin: every patch alone, laid alone, summed by cells in float64."""
    model = network(0.02, sharing, boxes=3)
    windows = chosen(model)
    assert 1 < len(windows) < len(whole_grid(model))

    found = segment(model, mini_batch=4)

    assert found.patches.computed == len(windows)
    local, aggregated = slow_twin(model, windows)
    for view, twin in (("local", local), ("aggregated", aggregated)):
        cells = found.views[view].cells.double()
        covered = ~torch.isnan(twin)
        assert torch.allclose(cells[covered], twin[covered], atol=1e-4)


@torch.no_grad()
def slow_twin(model, windows):
    """Logits of the local view and aggregated ones; NaN in cells that no window covers."""
    plain = model.global_pass(thumbnail(model))
    places = [Place(0, SCENE.size, window) for window in windows]
    outputs = [
        model.local_pass(torch.from_numpy(SCENE.read(place.window))[None], [place], plain.maps)
        for place in places
    ]
    joined = plain.joined
    if model.refined_global is not None:
        canvas = Canvas(SCENE.size, model.thumbnail_size, "exact")
        for place, output in zip(places, outputs, strict=True):
            canvas.add(output.maps, [place.window], COARSE_FIRST)
        laid = SharedMaps(*(tuple(m[None] for m in kind) for kind in canvas.finished()))
        joined = model.refined_global_pass(thumbnail(model), laid).joined
    shape = (2, *SCENE.size.cells(OUTPUT_STRIDE))
    sums = torch.zeros((2, *shape), dtype=torch.float64)
    count = torch.zeros(shape, dtype=torch.float64)
    for place, output in zip(places, outputs, strict=True):
        under = model.global_features(joined, [place])
        both = output.logits[0], model.aggregate(output.joined, under)[0]
        top, left = place.window.top // OUTPUT_STRIDE, place.window.left // OUTPUT_STRIDE
        here = (slice(top, top + both[0].shape[1]), slice(left, left + both[0].shape[2]))
        for total, logits in zip(sums, both, strict=True):
            total[:, *here] += logits
        count[:, *here] += 1
    return sums / torch.where(count > 0, count, torch.nan)


def test_around_the_boxes_the_coarse_scores_stand():
    """One patch in a corner: in the opposite one the scores are the plain global branch's."""
    model = network(0.0)
    coarse = segment(model).views["aggregated"]
    far = Window(200, 200, 131, 83)
    logits = coarse_logits(model)
    with torch.no_grad():
        model.global_branch.classify.bias[1] += (logits[0] - logits[1]).flatten().min() + 1e-4

    found = segment(model)

    assert found.patches.computed == 1
    assert not chosen(model)[0].meets(far)
    assert torch.allclose(found.views["aggregated"].read(far)[0], coarse.read(far)[0], atol=1e-5)


def test_mini_batches_hold_patches_of_one_size_whatever_the_boxes():
    """Boxes at the far borders have shorter patches; the mini-batch changes no score."""
    model = network(0.6, boxes=4, margin=0.0)
    sizes = {window.size for window in chosen(model)}
    assert len(sizes) > 1

    one, many = segment(model, mini_batch=1), segment(model, mini_batch=50)

    for view, scores in one.views.items():
        assert torch.allclose(scores.cells, many.views[view].cells, atol=1e-4)


def test_turned_passes_count_their_patches_together():
    model = network(0.02)
    engine = TorchEngine(model, torch.device("cpu"))

    found = segment_turned(engine, SCENE, ["aggregated"])

    assert found.patches.whole == 8 * len(whole_grid(model))
    assert 8 <= found.patches.computed < found.patches.whole
    assert Size(*found.views["aggregated"].labels().shape) == SCENE.size

"""What the network promises: the paper's sharing, any size, any four-stage trunk, no memory."""

import pytest
import torch
from safetensors.torch import save_file

from glnet.engines.torch_engine import TorchEngine
from glnet.errors import BundleError, RecipeError
from glnet.geometry import Size, patch_grid
from glnet.model.authors import key_table, translate
from glnet.model.initialise import start_alone, start_pyramid, start_refined
from glnet.model.sharing import Canvas
from glnet.model.trunk import STRIDES, Trunk
from glnet.sharing import COARSE_FIRST, Place
from networks import NETWORKS, named, random_scene, seasoned, tiny_network


def segment(model, scene, mini_batch=6):
    engine = TorchEngine(model, torch.device("cpu"), mini_batch=mini_batch)
    return engine.segment(scene, model.settings.views).views


@pytest.mark.parametrize("alignment", ["exact", "authors"])
@pytest.mark.parametrize(
    ("height", "width"), [(30, 30), (64, 64), (65, 127), (128, 127), (37, 301), (291, 64)]
)
def test_scenes_of_any_size_get_a_finite_score_for_every_pixel(height, width, alignment):
    """Rectangular, odd, and smaller than a patch: scores cover the scene, pixel by pixel."""
    model = tiny_network(alignment=alignment)

    found = segment(model, random_scene(height, width))

    for scores in found.values():
        assert scores.labels().shape == (height, width)
        covered = sum(int(torch.isfinite(strip).sum()) for _, strip in scores.strips())
        assert covered == 3 * height * width


@pytest.mark.parametrize("side", [300, 508, 1016, 2323])
def test_sizes_that_crash_the_authors_code_work_with_its_patches(side):
    """With 508 px patches and both alignments, on the sizes that crash or leave holes there."""
    for alignment in ("exact", "authors"):
        model = tiny_network(
            classes=2, width=2, thumbnail=64, patch=508, overlap=50, alignment=alignment,
            trunk_options={"channels": [2, 2, 2, 2]},
        )  # fmt: skip

        found = segment(model, random_scene(side, 300), mini_batch=1)

        for scores in found.values():
            assert all(torch.isfinite(strip).all() for _, strip in scores.strips())


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_only_what_is_shared_reaches_the_other_branch(network):
    """Changing the thumbnail moves the local view exactly where the local branch receives."""
    model = tiny_network(**network)
    scene, other = random_scene(100, 90), random_scene(100, 90, seed=1)
    other.read = scene.read

    first, second = segment(model, scene), segment(model, other)

    same = torch.equal(first["local"].cells, second["local"].cells)
    assert same == (network["sharing"] == "none")
    assert not torch.equal(first["aggregated"].cells, second["aggregated"].cells)


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_the_local_view_alone_looks_at_the_scene_only_where_something_is_shared(network):
    """Asked for alone it is what it is beside the others, and no thumbnail is read for nothing."""
    model = tiny_network(**network)
    scene, engine = random_scene(100, 90), TorchEngine(model, torch.device("cpu"))
    looks, shrink = [], scene.thumbnail
    scene.thumbnail = lambda size: looks.append(size) or shrink(size)

    alone = engine.segment(scene, ["local"]).views["local"]

    assert bool(looks) == (network["sharing"] != "none")
    assert torch.equal(alone.cells, segment(model, scene)["local"].cells)


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_patches_reach_the_global_view_only_both_ways(network):
    """The global view reads the patches in the bidirectional network, and in no other."""
    model = tiny_network(**network)
    scene, other = random_scene(100, 90), random_scene(100, 90, seed=1)
    other.thumbnail = scene.thumbnail

    first, second = segment(model, scene), segment(model, other)

    same = torch.equal(first["global"].cells, second["global"].cells)
    assert same == (network["sharing"] != "bidirectional")


def test_shallow_sharing_reads_the_narrowed_maps_alone():
    """The lateral, smoothing and narrowing convolutions of a shallow local branch are single."""
    shallow, deep = tiny_network(sharing="shallow"), tiny_network(sharing="global_to_local")

    assert shallow.local_branch.lateral[0].in_channels == 64
    assert deep.local_branch.lateral[0].in_channels == 128
    assert shallow.local_branch.join.in_channels == deep.local_branch.join.in_channels == 32


@pytest.mark.parametrize("part", ["lateral", "smooth"])
@pytest.mark.parametrize("level", range(4))
def test_the_classes_of_a_normed_pyramid_read_coarse_maps_through_the_finest_alone(part, level):
    """Each level's convolutions move the scores, until the finest smoothed maps are cut off."""
    branch = seasoned(pyramid="normed", branches="local", sharing="none").local_branch
    pixels = torch.randn(1, 3, 64, 64)

    def scores():
        with torch.no_grad():
            return branch(pixels).logits

    def change():
        with torch.no_grad():
            getattr(branch, part)[level].weight.neg_()

    before = scores()
    change()
    assert not torch.allclose(scores(), before, atol=1e-3)
    with torch.no_grad():
        branch.smooth_norm[-1].weight.zero_()
    cut_off = scores()
    change()
    assert torch.equal(scores(), cut_off)


def test_a_normed_pyramid_learns_from_one_patch_of_one_coarse_cell():
    """Such a patch has no deviation at the coarsest level, which batch norms refuse."""
    branch = tiny_network(pyramid="normed", branches="local", sharing="none").local_branch
    branch.train().trunk.eval()

    branch(torch.randn(1, 3, 32, 32)).logits.square().mean().backward()

    for conv in (*branch.lateral, *branch.smooth):
        assert conv.weight.grad.abs().max() > 0


def test_an_engine_keeps_nothing_of_a_scene():
    """A scene gives the same bytes before and after another one, of another size."""
    model = tiny_network()
    scene = random_scene(130, 90)

    first = segment(model, scene)
    segment(model, random_scene(64, 200, seed=2))
    second = segment(model, scene)

    for view, scores in first.items():
        assert torch.equal(scores.cells, second[view].cells)


def test_the_mini_batch_does_not_change_the_scores():
    """One patch at a time or all at once: the same to rounding."""
    model = tiny_network()
    scene = random_scene(150, 170)

    one, many = segment(model, scene, 1), segment(model, scene, 50)

    for view in model.settings.views:
        largest = one[view].cells.abs().max()
        assert (one[view].cells - many[view].cells).abs().max() <= 1e-5 * largest


def test_halves_of_the_aggregation_add_up_to_the_whole():
    """Local and global halves together are the convolution over both, border included."""
    layer = tiny_network().aggregation
    local, under = torch.randn(2, 16, 9, 7), torch.randn(2, 16, 9, 7)

    halves = layer.local_half(local) + layer.global_half(under)

    whole = layer.conv(torch.cat([local, under], dim=1))
    assert torch.allclose(halves, whole, atol=1e-5)


@pytest.mark.parametrize("pyramid", ["linear", "normed"])
def test_a_refined_branch_starts_as_the_plain_one(pyramid):
    """Whatever is laid onto the scene, its first output is the plain branch's."""
    model = seasoned(pyramid=pyramid)
    start_refined(model, "plain")
    thumbnail = torch.from_numpy(random_scene(64, 64).pixels)[None]
    scene, canvas = Size(96, 96), Canvas(Size(96, 96), Size(64, 64), "exact")
    plain = model.global_pass(thumbnail)
    for window in patch_grid(scene, 64, 16):
        patch = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
        local = model.local_pass(patch, [Place(0, scene, window)], plain.maps)
        canvas.add(local.maps, [window], COARSE_FIRST)
    laid = type(plain.maps)(*(tuple(m[None] for m in kind) for kind in canvas.finished()))

    refined = model.refined_global_pass(thumbnail, laid)

    assert torch.allclose(refined.logits, plain.logits, atol=1e-5)


@pytest.mark.parametrize("larger", [1, 40])
def test_a_pyramid_starts_with_maps_of_unit_size(larger):
    """However large the trunk's are; and to look at them moves no batch statistics."""
    branch = tiny_network().global_branch.train()
    with torch.no_grad():
        branch.trunk.body.bn1.weight.mul_(larger)
    before = {key: value.clone() for key, value in branch.trunk.state_dict().items()}
    start_pyramid(branch, "unit")
    assert all(torch.equal(before[key], value) for key, value in branch.trunk.state_dict().items())

    maps = branch.trunk(torch.randn(2, 3, 128, 128))

    for conv, map_ in zip(branch.lateral, maps, strict=True):
        assert 0.5 < conv(map_).square().mean().sqrt() < 2


def test_a_local_branch_starts_with_maps_as_large_as_alone():
    """Its convolutions are drawn for twice as many channels as they read at first."""
    model, alone = tiny_network(width=64), tiny_network(width=64, branches="local", sharing="none")
    start_alone(model)
    for kind in ("smooth", "narrow"):
        own, wanted = (getattr(m.local_branch, kind)[0].weight for m in (model, alone))
        assert torch.isclose(own[:, : wanted.shape[1]].std(), wanted.std(), rtol=0.05)


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_a_local_branch_starts_as_it_would_alone(network):
    """Whatever the global one lends; and all that reads it learns from the first step on."""
    model = tiny_network(**network)
    alone = tiny_network(**{**network, "branches": "local", "sharing": "none"})
    start_alone(model)
    own = alone.local_branch.state_dict()
    started = model.local_branch.state_dict()
    # Convolutions of both have their own half, in front, from the same draw.
    alone.local_branch.load_state_dict(
        {key: started[key][tuple(map(slice, value.shape))] for key, value in own.items()}
    )
    places = [Place(0, Size(96, 96), window) for window in patch_grid(Size(96, 96), 64, 16)]
    patches = torch.randint(0, 256, (len(places), 3, 64, 64), dtype=torch.uint8)
    wanted = alone.local_pass(patches, places, None)
    for seed in range(2):
        thumbnail = torch.from_numpy(random_scene(64, 64, seed=seed).pixels)[None]
        seen = model.global_pass(thumbnail)

        local = model.local_pass(patches, places, seen.maps)
        logits = model.aggregate(local.joined, model.global_features(seen.joined, places))

        assert torch.allclose(local.logits, wanted.logits, atol=1e-5)
        assert torch.allclose(logits, model.local_share(wanted.joined), atol=1e-5)
    logits.square().sum().backward()
    for name, weight in model.local_branch.named_parameters():
        if weight.ndim > 1 and "trunk" not in name and "classify" not in name:
            assert weight.grad[:, weight.shape[1] // 2 :].abs().max() > 0, name


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "mobilenetv4_conv_small", "swin_s3_tiny_224"]
)
def test_trunks_give_four_maps_of_rounded_up_size(name):
    """Any four-stage timm model, on a size that no stride divides, or a plain refusal."""
    options = {"strict_img_size": False} if name.startswith("swin") else {}
    trunk = Trunk(name, bands=3, options=options).eval()

    with torch.no_grad():
        maps = trunk(torch.zeros(1, 3, 75, 101))

    for map_, stride, channels in zip(maps[::-1], STRIDES, trunk.channels, strict=True):
        assert map_.shape == (1, channels, -(-75 // stride), -(-101 // stride))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv4_conv_small"])
def test_trunks_give_the_map_above_the_four_too(name):
    """Where it is asked for, behind the others; some trunks have none, which is said."""
    trunk = Trunk(name, bands=3, options={}, detail=True).eval()

    with torch.no_grad():
        *maps, finest = trunk(torch.zeros(1, 3, 75, 101))

    assert len(maps) == len(trunk.channels) == 4
    assert finest.shape == (1, trunk.detail, 38, 51)
    with pytest.raises(RecipeError, match=r"'convnext_atto' has .* or say model.finest: 4"):
        Trunk("convnext_atto", bands=3, options={}, detail=True)


@pytest.mark.parametrize("name", ["no_such_network", "vit_tiny_patch16_224"])
def test_a_trunk_without_the_four_stages_is_refused(name):
    """The error names the trunk."""
    with pytest.raises(RecipeError, match=name):
        Trunk(name, bands=3, options={})


def test_weights_load_from_a_file_and_adapt_to_more_bands(tmp_path):
    """A classifier in the file is left out; a stem of three bands serves five."""
    source = Trunk("resnet18", 3, {})
    state = dict(source.body.state_dict()) | {"fc.weight": torch.zeros(10, 512)}
    save_file(state, tmp_path / "weights.safetensors")
    same, wider = Trunk("resnet18", 3, {}), Trunk("resnet18", 5, {})

    for trunk in (same, wider):
        trunk.load(str(tmp_path / "weights.safetensors"))

    key = "layer4.1.conv2.weight"
    assert torch.equal(same.body.state_dict()[key], state[key])
    assert torch.equal(wider.body.state_dict()[key], state[key])
    assert wider.body.state_dict()["conv1.weight"].shape[1] == 5


def test_weights_of_another_network_are_refused(tmp_path):
    """Never silently half loaded."""
    save_file(Trunk("resnet18", 3, {}).body.state_dict(), tmp_path / "w.safetensors")

    with pytest.raises(BundleError, match="not weights of 'resnet26'"):
        Trunk("resnet26", 3, {}).load(str(tmp_path / "w.safetensors"))


def test_imagenet_weights_that_cannot_be_fetched_are_an_error(monkeypatch, tmp_path):
    """Offline and without a cached copy, the trunk does not start from random weights."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(BundleError, match=r"could not be fetched"):
        Trunk("resnet10t", 3, {}).load("imagenet")


def authors_checkpoint(model):
    """Weights of a small network of one branch under the authors' names."""
    state = model.state_dict()
    table = key_table("none", state)
    return {theirs: state[key].clone() for key, (_, theirs) in table.items()}


def test_the_authors_checkpoint_needs_no_counts_of_batches():
    """PyTorch before 0.4.1 wrote none; everything else has to be there."""
    model = tiny_network(branches="global", sharing="none")
    checkpoint = authors_checkpoint(model)
    counts = [key for key in checkpoint if key.endswith("num_batches_tracked")]
    for key in counts:
        del checkpoint[key]

    found = translate("none", {"global": checkpoint}, model.state_dict())

    assert counts
    assert found.keys() == model.state_dict().keys()
    assert all(torch.equal(found[key], value) for key, value in model.state_dict().items())


def test_an_authors_checkpoint_with_a_weight_that_is_no_number_is_refused():
    """Its every mask would be of one class; the tensor is named."""
    model = tiny_network(branches="global", sharing="none")
    checkpoint = authors_checkpoint(model)
    checkpoint["fpn_global.smooth1_1.weight"][0, 0, 0, 0] = torch.nan

    with pytest.raises(BundleError, match=r"damaged: fpn_global\.smooth1_1\.weight"):
        translate("none", {"global": checkpoint}, model.state_dict())


def test_input_statistics_are_the_trunks_unless_given():
    """By default the pretraining's mean and deviation, filled in for the bundle."""
    default, given = tiny_network(), tiny_network(input={"mean": [0, 0, 0], "deviation": [1, 1, 1]})
    pixels = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)

    assert default.settings.input.mean == pytest.approx([0.485, 0.456, 0.406])
    assert torch.equal(given.normalise(pixels), torch.ones(1, 3, 2, 2))
    assert default.normalise(pixels)[0, :, 0, 0].tolist() == pytest.approx(
        [(1 - m) / d for m, d in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]
    )

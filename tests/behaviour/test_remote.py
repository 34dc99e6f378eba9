"""Images on a server: the same mask as from the file, and nothing else is asked for."""

import json
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine

from glnet.errors import RasterError
from glnet.geometry import Window
from glnet.raster import Raster, shown
from glnet.raster.addresses import address_of, gdal_options, place_of
from makers import box, check_one_line, feature, noise, write_geojson, write_png, write_tif
from networks import exported_tiny
from serving import served

HEIGHT, WIDTH, SCENE = 400, 600, 128
GROUND = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_200_000)}
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


@pytest.fixture
def server():
    with served() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported_tiny(tmp_path_factory.mktemp("models") / "model", ["land", "water", "road"])


def write_scene(path, seed=0):
    return write_tif(path, noise(3, HEIGHT, WIDTH, seed=seed), **TILED, **GROUND)


@pytest.fixture
def image(tmp_path):
    return write_scene(tmp_path / "scene.tif")


@pytest.fixture
def predict(glnet, model):
    """The command on an image: status, lines on stderr, the report beside the mask."""

    def run(place, out, *options):
        status, lines = glnet(
            "predict", place, "-m", model, "-o", out, "--device", "cpu", "--scene", SCENE, *options
        )
        report = out.with_name(f"{out.stem}.report.json")
        return status, lines, json.loads(report.read_text()) if report.exists() else None

    return run


def test_the_mask_is_the_one_of_the_file(tmp_path, server, image, predict):
    url = server.put("scene.tif", image)
    here, there = tmp_path / "here.tif", tmp_path / "there.tif"

    assert predict(image, here)[0] == 0
    status, lines, report = predict(url, there, "--remote")

    assert (status, lines) == (0, [])
    assert there.read_bytes() == here.read_bytes()
    assert report["image"] == url
    assert report["computed"] == report["parts"] > 8
    assert set(server.asked) == {"/scene.tif"}


def test_an_address_that_is_signed_for_getting_alone_is_read(server, image):
    url, window = server.put("scene.tif", image), Window(100, 200, 64, 64)
    server.gets_alone = True

    with Raster(f"{url}?signature=1", remote=True) as raster:
        found = raster.read(window)

    assert np.array_equal(found, noise(3, HEIGHT, WIDTH)[:, *window.slices])


def test_of_an_area_only_its_part_is_fetched(tmp_path, server, image, predict):
    url = server.put("scene.tif", image)
    area = write_geojson(
        tmp_path / "area.geojson",
        [feature(box(500_010, 5_199_960, 500_020, 5_199_970))],
        crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}},
    )
    here, there = tmp_path / "here.tif", tmp_path / "there.tif"

    assert predict(image, here, "--within", area)[0] == 0
    assert predict(url, there, "--within", area, "--remote")[0] == 0

    assert there.read_bytes() == here.read_bytes()
    assert server.sent < image.stat().st_size / 2


def test_an_address_is_read_only_where_that_is_said(tmp_path, server, image, predict):
    url = server.put("scene.tif", image)

    for place in (url, "s3://bucket/scene.tif", "gs://bucket/scene.tif"):
        status, lines, _ = predict(place, tmp_path / "mask.tif")
        check_one_line(status, lines, place, "--remote")

    assert server.asked == []
    assert not (tmp_path / "mask.tif").exists()


def dying(tmp_path, server, image, predict):
    """A run whose server hangs up in its middle: address, mask, how many parts are missing."""
    url, out = server.put("scene.tif", image), tmp_path / "mask.tif"
    assert predict(url, tmp_path / "whole.tif", "--remote")[0] == 0
    total = len(server.asked)
    server.forget()
    server.dies = total // 2
    status, lines, report = predict(url, out, "--remote")
    assert status == 1
    assert not out.exists()
    assert 0 < report["computed"] < report["parts"]
    assert any("rows" in line and "columns" in line for line in lines)
    assert all(url in line or "parts failed" in line or "... and" in line for line in lines)
    server.forget()
    return url, out, report


@pytest.fixture
def impatient(monkeypatch):
    """GDAL asks a server that is gone once more at once."""
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_dies_costs_only_what_it_did_not_send(tmp_path, server, image, predict):
    url, out, first = dying(tmp_path, server, image, predict)

    status, _, report = predict(url, out, "--remote")

    assert status == 0
    assert report["reused"] > 0
    assert first["computed"] >= report["reused"]
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()


@pytest.mark.usefixtures("impatient")
def test_parts_of_another_file_at_the_address_are_not_used(tmp_path, server, image, predict):
    url, out, _ = dying(tmp_path, server, image, predict)
    other = write_scene(tmp_path / "other.tif", seed=1)
    server.put("scene.tif", other)

    status, _, report = predict(url, out, "--remote")

    assert (status, report["reused"]) == (0, 0)
    assert predict(other, tmp_path / "here.tif")[0] == 0
    assert out.read_bytes() == (tmp_path / "here.tif").read_bytes()


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, server, image):
    url, window = server.put("scene.tif", image), Window(0, 0, 64, 64)
    with Raster(url, remote=True) as raster:
        assert np.array_equal(raster.read(window), noise(3, HEIGHT, WIDTH)[:, :64, :64])
        server.put("scene.tif", write_scene(tmp_path / "other.tif", seed=1))
        with pytest.raises(RasterError, match="was changed while it was read"):
            raster.read(Window(64, 64, 64, 64))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"files": {}}, "no such file (404)"),
        ({"status": 403}, "does not let it be read (403)"),
        ({"status": 401}, "GDAL_HTTP_USERPWD"),
        ({"status": 418}, "answers 418"),
        ({"parts": False}, "cannot send parts of it; download it first"),
        (
            {"leads": {"/scene.tif": "http://elsewhere.invalid/x?key=1"}},
            "leads on to elsewhere.inv",
        ),
    ],
)
def test_what_a_server_refuses_is_one_line(tmp_path, server, image, predict, change, named):
    url = server.put("scene.tif", image)
    for name, value in change.items():
        setattr(server, name, value)

    status, lines, _ = predict(url, tmp_path / "mask.tif", "--remote")

    check_one_line(status, lines, url, named)
    assert set(server.asked) == {"/scene.tif"}
    assert server.sent <= 16 if server.parts else True


def test_a_server_that_is_not_there_is_one_line(tmp_path, predict):
    with served() as gone:
        url = f"{gone.address}/scene.tif"

    status, lines, _ = predict(url, tmp_path / "mask.tif", "--remote")

    check_one_line(status, lines, url, "cannot be asked")


def test_a_virtual_raster_and_a_picture_are_refused(tmp_path, server, image, predict):
    server.put("scene.tif", image)
    text = f"<VRTDataset><SourceFilename>/vsicurl/{server.address}/scene.tif</SourceFilename>"
    (tmp_path / "scene.vrt").write_text(text + "</VRTDataset>")
    picture = write_png(tmp_path / "scene.png", noise(3, 80, 90))

    for path in (tmp_path / "scene.vrt", picture):
        url = server.put(path.name, path)
        status, lines, _ = predict(url, tmp_path / "mask.tif", "--remote", "--vrt")
        check_one_line(status, lines, url, "is no TIFF", "download it first")

    assert set(server.asked) == {"/scene.vrt", "/scene.png"}


def test_a_server_that_sends_half_a_file_is_one_line(tmp_path, server, image, predict):
    url = server.put("scene.tif", image)
    server.files["/scene.tif"] = image.read_bytes()[:5000]

    status, lines, _ = predict(url, tmp_path / "mask.tif", "--remote")

    assert status == 1
    assert all(
        (line.startswith("glnet: ") and url in line) or "parts failed" in line for line in lines
    )


def test_strips_across_a_wide_raster_are_not_fetched_again_and_again(tmp_path, server, predict):
    path = write_tif(tmp_path / "strips.tif", noise(3, 200, 1200), compress="deflate")
    url = server.put("strips.tif", path)

    status, lines, _ = predict(url, tmp_path / "mask.tif", "--remote")

    check_one_line(status, lines, url, "tiled TIFF")


def test_a_key_in_an_address_is_shown_nowhere(tmp_path, server, image, predict):
    url, out = server.put("scene.tif", image), tmp_path / "mask.tif"
    server.status = 403

    status, lines, _ = predict(f"{url}?signature=secret", out, "--remote")
    check_one_line(status, lines, url)
    server.status = 0
    status, _, report = predict(f"{url}?signature=secret", out, "--remote")

    assert status == 0
    assert "secret" not in lines[0]
    assert report["image"] == url
    assert set(server.asked) == {"/scene.tif?signature=secret"}


@pytest.fixture
def bucket(server, monkeypatch):
    """The same server, as one of object storage."""
    for key, value in {
        "AWS_S3_ENDPOINT": server.address.removeprefix("http://"), "AWS_HTTPS": "NO",
        "AWS_NO_SIGN_REQUEST": "YES", "AWS_VIRTUAL_HOSTING": "FALSE",
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    return server


def test_buckets_are_read_as_gdal_is_told_to(tmp_path, bucket, image, predict):
    bucket.put("bucket/scene.tif", image)
    here, there = tmp_path / "here.tif", tmp_path / "there.tif"

    assert predict(image, here)[0] == 0
    assert predict("s3://bucket/scene.tif", there, "--remote")[0] == 0
    status, lines, _ = predict("s3://bucket/none.tif", tmp_path / "none.tif", "--remote")

    assert there.read_bytes() == here.read_bytes()
    check_one_line(status, lines, "s3://bucket/none.tif", "404")
    # Where there is no such object, GDAL asks whether there is such a folder.
    assert {path.partition("?")[0] for path in bucket.asked} == {
        "/bucket/scene.tif", "/bucket/none.tif", "/bucket/",
    }  # fmt: skip


def test_a_bucket_whose_object_was_replaced_has_another_identity(tmp_path, bucket):
    found = []
    for seed in (0, 0, 1):
        bucket.put("bucket/scene.tif", write_scene(tmp_path / "one.tif", seed=seed))
        with Raster("s3://bucket/scene.tif", remote=True) as raster:
            found.append(raster.remote.identity)

    assert found[0] == found[1] != found[2]


# --- Addresses.


def test_an_address_survives_being_taken_for_a_path():
    for text in ("https://host/a/b.tif", "s3://bucket/key.tif"):
        assert str(address_of(Path(text))) == text == str(address_of(text))
    assert shown(Path("https://host/a.tif")) == "https://host/a.tif"
    assert shown("a/b.tif") == "a/b.tif"


@pytest.mark.parametrize("path", ["a.tif", "/a/http:/b", "C:/a.tif", "ftp://h/a.tif", "http:.tif"])
def test_paths_are_no_addresses(path):
    assert address_of(path) is None


def test_a_folder_called_like_a_scheme_holds_files(tmp_path, monkeypatch):
    (tmp_path / "http:/a").mkdir(parents=True)
    write_png(tmp_path / "http:/a/b.png", noise(3, 8, 8))
    monkeypatch.chdir(tmp_path)

    assert place_of(Path("http:/a/b.png"), remote=False) == Path("http:/a/b.png")


@pytest.mark.parametrize(
    "address",
    [
        "https://user:word@host/a.tif",
        "https://host/a b.tif",
        "https://host/ä",
        "s3://b",
        "http://h/",
    ],
)
def test_addresses_that_cannot_be_asked_are_refused(address):
    with pytest.raises(RasterError) as refused:
        place_of(address, remote=True)

    assert "word" not in str(refused.value).partition(":")[0]
    assert "user:word" not in str(refused.value)


def test_gdal_may_open_the_address_alone():
    options = gdal_options(address_of("https://host/a.tif?key=1"))

    assert options["CPL_VSIL_CURL_ALLOWED_FILENAME"] == "/vsicurl/https://host/a.tif?key=1"
    assert options["GDAL_DISABLE_READDIR_ON_OPEN"] == "EMPTY_DIR"

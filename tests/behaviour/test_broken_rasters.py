"""What `glnet predict` promises of any file at all: the right mask, or one line and nothing else.

Never a traceback, a crash, a line from a library, more memory than the budget or a file that looks
finished. What a file lost is never made up. How many files were tried is told at the end of a run.
"""

import contextlib
import html
import os
import random
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.engines.export import export_graphs
from glnet.engines.models import save_model
from images import (
    DEEP,
    FORMATS,
    ONE_BAND,
    cmyk,
    copied,
    one_bit,
    palette,
    patched,
    progressive,
    tif_header,
    vrt,
    webp,
    wide_jp2,
)
from makers import (
    check_one_line,
    claim_size,
    noise,
    opened,
    write_jpg,
    write_png,
    write_text,
    write_tif,
)
from networks import seasoned
from predicting import Worker

#: Filters of warnings belong to the process, and results are looked at in two threads.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

#: One narrow block a stage and the global branch alone: a tenth of a second for each prediction.
TRUNK = {"channels": [4, 4, 4, 4], "layers": [1, 1, 1, 1]}
SMALL = {"branches": "global", "width": 4, "trunk_options": TRUNK}
MODELS = {"colour": {}, "grey": {"bands": 1}, "deep": {"input": {"scale": 65535}}}
THREE = ClassTable(tuple(ClassInfo(name, i, (i, i, i)) for i, name in enumerate("abc")))

BUDGET = 256 << 20
#: Far more than any takes, also where many tests run side by side.
SECONDS = 60

HEIGHT, WIDTH = 64, 80
PIXELS = noise(3, HEIGHT, WIDTH)

CUTS, FLIPS = 20, 8

#: One of each suffix, and what is special.
KINDS = {"tiled TIFF", "PNG", "JPEG", "turned JPEG", "WebP", "BMP", "JPEG 2000"}


@dataclass
class Case:
    """A file, and what must become of it.

    Attributes:
        name: What it is.
        image: Its path.
        must: "predict", "refuse", or "either".
        model: Which of the models.
        options: More of the command's.
        sizes: The only ones that its mask may have; empty: any.
        scores: The only ones that it may have, to the last bit; None: nobody knows.
        out: The mask's name.
    """

    name: str
    image: Path
    must: str = "either"
    model: str = "colour"
    options: tuple = ()
    sizes: tuple = ((HEIGHT, WIDTH),)
    scores: np.ndarray | None = None
    out: str = "mask.tif"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for name, changes in MODELS.items():
        save_model(root / name, seasoned(**SMALL, **changes), THREE, "Made for a test.")
        export_graphs(root / name)
    return root


@pytest.fixture(scope="module")
def workers(models, tmp_path_factory):
    """Two processes, each of which has predicted once: libraries are loaded, and not counted."""
    image = write_tif(tmp_path_factory.mktemp("first") / "a.tif", PIXELS)
    both = SimpleQueue()
    for _ in range(2):
        worker = Worker()
        for _ in range(2):
            worker.ask(command(image, models / "colour", "mask.tif"), image.parent, SECONDS)
        both.put(worker)
    yield both
    while not both.empty():
        both.get().close()


@pytest.fixture
def tried(models, workers, record_property):
    """Predict many files; all that is wrong with any of them is told at once."""

    def run(cases):
        record_property("broken rasters", len(cases))
        with ThreadPoolExecutor(max_workers=2) as pool:
            faults = list(pool.map(lambda case: _fault(case, models, workers), cases))
        found = [f"{case.name}: {f}" for case, f in zip(cases, faults, strict=True) if f]
        assert not found, f"{len(found)} of {len(cases)} files:\n" + "\n".join(found)

    return run


def command(image, model, out, *options):
    return [
        "predict", *options, "--memory", f"{BUDGET >> 20}MiB", "--engine", "openvino", "--device",
        "cpu", "-m", model, "-o", out, "--", image,
    ]  # fmt: skip


def with_scores(out):
    return "--scores", f"{out}.scores.tif"


def _fault(case, models, workers):
    """What became of a file that must not; empty: nothing."""
    folder = case.image.parent
    before = _names(folder)
    out = folder.parent / f"{folder.name} out"
    out.mkdir()
    target, model = f"../{out.name}/{case.out}", models / case.model
    scores = () if case.scores is None else with_scores(target)
    worker = workers.get()
    try:
        answer = worker.ask(
            command(case.image.name, model, target, *scores, *case.options), folder, SECONDS
        )  # fmt: skip
    finally:
        workers.put(worker)
    new = _names(folder) - before
    if answer.fate or new or answer.added > BUDGET:
        return f"{answer.fate}, left {new} beside the image, took {answer.added >> 20} MiB"
    check = _fault_of_mask if answer.status == 0 else _fault_of_refusal
    return check(case, answer, out)


def _names(folder):
    return {path.name for path in folder.iterdir()}


def _fault_of_refusal(case, answer, out):
    said = answer.lines
    if case.must == "predict":
        return f"was refused: {said}"
    # What could be read of a raster of many scenes is kept for another try, and the line says so.
    kept = case.must == "either" and said and "the others are kept in" in said[-1]
    allowed = {f"{case.out}.parts", "mask.report.json"} if kept else set()
    if not _names(out) <= allowed:
        return f"left {_names(out)}"
    ours = all(line.startswith("glnet: ") and "memory;" not in line for line in said)
    if answer.status != 1 or not ours or not (kept or len(said) == 1):
        return f"ended with status {answer.status}: {said[-3:]}"
    return ""


def _fault_of_mask(case, answer, out):
    if case.must == "refuse" or answer.lines:
        return f"was predicted: {answer.lines}"
    stem = case.out.removesuffix(".tif")
    wanted = {case.out, f"{stem}.qml", f"{stem}.report.json"}
    if case.scores is not None:
        wanted.add(f"{case.out}.scores.tif")
    if _names(out) != wanted:
        return f"left {_names(out)}"
    with opened(out / case.out) as file:
        size = file.shape
    if case.sizes and size not in case.sizes:
        return f"has a mask of {size}"
    if case.scores is not None:
        with opened(out / f"{case.out}.scores.tif") as file:
            if not np.array_equal(file.read(), case.scores, equal_nan=True):
                return "was predicted wrongly"
    return ""


def scores_of(image, model, models, workers):
    """What a sound file gives."""
    out = image.parent / "expected.tif"
    worker = workers.get()
    answer = worker.ask(
        command(image, models / model, out, *with_scores(out)), image.parent, SECONDS
    )
    workers.put(worker)
    assert (answer.status, answer.lines) == (0, []), answer
    with opened(f"{out}.scores.tif") as file:
        return file.read()


@pytest.fixture(scope="module")
def sound(models, workers, tmp_path_factory):
    """The scores of the same pixels as a plain TIFF, by model."""
    folder = tmp_path_factory.mktemp("sound")
    deep = write_tif(folder / "deep.tif", PIXELS * np.uint16(257))
    return {
        "colour": scores_of(write_tif(folder / "a.tif", PIXELS), "colour", models, workers),
        "grey": scores_of(write_tif(folder / "b.tif", PIXELS[:1]), "grey", models, workers),
        "deep": scores_of(deep, "deep", models, workers),
    }


def _places(length):
    """Where a file is cut: in its first bytes, all along, and just before its end."""
    along = [length * i // (CUTS - 9) for i in range(1, CUTS - 9)]
    return sorted({0, 1, 4, 9, 30, *along, *(length - n for n in (1, 2, 4, 12, 20))})


EVERY = (
    [("colour", name, made) for name, made in FORMATS.items()]
    + [("grey", name, made) for name, made in ONE_BAND.items()]
    + [("deep", name, made) for name, made in DEEP.items()]
)  # fmt: skip


@pytest.mark.parametrize(("model", "name", "made"), EVERY, ids=[row[1] for row in EVERY])
def test_a_damaged_file_is_refused_or_gives_what_it_held(
    scenes, tried, models, workers, sound, model, name, made
):
    """Cut anywhere it never gives other scores; with other bytes it may, but of its own size.

    A PNG has checksums, so there a changed byte is found.
    """
    suffix, make, lossless = made
    whole = make(scenes.path(f"sound{suffix}"), PIXELS)
    scores = scores_of(whole, model, models, workers)
    if lossless:
        np.testing.assert_array_equal(scores, sound[model])
    content, size = whole.read_bytes(), scores.shape[1:]
    for length in _places(len(content)):
        scenes.add(f"cut to {length} of {len(content)}", f"a{suffix}", content[:length],
                   model=model, scores=scores, sizes=(size,))  # fmt: skip
    rng = random.Random(name)  # noqa: S311
    for number in range(FLIPS):
        changed = bytearray(content)
        reach = min(200 if number % 4 else len(content), len(content))
        for _ in range(rng.choice([2, 8, 32])):
            changed[rng.randrange(reach)] = rng.randrange(256)
        scenes.add(f"fuzzed {number}", f"a{suffix}", changed, model=model, sizes=(),
                   scores=scores if suffix == ".png" else None)  # fmt: skip
    tried(scenes.cases)


class Scenes:
    """Files, each in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.cases, self._made = folder, [], 0

    def path(self, name):
        self._made += 1
        folder = self.folder / str(self._made)
        folder.mkdir()
        return folder / name

    def add(self, what, name, make, must="either", **expected):
        """A file by its bytes, or by what makes it at a path and may give another one."""
        path = self.path(name)
        if isinstance(make, Callable):
            path = make(path) or path
        else:
            path.write_bytes(make)
        self.cases.append(Case(what, path, must, **expected))


@pytest.fixture
def scenes(tmp_path):
    return Scenes(tmp_path)


def test_a_name_says_nothing_about_the_format(scenes, tried, models, workers):
    """Whatever a file is called it is read as what it is, whole or cut."""
    for name, (suffix, make, _) in FORMATS.items():
        if name not in KINDS:
            continue
        whole = make(scenes.path(f"sound{suffix}"), PIXELS)
        scores = scores_of(whole, "colour", models, workers)
        content, size = whole.read_bytes(), scores.shape[1:]
        for other in {".tif", ".png", ".jpg"} - {suffix}:
            scenes.add(f"{name} as {other}", f"a{other}", content, "predict",
                       scores=scores, sizes=(size,))  # fmt: skip
            scenes.add(f"cut {name} as {other}", f"a{other}", content[: len(content) // 2],
                       "refuse")  # fmt: skip
    tried(scenes.cases)


def test_odd_sizes_are_predicted(scenes, tried):
    """A line of pixels, a pixel, more than one scene of them, nothing at all."""
    for height, width in ((1, 300), (300, 1), (1, 1)):
        pixels = noise(3, height, width)
        for name, (suffix, make, _) in FORMATS.items():
            if name in KINDS:
                sizes = ((width, height) if name == "turned JPEG" else (height, width),)
                scenes.add(f"{height} x {width} {name}", f"a{suffix}", write(make, pixels),
                           "predict", sizes=sizes)  # fmt: skip
    for size in ((1, 9001), (9001, 1)):
        for name, make in (("a.tif", write_tif), ("a.png", write_png)):
            scenes.add(f"{size} {name}", name, write(make, noise(3, *size)), "predict",
                       sizes=(size,))  # fmt: skip
    scenes.add("1 x 65000 JPEG", "a.jpg", write(write_jpg, noise(3, 1, 65_000)), "predict",
               sizes=((1, 65_000),))  # fmt: skip
    for size in ((0, 5), (5, 0), (0, 0)):
        for name in ("a.png", "a.jpg"):
            scenes.add(f"{size} {name}", name, claims(*size), "refuse")
        scenes.add(f"{size} TIFF", "a.tif", header(*size, rows=1), "refuse")
    for suffix in (".tif", ".png", ".jpg", ".jp2", ".bmp", ".webp", ".gif", ".vrt", ""):
        scenes.add(f"empty {suffix}", f"a{suffix}", b"", "refuse")
    tried(scenes.cases)


def write(make, pixels):
    return lambda path: make(path, pixels)


def claims(height, width):
    return lambda path: claim_size(path, height, width)


def header(*size, **claimed):
    return lambda path: tif_header(path, *size, **claimed)


def test_a_size_that_is_a_lie_is_found_in_the_header(scenes, tried):
    """Hundreds of bytes that claim gigapixels, or blocks that no budget holds."""
    for size in ((8000, 9000), (9999, 9999), (65_000, 65_000), (65_535, 65_535), (2**31 - 1,) * 2):
        scenes.add(f"PNG of {size}", "a.png", claims(*size), "refuse")
        if max(size) > 9999:  # for fewer tiles OpenJPEG makes room as it opens, 30 KB each
            scenes.add(f"JPEG 2000 of {size}", "a.jp2",
                       lambda path, size=size: wide_jp2(path, PIXELS, *size), "refuse")  # fmt: skip
        if max(size) < 2**16:
            scenes.add(f"JPEG of {size}", "a.jpg", claims(*size), "refuse")
            scenes.add(f"JPEG of {size} named otherwise", "a.tif",
                       lambda path, size=size: claim_size(path.with_suffix(".jpg"), *size).rename(
                           path), "refuse")  # fmt: skip
        swapped = struct.pack("<ii", *size)
        scenes.add(f"BMP of {size}", "a.bmp",
                   lambda path, new=swapped: patched(copied(path, PIXELS, "BMP"),
                                                     (b"BM", 16, new)), "refuse")  # fmt: skip
        scenes.add(f"PNM of {size}", "a.ppm", f"P6 {size[1]} {size[0]} 255\n".encode() + b"1" * 99,
                   "refuse")  # fmt: skip
        # Tiles that a TIFF has no place for are empty ground: such a file is sound, if it fits.
        tiles = [{"tile": 256}] if max(size) > 2**16 else []
        for claimed in ({"rows": 1}, {"rows": size[0]}, {"tile": 2**15}, *tiles):
            for packed in (1, 5, 7, 8):
                scenes.add(f"TIFF of {size}, {claimed}, {packed}", "a.tif",
                           header(*size, packed=packed, **claimed), "refuse")  # fmt: skip
    for packed in (1, 5, 8):
        scenes.add(f"a giant tile, {packed}", "a.tif",
                   header(HEIGHT, WIDTH, tile=2**15, packed=packed), "refuse")  # fmt: skip
        scenes.add(f"a giant strip, {packed}", "a.tif",
                   header(9000, 9000, rows=9000, packed=packed), "refuse")  # fmt: skip
    scenes.add("GIF of 65535", "a.gif",
               lambda path: patched(palette(path, PIXELS), (b",\0\0\0\0", 0, b"\xff" * 4)),
               "refuse", model="grey")  # fmt: skip
    tried(scenes.cases)


def test_a_giant_block_is_told_how_to_be_mended(scenes, models, workers):
    """From the header, with the command that does it."""
    path = tif_header(scenes.path("a.tif"), HEIGHT, WIDTH, tile=2**13)
    worker = workers.get()
    answer = worker.ask(
        command(path, models / "colour", path.parent / "m.tif"), path.parent, SECONDS
    )
    workers.put(worker)

    check_one_line(answer.status, answer.lines, path, "8192 x 8192", "gdal_translate -co TILED=YES")


def test_much_that_packs_well_is_predicted_within_the_budget(scenes, tried):
    """True bombs: what little bytes hold is what they claim."""
    pixels = np.zeros((3, 4800, 4800), np.uint8)
    for name, make, side, model in (
        ("a.png", write_png, 4800, "colour"),  # a quarter of the budget and more: copied
        ("a.jpg", progressive, 2400, "colour"),
        ("a.png", one_bit, 4500, "grey"),  # held in memory
        ("a.webp", webp, 2400, "colour"),
        ("a.tif", one_block, 2400, "colour"),
    ):
        scenes.add(f"{make.__name__} of zeros", name, write(make, pixels[:, :side, :side]),
                   "predict", model=model, sizes=((side, side),))  # fmt: skip
    scenes.add("too large a block", "a.tif", write(one_block, pixels), "refuse")
    scenes.add("too large a WebP", "a.webp", write(webp, pixels), "refuse")
    tried(scenes.cases)


def one_block(path, pixels):
    sides = {"blockysize": pixels.shape[1], "blockxsize": pixels.shape[2]}
    return write_tif(path, pixels, compress="deflate", tiled=True, **sides)


def test_other_kinds_of_values_are_predicted_or_refused(scenes, tried, sound):
    """Bands, depths, and values that are no numbers."""
    for name, told in (("a.jpg", "refuse"), ("a.tif", "predict")):  # GDAL makes RGB of it
        scenes.add(f"CMYK {name}", name, write(cmyk, PIXELS), told)
    for name in ("a.png", "a.tif", "a.gif", "a.bmp"):
        scenes.add(f"a palette {name}", name, write(palette, PIXELS), "refuse")
        scenes.add(f"bits {name}", name, write(one_bit, PIXELS), "refuse")
    for name in ("a.png", "a.tif", "a.jp2"):
        driver = {"a.png": "PNG", "a.tif": "GTiff", "a.jp2": "JP2OpenJPEG"}[name]
        scenes.add(f"16 bit {name}", name, gdals(driver, PIXELS * np.uint16(257)), "refuse")
    hole = sound["deep"].copy()
    hole[:, :10, :20] = np.nan
    for value in (np.nan, np.inf, -np.inf):
        pixels = PIXELS * np.float32(257)
        pixels[1, :10, :20] = value
        scenes.add(f"{value}", "a.tif", write(write_tif, pixels), "predict", model="deep")
        pixels[:] = value
        scenes.add(f"all {value}", "a.tif", write(write_tif, pixels), "predict", model="deep",
                   scores=np.full_like(hole, np.nan))  # fmt: skip
    pixels = PIXELS * 257.0
    pixels[1, :10, :20] = 1e300
    scenes.add(
        "beyond single precision", "a.tif", write(write_tif, pixels), "predict", model="deep"
    )
    for dtype in ("complex64", "complex128"):
        scenes.add(dtype, "a.tif", write(write_tif, PIXELS.astype(dtype)), "refuse", model="deep")
    scenes.add("complex_int16", "a.tif", write_complex, "refuse", model="deep")
    for dtype in ("int8", "int16", "int32", "uint32", "int64", "uint64", "float64"):
        pixels = noise(3, HEIGHT, WIDTH, dtype=np.dtype(dtype))
        scenes.add(dtype, "a.tif", write(write_tif, pixels), "predict", model="deep")
    tried(scenes.cases)


def gdals(driver, pixels):
    return lambda path: copied(path, pixels, driver)


def write_complex(path):
    shape = {"count": 3, "height": HEIGHT, "width": WIDTH, "dtype": "complex_int16"}
    with opened(path, "w", driver="GTiff", **shape) as file:
        file.write(PIXELS.astype(np.complex64))


@pytest.fixture
def server():
    """Where something would ask if it could: the place, and who did."""
    asked = []
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    other, _ = listening.accept()
                    asked.append(other.recv(200))
                    other.close()

        threading.Thread(target=answer, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)


SERVICE = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>http://{}/${{z}}/${{x}}/${{y}}.png</ServerUrl>'
    "</Service><DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>64</UpperLeftY>"
    "<LowerRightX>80</LowerRightX><LowerRightY>0</LowerRightY><SizeX>80</SizeX><SizeY>64</SizeY>"
    "</DataWindow><BandsCount>3</BandsCount></GDAL_WMS>"
)


def test_no_file_leads_elsewhere(scenes, tried, server, sound):
    """To other files only where it was said that it may, to servers never."""
    place, asked = server
    other = write_tif(scenes.path("other.tif"), PIXELS)
    service = write_text(scenes.path("service.xml"), SERVICE.format(place))
    url = f"http://{place}/a.tif"
    served = [
        url, html.escape(SERVICE.format(place)), service, f"vrt://{url}", f"DAAS:{url}",
        *(f"{kind}:{url}" for kind in ("WMTS", "WCS", "STACIT", "STACTA", "NETCDF")),
        *(f"{way}{url}" for way in ("/vsicurl/", "/vsicurl_streaming/", "/vsigzip//vsicurl/")),
        f'ZARR:"/vsicurl/{url}"', "/vsis3/bucket/a.tif", "/vsistdin/",
    ]  # fmt: skip
    elsewhere = ["/etc/passwd", "/dev/zero", "/dev/stdin", "a.vrt", "", "/", "gone.tif", *served]
    for source in elsewhere:
        for options in ((), ("--vrt",)):
            scenes.add(f"a VRT of {source}, {options}", "a.vrt", leads_to(source), "refuse",
                       options=options)  # fmt: skip
    for name in ("a.vrt", "a.tif", "a.xml"):
        scenes.add(f"a VRT as {name}", name, leads_to(other), "refuse")
        scenes.add(f"an allowed VRT as {name}", name, leads_to(other), "predict",
                   options=("--vrt",), scores=sound["colour"])  # fmt: skip
        for text in (SERVICE.format(place), "no image\n", "<WMS_Capabilities/>", '{"type": "a"}'):
            scenes.add(f"text as {name}", name, text.encode(), "refuse", options=("--vrt",))
    scenes.add("a huge VRT", "a.vrt", leads_to(other, height=2**31 - 1, width=2**31 - 1), "refuse",
               options=("--vrt",))  # fmt: skip
    scenes.add("a raw VRT", "a.vrt", raw_vrt, "refuse")
    up = "../" * len(other.parents)
    for source in (other, service):
        scenes.add(f"an ERS of {source}", "a.ers", ers(f"{up}{source}"), "refuse")
    scenes.add("a PCIDSK of /etc/passwd", "a.pix", pcidsk, "refuse")
    try:
        tried(scenes.cases)
    finally:
        assert not asked


def leads_to(source, **size):
    return lambda path: vrt(path, source, source, source, **size)


def raw_vrt(path):
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}" subClass="VRTRawRasterBand">'
        "<SourceFilename>/etc/passwd</SourceFilename></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    write_text(path, f'<VRTDataset rasterXSize="5" rasterYSize="5">{bands}</VRTDataset>')


def pcidsk(path):
    """Its pixels lie in other files, which it names."""
    whole = write_tif(path, PIXELS, driver="PCIDSK", INTERLEAVING="FILE").read_bytes()
    for band in (1, 2, 3):
        whole = whole.replace(b"a.%03d     " % band, b"/etc/passwd")
    path.write_bytes(whole)


def ers(data):
    lines = [
        "DatasetHeader Begin", 'Version = "6.0"', f'DataFile = "{data}"',
        "DataSetType = Translated", "DataType = Raster", "ByteOrder = LSBFirst",
        "RasterInfo Begin", "CellType = Unsigned8BitInteger",
        f"NrOfLines = {HEIGHT}", f"NrOfCellsPerLine = {WIDTH}", "NrOfBands = 3", "RasterInfo End",
        "DatasetHeader End",
    ]  # fmt: skip
    return lambda path: write_text(path, *lines)


def test_what_is_no_file_is_refused_at_once(scenes, tried):
    """Pipes and devices would be waited for, links may lead round in circles."""
    made = {
        "a pipe": os.mkfifo,
        "a folder": lambda path: path.mkdir(),
        "a loop": lambda path: path.symlink_to(path),
        "zeros": lambda path: path.symlink_to("/dev/zero"),
        "nothing": lambda path: path.symlink_to("/dev/null"),
        "a link to nothing": lambda path: path.symlink_to("gone"),
        "standard input": lambda path: path.symlink_to("/dev/stdin"),
        "a socket": bind,
        "missing": lambda path: None,  # noqa: ARG005
        "not allowed": lambda path: write_tif(path, PIXELS).chmod(0),
        "memory": lambda path: path.symlink_to("/proc/self/mem"),
    }
    for name, make in made.items():
        for suffix in (".tif", ".png", ".jpg"):
            if name != "not allowed" or os.geteuid():
                scenes.add(f"{name} as {suffix}", f"a{suffix}", make, "refuse")
    for name in ("x" * 300 + ".tif", "a.tif/b.tif", "/dev/zero", "", "."):
        scenes.cases.append(Case(name, Strange(scenes.path("a.tif").parent, name), "refuse"))
    tried(scenes.cases)


@dataclass
class Strange:
    """A name that no path object keeps as it is, or no folder."""

    parent: Path
    name: str


def bind(path):
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):
        made.bind(path.name)


NAMES = [
    "with spaces.tif", "new\nline.tif", "tab\t.tif", "über 東京 🗺.tif", "-leading.tif",
    "--help.tif", "a:b.tif", "http:.tif", "GTIFF_DIR:1:a.tif", "%s %d.tif", "*?.tif",
    "'\"<&>.tif", "\x1b[31m.tif", "$HOME;`ls`.tif", "a.vrt.tif", "~.tif", "[bold].tif",
    "C:\\a.tif", ".tif.tif", "a\u202eb.tif", "x" * 200 + ".tif", "zip.zip,a.tif",
    "a?b=1&c=2.tif", "a#b.tif",
]  # fmt: skip


@pytest.mark.parametrize("broken", [False, True], ids=["sound", "cut"])
def test_any_name_will_do(scenes, tried, sound, broken):
    """Of the image, and of the mask."""
    content = write_tif(scenes.path("a.tif"), PIXELS).read_bytes()
    for name in NAMES:
        if broken:
            scenes.add(repr(name), name, content[:5000], "refuse", out=name)
        else:
            scenes.add(repr(name), name, content, "predict", scores=sound["colour"], out=name)
    tried(scenes.cases)


def test_a_name_that_is_no_text_is_refused_or_predicted(scenes, tried, sound):
    """File systems take any bytes."""
    content = write_tif(scenes.path("a.tif"), PIXELS).read_bytes()
    name = os.fsdecode(b"\xff\xfe.tif")
    scenes.add("bytes", name, content, scores=sound["colour"])
    scenes.add("bytes cut", name, content[:5000], "refuse")
    scenes.add("bytes as a mask", "a.tif", content, scores=sound["colour"], out=name)
    tried(scenes.cases)

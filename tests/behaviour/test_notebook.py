"""What a notebook shows: a report as a picture of its mask; and the example, from start to end."""

import base64
import io
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glnet
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.engines.export import export_graphs
from glnet.engines.models import save_model
from makers import opened, write_tif
from networks import random_scene, tiny_network

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook" / "first-look.ipynb"

ROWS = (
    ClassInfo("<b>", 0, (10, 200, 30)),
    ClassInfo("a & b", 3, (200, 20, 60)),
    ClassInfo("c", 7, (0, 0, 255)),
)


class Page(HTMLParser):
    """Tags that are open, all that were there, and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text, self.pictures = [], set(), [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag == "img":
            given = dict(attrs)
            kind, content = given["src"].split(",")
            assert kind == "data:image/png;base64"
            picture = Image.open(io.BytesIO(base64.b64decode(content)))
            self.pictures[given["alt"]] = np.asarray(picture)
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A report with its mask's and its image's pixels."""
    folder = tmp_path_factory.mktemp("predicted")
    save_model(folder / "model", tiny_network(3, patch=64), ClassTable(ROWS), "Random.")
    export_graphs(folder / "model")
    pixels = np.kron(random_scene(10, 15).pixels, np.ones((9, 9), np.uint8))
    image = write_tif(folder / "image.tif", pixels)
    report = glnet.predict(image, folder / "model", folder / "mask.tif")
    with opened(folder / "mask.tif") as file:
        return report, file.read(1), pixels


def test_a_report_is_its_mask_in_colours_beside_the_image(predicted):
    report, labels, pixels = predicted

    page = Page(report._repr_html_())

    wanted = np.zeros((*labels.shape, 4), np.uint8)
    for row in ROWS:
        wanted[labels == row.value] = (*row.colour, 255)
    assert page.pictures.keys() == {"image", "mask"}
    assert np.array_equal(page.pictures["mask"], wanted)
    assert np.array_equal(page.pictures["image"], np.moveaxis(pixels, 0, -1))


def test_names_and_shares_are_text_and_nothing_else(predicted):
    report, labels, _ = predicted

    page = Page(report._repr_html_())
    text = "".join(page.text)

    assert page.seen == {"div", "span", "img"}
    for row in ROWS:
        assert f"{row.name}: about {(labels == row.value).mean():.1%}" in text
    for line in report.lines:
        assert line in text


def test_what_is_large_is_shown_small(predicted, tmp_path):
    """At most 480 pixels, in the right proportions, every pixel one of the mask's own colours."""
    _, _, pixels = predicted
    model = predicted[0].model
    image = write_tif(tmp_path / "image.tif", np.tile(pixels, (1, 4, 10)))

    report = glnet.predict(image, model, tmp_path / "mask.png")
    pictures = Page(report._repr_html_()).pictures

    assert pictures["mask"].shape == (128, 480, 4)
    assert pictures["image"].shape == (128, 480, 3)
    colours = {tuple(colour) for colour in pictures["mask"].reshape(-1, 4).tolist()}
    assert colours <= {(*row.colour, 255) for row in ROWS}


def test_files_that_are_gone_leave_the_words(predicted, tmp_path):
    source = predicted[0]
    image = write_tif(tmp_path / "image.tif", random_scene(70, 80).pixels)
    report = glnet.predict(image, source.model, tmp_path / "mask.tif")

    image.unlink()
    assert Page(report._repr_html_()).pictures.keys() == {"mask"}
    (tmp_path / "mask.tif").write_bytes(b"another file")
    assert Page(report._repr_html_()).pictures == {}
    (tmp_path / "mask.tif").unlink()
    page = Page(report._repr_html_())
    assert page.pictures == {}
    assert re.match(r"70 x 80 px in 1 scene", "".join(page.text))


def test_the_example_runs_and_shows_its_prediction():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    kept = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(kept)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's own makers
        nbclient.NotebookClient(
            kept, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
        ).execute()

    shown = [out.data for cell in code for out in cell.outputs if "data" in out]
    page = Page("".join(shown[-1]["text/html"]))
    assert page.pictures["mask"].shape == (256, 256, 4)
    assert page.pictures["image"].shape == (256, 256, 3)
    assert "lake: about" in "".join(page.text)

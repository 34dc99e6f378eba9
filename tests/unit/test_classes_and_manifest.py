"""What class tables and manifests promise."""

import re

import numpy as np
import pytest

from glnet.datasets.classes import ClassInfo, ClassTable, default_colour, read_classes
from glnet.datasets.manifest import read_manifest
from glnet.errors import DataError, GatheredError
from glnet.geometry import Window
from makers import noise, write_manifest, write_png, write_text


@pytest.mark.parametrize(
    ("written", "colour"),
    [
        ("#0a80ff", (10, 128, 255)),
        ("#0A80FF", (10, 128, 255)),
        ("10 128 255", (10, 128, 255)),
        ("  0 0 0  ", (0, 0, 0)),
    ],
)
def test_a_colour_is_hexadecimal_or_three_numbers(tmp_path, written, colour):
    """Both ways to write a colour give the same three channels."""
    path = write_text(tmp_path / "classes.csv", "name,colour", f"water,{written}")

    table = read_classes(path)

    assert table.colours == [colour]


def test_value_and_colour_have_defaults(tmp_path):
    """A table of names alone is enough: values count up from 0, colours differ."""
    path = write_text(tmp_path / "classes.csv", "name", "a", "b", "c")

    table = read_classes(path)

    assert table.names == ["a", "b", "c"]
    assert table.values == [0, 1, 2]
    assert table.colours == [default_colour(0), default_colour(1), default_colour(2)]


def test_the_default_colours_of_all_mask_values_differ():
    """No two of the 256 default colours are the same."""
    colours = {default_colour(number) for number in range(256)}

    assert len(colours) == 256


@pytest.mark.parametrize(
    "seen",
    [
        np.eye(3),
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    ],
    ids=["all", "no green", "no red"],
)
def test_the_first_default_colours_are_told_apart(seen):
    """By eyes without green or red cones too (Machado et al., 2009); 0 to 255 a channel."""
    shown = (np.array([default_colour(i) for i in range(8)]) / 255) ** 2.2 @ np.transpose(seen)
    colours = 255 * shown.clip(0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(colours[:, None] - colours, axis=-1)
    assert apart[~np.eye(8, dtype=bool)].min() > 40


def test_class_ids_skip_ignored_rows(tmp_path):
    """Ids number the rows that are trained; ignored rows stay in the table."""
    path = write_text(
        tmp_path / "classes.csv",
        "name,value,ignored",
        "unknown,0,yes",
        "road,4,no",
        "cloud,9,TRUE",
        "lake,2,",
        "shade,3,1",
    )

    table = read_classes(path)

    assert table.names == ["road", "lake"]
    assert table.values == [4, 2]
    assert [row.name for row in table.rows if row.ignored] == ["unknown", "cloud", "shade"]


def test_rows_of_one_name_are_one_class(tmp_path):
    """Several mask values are one class id; what is written is the first row's."""
    path = write_text(
        tmp_path / "classes.csv", "name,value", "ground,0", "lesion,3", "ground,1", "lesion,2"
    )

    table = read_classes(path)

    assert table.names == ["ground", "lesion"]
    assert table.values == [0, 3]
    assert table.colours == [default_colour(0), default_colour(1)]
    assert [row.value for row in table.rows] == [0, 3, 1, 2]


def test_all_bad_rows_of_a_class_table_are_told(tmp_path):
    """One line per row."""
    path = write_text(tmp_path / "classes.csv", "name,value", "a,0", ",1", "b,256", "c,2")

    with pytest.raises(GatheredError) as caught:
        read_classes(path)

    first, second = caught.value.lines
    assert first.startswith(f"{path}: row 2: ")
    assert second.startswith(f"{path}: row 3: ")


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path):
    """A byte order mark, Windows line ends, spaces after commas and an empty line do no harm."""
    path = tmp_path / "classes.csv"
    path.write_bytes(b"\xef\xbb\xbfname, value\r\nroad, 7\r\n\r\nlake, 8\r\n")

    table = read_classes(path)

    assert list(zip(table.names, table.values, strict=True)) == [("road", 7), ("lake", 8)]


def test_a_table_comes_back_from_its_dicts():
    """What a bundle keeps of a table is all of it."""
    table = ClassTable(
        (
            ClassInfo("unknown", 255, (1, 2, 3), ignored=True),
            ClassInfo("road, paved", 0, (0, 0, 0)),
            ClassInfo("lake", 17, (255, 254, 253), file="LK", rest=True),
            ClassInfo("lake", 18, (255, 254, 252)),
        )
    )

    back = ClassTable.from_dicts(table.as_dicts())

    assert back == table


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (("name,value", "a,0", ",1"), r"row 2\b.*name"),
        (("name,value", "a,0", "b,256"), r"row 2\b.*256"),
        (("name,value", "a,-1"), r"row 1\b.*-1"),
        (("name,value", "a,first"), r"row 1\b.*first"),
        (("name,value", "a,1.5"), r"row 1\b.*1\.5"),
        (("name,value", "a,²"), r"row 1\b.*²"),
        (("name,colour", "a,#000000", "b,red"), r"row 2\b.*red"),
        (("name,colour", "a,#12345"), r"row 1\b.*#12345"),
        (("name,colour", "a,1 2"), r"row 1\b.*1 2"),
        (("name,colour", "a,1 2 256"), r"row 1\b.*1 2 256"),
        (("name,colour", "a,-1 2 3"), r"row 1\b.*-1 2 3"),
        (("name,colour", "a,1.5 2"), r"row 1\b.*1\.5 2"),
        (("name,ignored", "a,no", "b,maybe"), r"row 2\b.*maybe"),
        (("name,value", "a,0", "b,1,2"), r"row 2\b"),
        (
            ("name,ignored", "a,yes", "b,", "a,"),
            r"class a is ignored in one row and not",
        ),
        (("name,rest", "a,yes", "b,", "c,yes"), r"rows 1 and 3 are marked rest"),
        (("name,rest", "a,perhaps"), r"row 1\b.*rest.*perhaps"),
        (("name,value", "a,3", "b,3"), r"rows 1 and 2 .*value 3$"),
        (("name,colour", "a,#010203", "b,1 2 3"), r"rows 1 and 2 .*colour \(1, 2, 3\)$"),
        (("name,ignored", "a,yes", "b,yes"), r"all are ignored"),
        (("name", *(f"class {i}" for i in range(255))), r"at most 254 .* 255"),
        (
            ("name,color", "a,#000000"),
            r"name, value, colour, .*, rest; found name, color$",
        ),
        (("title,value", "a,0"), r"name, value, .*, rest; found title, value$"),
        (("name,value",), r"name, value, colour, ignored"),
        ((), r"name, value, colour, ignored"),
    ],
)
def test_a_bad_class_table_is_refused_by_file_and_row(tmp_path, lines, named):
    """One line says which file, which row and what is wrong there."""
    path = write_text(tmp_path / "classes.csv", *lines)

    with pytest.raises(DataError) as caught:
        read_classes(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert re.search(named, message)
    assert "\n" not in message


def _missing(path):
    return path


def _folder(path):
    path.mkdir()
    return path


def _image(path):
    return write_png(path, noise(8, 8))


def _one_endless_line(path):
    return write_text(path, '{"features": "' + "x" * 140_000 + '"}')


@pytest.mark.parametrize("make", [_missing, _folder, _image, _one_endless_line])
@pytest.mark.parametrize("read", [read_classes, read_manifest])
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path, make, read):
    """A missing file, a folder, an image and a huge one-line JSON all end in one line."""
    path = make(tmp_path / "table.csv")

    with pytest.raises(DataError) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.fixture
def images(tmp_path):
    """A folder with two images in it, below the manifest's."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        write_png(folder / name, noise(8, 8))
    return folder


def test_paths_are_relative_to_the_manifests_folder(tmp_path, images, monkeypatch):
    """A manifest works from any working folder; absolute paths stay as they are."""
    path = write_manifest(tmp_path / "manifest.csv", ("images/a.png", images / "b.png", "train"))
    monkeypatch.chdir("/")

    (sample,) = read_manifest(str(path))

    assert sample.image == images / "a.png"
    assert sample.mask == images / "b.png"


@pytest.mark.parametrize(("split", "found"), [("train", "aa"), ("test", "b"), (None, "aba")])
def test_a_split_gives_its_rows_in_order(tmp_path, images, split, found):
    """A named split gives its rows alone, None gives all; other columns are left alone."""
    path = write_text(
        tmp_path / "manifest.csv",
        "split,image,mask,place",
        f"train,{images}/a.png,images/b.png,here",
        f" test , {images}/b.png, images/b.png,there",
        f"train,{images}/a.png,images/a.png,",
    )

    samples = read_manifest(path, split)

    assert "".join(sample.image.stem for sample in samples) == found


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["images/a.png,images/b.png,train", "gone.png,images/b.png,test"], "line 3.*gone.png"),
        (["images/a.png,images/b.png,train", "images/a.png,gone.png,test"], "line 3.*gone.png"),
        (["", "", "gone.png,images/b.png,train"], "line 4.*gone.png"),
        (["images/a.png,images,train"], "line 2.*mask.*images"),
        (["images/a.png"], "line 2.*mask"),
        (["round.png,images/b.png,train"], "line 2.*round.png"),
        (["images/a.png\0,images/b.png,train"], "holds NUL characters, .* save it as plain text"),
    ],
)
@pytest.mark.usefixtures("images")
def test_a_missing_file_is_named_with_its_line(tmp_path, lines, named):
    """The line is the one an editor shows."""
    (tmp_path / "round.png").symlink_to("round.png")
    path = write_text(tmp_path / "manifest.csv", "image,mask,split", *lines)

    with pytest.raises(DataError, match=named) as caught:
        read_manifest(path)

    assert str(caught.value).startswith(str(path))


@pytest.mark.usefixtures("images")
def test_only_what_is_asked_for_must_exist(tmp_path):
    """Rows of another split, and files that the work does not read, may be missing."""
    rows = ("images/a.png", "images/b.png", "train"), ("gone.png", "images/b.png", "test")
    path = write_manifest(tmp_path / "manifest.csv", *rows)

    assert len(read_manifest(path, "train")) == 1
    assert len(read_manifest(path, "test", files=("mask",))) == 1
    assert read_manifest(path, "validation", required=False) == []


@pytest.mark.usefixtures("images")
def test_rows_without_a_split_are_told_where_none_has_the_wanted_one(tmp_path):
    """A list of splits that named nothing would look like a fault of ours."""
    path = write_text(tmp_path / "manifest.csv", "image,mask,split", "images/a.png,images/b.png")

    with pytest.raises(
        DataError, match=r"no row of the split 'test'; there are: rows without any$"
    ):
        read_manifest(path, "test")


@pytest.mark.usefixtures("images")
def test_all_bad_rows_of_a_manifest_are_told(tmp_path):
    """Missing files and windows that are none, line by line; one file may miss in two rows."""
    path = write_text(
        tmp_path / "manifest.csv",
        "image,mask,split,window",
        "gone.png,gone_mask.png,train,",
        "images/a.png,images/b.png,train,1 2 3",
        "images/a.png,images/b.png,train,0 0 4 0",
        "images/a.png,images/b.png,train,-1 0 4 4",
        "images/a.png,images/b.png,train,0 0 4 4",
    )

    with pytest.raises(GatheredError) as caught:
        read_manifest(path)

    places = [line.removeprefix(f"{path}, line ").split(":")[0] for line in caught.value.lines]
    assert places == ["2", "2", "3", "4", "5"]


@pytest.mark.usefixtures("images")
def test_a_row_can_be_a_window_of_its_image(tmp_path):
    """Top, left, height, width; an empty cell is all of it."""
    path = write_text(
        tmp_path / "manifest.csv",
        "image,mask,split,window",
        "images/a.png,images/b.png,train,4 0 3 8",
        "images/b.png,images/b.png,train,",
    )

    samples = read_manifest(path)

    assert [sample.window for sample in samples] == [Window(4, 0, 3, 8), None]


@pytest.mark.parametrize(
    ("first", "second", "leaks"),
    [
        ("", "", True),
        ("0 0 4 4", "", True),
        ("", "4 4 4 4", True),
        ("0 0 4 4", "3 3 4 4", True),
        ("0 0 4 4", "4 0 4 4", False),
        ("0 0 4 4", "0 4 4 4", False),
        ("2 2 1 1", "0 0 8 8", True),
    ],
)
@pytest.mark.usefixtures("images")
def test_splits_share_no_pixel(tmp_path, first, second, leaks):
    """Windows may touch; both rows are named, however the image's path is written."""
    path = write_text(
        tmp_path / "manifest.csv",
        "image,mask,split,window",
        f"images/a.png,images/b.png,train,{first}",
        f"images/a.png,images/b.png,train,{first}",
        f"images/../images/a.png,images/b.png,test,{second}",
    )

    if not leaks:
        assert len(read_manifest(path)) == 3
        return
    with pytest.raises(GatheredError, match=r"lines 2 and 4: .*'train' and 'test'") as caught:
        read_manifest(path, "train")
    assert len(caught.value.lines) == 1


@pytest.mark.usefixtures("images")
def test_splits_share_no_group(tmp_path):
    """Every torn group is named once, with two of its lines; rows without one may lie anywhere."""
    rows = [f"images/a.png,images/b.png,train,{group}" for group in ("P1", "P1", "")]
    rows += ["images/b.png,images/b.png,test, P2"]
    path = write_text(tmp_path / "manifest.csv", "image,mask,split,group", *rows)
    assert [sample.group for sample in read_manifest(path)] == ["P1", "P1", "", "P2"]

    rows += ["images/b.png,images/b.png,test,P1"] * 2
    write_text(path, "image,mask,split,group", *rows)
    with pytest.raises(GatheredError) as caught:
        read_manifest(path, "train")

    told = f"{path}, lines 2 and 6: the group 'P1' is in the splits 'train' and 'test'"
    assert [line.startswith(told) for line in caught.value.lines] == [True]


@pytest.mark.parametrize("header", ["image,label,split", "image;mask;split", "images/a.png,x,y"])
@pytest.mark.usefixtures("images")
def test_wrong_columns_are_told_with_the_wanted_ones(tmp_path, header):
    """The line names the three columns and what stands there instead."""
    path = write_text(tmp_path / "manifest.csv", header, "images/a.png,images/b.png,train")

    with pytest.raises(DataError) as caught:
        read_manifest(path)

    assert "columns image, mask, split" in str(caught.value)
    assert header.split(",")[-1] in str(caught.value)


@pytest.mark.usefixtures("images")
def test_an_unknown_split_lists_the_splits(tmp_path):
    """Who asks for a split that is not there is told which are."""
    path = write_manifest(
        tmp_path / "manifest.csv",
        ("images/a.png", "images/b.png", "train"),
        ("images/b.png", "images/b.png", "val"),
        ("images/a.png", "images/b.png", "train"),
    )

    with pytest.raises(DataError, match=r"'validation'; there are: train, val$"):
        read_manifest(path, "validation")


@pytest.mark.usefixtures("images")
def test_rows_may_be_repeated_to_learn_from_and_not_to_be_counted(tmp_path):
    """All repeated rows of the split are told, with their lines; other windows are other rows."""
    path = write_text(
        tmp_path / "manifest.csv",
        "image,mask,split,window",
        "images/a.png,images/b.png,train,0 0 1 1",
        "./images/a.png,images/b.png,train,0 0 1 1",
        "images/a.png,images/b.png,train,0 1 1 1",
        "images/b.png,images/b.png,test,",
        "images/b.png,images/a.png,test,",
    )

    assert len(read_manifest(path, "train")) == 3
    for split, told in (
        ("train", ["2 and 3"]),
        ("test", ["5 and 6"]),
        ("all", ["2 and 3", "5 and 6"]),
    ):
        with pytest.raises(DataError, match="counted twice") as caught:
            read_manifest(path, split, once=True)
        found = str(caught.value).splitlines()
        assert len(found) == len(told)
        assert all(f"lines {lines}:" in line for lines, line in zip(told, found, strict=True))

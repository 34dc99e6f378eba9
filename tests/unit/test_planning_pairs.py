"""What finding pairs promises: every known layout, and a refusal of what could be read two ways."""

import pytest

from glnet.errors import DataError
from glnet.planning.pairs import find_pairs


def lay(folder, *names):
    """Empty files: pairs are found by names alone."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def told(folder):
    """(image, mask, split) as written, relative to the folder."""
    return [
        (s.image.relative_to(folder).as_posix(), s.mask.relative_to(folder).as_posix(), s.split)
        for s in find_pairs(folder).samples
    ]


@pytest.mark.parametrize(
    ("image", "mask", "split"),
    [
        ("images/a.jpg", "labels/a.png", ""),
        ("images/a.tif", "masks/a.tif", ""),
        ("img/a.tif", "annotations/a.png", ""),
        ("Images/a.JPG", "GT/a.png", ""),
        ("images/a_sat.jpg", "masks_rgb/a_mask.png", ""),
        ("images/a.jpg", "labels/a_label.png", ""),
        ("images/a.jpg", "labels/mask_a.png", ""),
        ("images/a_sat.jpg", "labels/a_sat_mask.png", ""),
        ("images/a_sat.jpg", "labels/a.png", ""),
        ("images/ISIC_1.jpg", "masks/ISIC_1_segmentation.png", ""),
        ("segmentation/a.jpg", "segmentation/a_seg.png", ""),
        ("images/mask_dance.jpg", "labels/mask_dance.png", ""),
        ("a.jpg", "a_mask.png", ""),
        ("a_sat.jpg", "a_mask.png", ""),
        ("a.jpg", "a.png", ""),
        ("a.tif", "a.png", ""),
        ("a.jpg", "masks/a.png", ""),
        ("tile 1/images/a.jpg", "tile 1/masks/a.png", ""),
        ("train/images/a.jpg", "train/labels/a.png", "train"),
        ("images/val/a.jpg", "labels/val/a.png", "validation"),
        ("valid/a.jpg", "valid/a_mask.png", "validation"),
        ("validation/a.jpg", "validation/a.png", "validation"),
        ("Test/a.jpg", "Test/a_gt.png", "test"),
        ("test_images/a.jpg", "test_labels/a.png", "test"),
    ],
)
def test_a_pair_is_found_in_every_layout(tmp_path, image, mask, split):
    """With its split, where a folder says one."""
    lay(tmp_path, image, mask)

    assert told(tmp_path) == [(image, mask, split)]


def test_words_inside_names_are_no_roles(tmp_path):
    """`unlabelled` is no folder of labels, and `attest` no test split."""
    lay(tmp_path, "attest/a.jpg", "attest/a.png", "unlabelled/b.jpg")

    found = find_pairs(tmp_path)

    assert told(tmp_path) == [("attest/a.jpg", "attest/a.png", "")]
    assert found.unlabelled == [tmp_path / "unlabelled/b.jpg"]


def test_equal_names_in_other_splits_and_folders_are_not_mixed(tmp_path):
    """A mask belongs to the image of its own split and its own folder."""
    names = [f"{split}/{kind}" for split in ("train", "test") for kind in ("images", "labels")]
    lay(tmp_path, *(f"{name}/a.png" for name in names), "x/a.jpg", "x/a_mask.png", "y/a.jpg")

    assert told(tmp_path) == [
        ("test/images/a.png", "test/labels/a.png", "test"),
        ("train/images/a.png", "train/labels/a.png", "train"),
        ("x/a.jpg", "x/a_mask.png", ""),
    ]
    assert find_pairs(tmp_path).unlabelled == [tmp_path / "y/a.jpg"]


def test_an_equal_name_comes_before_one_without_its_word(tmp_path):
    """a_mask.png is the mask of a_mask.jpg, where there is one beside a.jpg."""
    lay(
        tmp_path,
        *(f"{place}{of}" for place in ("images/a", "labels/a") for of in (".png", "_mask.png")),
    )

    assert told(tmp_path) == [
        ("images/a.png", "labels/a.png", ""),
        ("images/a_mask.png", "labels/a_mask.png", ""),
    ]


def test_other_files_and_hidden_folders_are_not_looked_at(tmp_path):
    """Notes, tables and caches lie beside images everywhere."""
    lay(tmp_path, "images/a.jpg", "labels/a.png", "images/a.txt", ".cache/images/b.jpg")

    assert len(told(tmp_path)) == 1
    assert find_pairs(tmp_path).unlabelled == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["images/a.jpg", "images/a.tif", "labels/a.png"], "could belong to the images"),
        (["images/a.jpg", "masks_rgb/a.png", "masks_index/a.png"], "could belong to the masks"),
        (["images/a.jpg", "labels/a.png", "labels/b.png"], "no image of the same name: labels/b"),
        (["images/a.jpg", "labels/b.png"], "found 2 image files, none with a mask; understood are"),
        ([], "found no image files; understood are"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(tmp_path, names, said):
    """In one line that names the files, and a way out."""
    lay(tmp_path, *names)

    with pytest.raises(DataError, match=said) as refused:
        find_pairs(tmp_path)

    assert "--manifest" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find_pairs(tmp_path / "nowhere")

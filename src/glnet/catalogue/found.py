"""Which published data set lies below a folder."""

from pathlib import Path

from glnet.catalogue.cityscapes import CITYSCAPES
from glnet.catalogue.deepglobe import DEEPGLOBE
from glnet.catalogue.inria import INRIA
from glnet.catalogue.isic import ISIC2018
from glnet.catalogue.isprs import POTSDAM, VAIHINGEN
from glnet.catalogue.landcover_ai import LANDCOVER_AI
from glnet.catalogue.loveda import LOVEDA
from glnet.catalogue.published import Published
from glnet.catalogue.urur import URUR
from glnet.errors import DataError

PUBLISHED = (
    DEEPGLOBE, INRIA, ISIC2018, URUR, LANDCOVER_AI, LOVEDA, POTSDAM, VAIHINGEN, CITYSCAPES,
)  # fmt: skip
_NAMES = ", ".join(one.name for one in PUBLISHED)


def find(root: Path, name: str | None = None) -> tuple[Published, Path]:
    """The data set below a folder, by its layout, and the layout's own folder.

    Args:
        root: Where it was unpacked.
        name: Which one it is; None: it is recognised.

    Raises:
        DataError: no such folder or name, no layout that is known, or more than one.
    """
    if not root.is_dir():
        msg = f"{root}: no such folder; name the one that the data set was unpacked into"
        raise DataError(msg)
    if name not in (None, *(one.name for one in PUBLISHED)):
        msg = f"'{name}' is no known data set; known are {_NAMES}"
        raise DataError(msg)
    homes = [(one, one.home(root)) for one in PUBLISHED if name in (None, one.name)]
    found = [(one, home) for one, home in homes if home is not None]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(one.name for one, _ in found)
        msg = f"{root}: looks like {names}; say which by --name"
    elif name is not None:
        msg = f"{root}: not laid out as {name}; wanted {homes[0][0].layout}"
    else:
        msg = (
            f"{root}: not recognised; known are {_NAMES}, laid out as glnet data list says; for "
            "data of your own use glnet init"
        )
    raise DataError(msg)

"""Models of the Hugging Face Hub: a repository's name, where a folder could be named."""

import re
from pathlib import Path

from glnet.bundle.config import CARD, CONFIG, WEIGHTS
from glnet.bundle.graphs import COSTS, DIGEST, GRAPHS
from glnet.errors import BundleError
from glnet.extras import install

#: `ORG/NAME`, or `hf://ORG/NAME@REVISION`; as a path the latter loses a slash.
_NAME = re.compile(
    r"(?!.*\.\.)(?P<hub>hf:/{1,2})?(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(?:@(?P<revision>[\w.-]+(?:/[\w.-]+)*))?",
    re.ASCII,
)

#: All that glnet reads of a model folder, and the card; nothing else is fetched.
_FILES = [
    *(CONFIG, WEIGHTS, CARD, f"{GRAPHS}/{DIGEST}", f"{GRAPHS}/{COSTS}"),
    f"{GRAPHS}/*.onnx",  # those in folders below, too
]


def find_model(told: str | Path) -> Path:
    """The folder of a model: as told, or a repository's, fetched unless it was before.

    Args:
        told: A folder; where there is none, `ORG/NAME` or `hf://ORG/NAME@REVISION`.

    Raises:
        BundleError: the repository cannot be had.
    """
    path = Path(told)
    text = told if isinstance(told, str) else told.as_posix()
    found = _NAME.fullmatch(text)
    if found is None or path.exists() or (found["revision"] and not found["hub"]):
        return path
    what = f"{text}: " + ("" if found["hub"] else "no such folder; ")
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415  an extra
    except ImportError as error:
        msg = f"{what}models of the Hugging Face Hub need: {install('hub')} ({error})"
        raise BundleError(msg) from error
    try:
        folder = snapshot_download(found["name"], revision=found["revision"], allow_patterns=_FILES)
    except Exception as error:  # whatever its network libraries lead to
        detail = " ".join(str(error).split())[:200]
        msg = f"{what}cannot be had from the Hugging Face Hub ({type(error).__name__}: {detail})"
        raise BundleError(msg) from error
    return Path(folder)

"""Amounts of memory as people write them."""

import re

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def read_bytes(text: str) -> int:
    """Bytes of `2GiB`, `800 MB` and the like; the units are binary with or without the i.

    Raises:
        ValueError: not a number with such a unit, or none at all.
    """
    found = re.fullmatch(r"\s*(\d{1,18}(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    count = int(float(found[1]) * (1 << _UNITS[found[2].upper()])) if found else 0
    if count <= 0:
        msg = f"wanted a number of bytes such as 4GiB or 800MiB, got {text!r}"
        raise ValueError(msg)
    return count


def show_bytes(count: int) -> str:
    """Bytes with one digit after the point, as recipes take them."""
    return f"{count / (1 << 30):.1f}GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f}MiB"

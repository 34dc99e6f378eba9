"""How many bytes a graph needs: its weights, and the maps that live at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glnet.engines.vino import core


def count_bytes(path: Path, example: Mapping[str, Sequence[int]]) -> tuple[int, int]:
    """Bytes of a graph's weights, and of the maps that live at a time at the most.

    A map lives from the operation that makes it to the last one that reads it.

    Args:
        path: Of the ONNX file.
        example: Shapes of its inputs.
    """
    model = core().read_model(path)
    model.reshape({port: _shape(port.names, example) for port in model.inputs})
    operations = model.get_ordered_ops()
    reads = [[port.get_source_output() for port in op.inputs()] for op in operations]
    last = {_key(port): turn for turn, ports in enumerate(reads) for port in ports}
    weights = live = most = 0
    for turn, op in enumerate(operations):
        if _constant(op):
            weights += _bytes_of(op.output(0))
            continue
        live += sum(_bytes_of(port) for port in op.outputs())
        most = max(most, live)
        read = {_key(port): port for port in reads[turn] if not _constant(port.get_node())}
        live -= sum(_bytes_of(port) for key, port in read.items() if last[key] == turn)
    return weights, most


def _shape(names: set[str], example: Mapping[str, Sequence[int]]) -> list[int]:
    return list(next(example[name] for name in names if name in example))


def _constant(op: Any) -> bool:  # noqa: ANN401  OpenVINO has no types
    return bool(op.get_type_name() == "Constant")


def _key(port: Any) -> tuple[str, int]:  # noqa: ANN401
    return port.get_node().get_friendly_name(), port.get_index()


def _bytes_of(port: Any) -> int:  # noqa: ANN401
    return int(np.prod(list(port.get_shape()))) * int(port.get_element_type().size)

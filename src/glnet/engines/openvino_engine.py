"""OpenVINO: folded graphs on a CPU, without torch.

A graph is compiled for the shapes that it meets. One form of each is held: that is what a budget of
memory counts, and a set of images may have as many sizes.
"""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glnet.bundle import GRAPHS, INT8, Graph, graph_path
from glnet.engines.threads import threads
from glnet.engines.vino import core, openvino
from glnet.errors import BundleError, RunError
from glnet.recipe import View
from glnet.sharing import LEVELS, Exchange, Look, PatchOutput, named_exchanges, named_levels

LIBRARY = f"OpenVINO {openvino.__version__.split('-')[0]}"

#: What the graphs of global branches give, as far as they have it.
_LOOK = ("logits", "share", *named_levels("lent"))

#: What has a channel for every class.
_SCORES = {"logits", "local", "aggregated"}

#: What is not int8 in an int8 graph stays in fp32.
_PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoGraphs:
    """See `engines.folded.Graphs`; arrays are NumPy's, patches come one at a time."""

    def __init__(
        self, model: str | Path, precision: str = "fp32", classes: int | None = None
    ) -> None:
        """Read nothing yet: a graph is loaded when it is first run.

        Args:
            model: A model folder with exported graphs, see `glnet.bundle.check_graphs`.
            precision: fp32, bf16 or int8; OpenVINO left alone would choose.
            classes: How many the graphs must tell apart; None: as many as they do.

        Raises:
            RunError: this processor has no such arithmetic.
        """
        self._folder = Path(model) / GRAPHS
        if precision == "int8":
            self._folder /= INT8
            if not self._folder.is_dir():
                msg = f"{model}: has no int8 graphs; run: glnet export {model} --int8 IMAGE"
                raise BundleError(msg)
        known = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision not in _PRECISIONS or (precision != "fp32" and precision.upper() not in known):
            have = ", ".join(p for p in _PRECISIONS if p.upper() in known)
            msg = f"precision {precision} cannot be used on this processor; it has: {have}"
            raise RunError(msg)
        self._options = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Pinned, the threads of two processes would all sit on the machine's first cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._classes = classes
        self._resident = True
        self._requests: dict[Graph, tuple[Any, Any]] = {}

    def hold(self, *, resident: bool) -> None:
        """Keep every graph loaded from now on, or only the one that runs."""
        self._resident = resident
        if not resident:
            self._requests.clear()

    def array(self, values: np.ndarray) -> np.ndarray:
        """As the graphs take it: float32."""
        return np.ascontiguousarray(values, np.float32)

    def look(self, pixels: np.ndarray) -> Look:
        """The plain global branch."""
        return _look(self._run("global", {"pixels": pixels}, _LOOK))

    def local(
        self,
        pixels: np.ndarray,
        exchanges: Sequence[Exchange],
        views: Sequence[View],
        *,
        lays: bool,
    ) -> PatchOutput:
        """The local branch on one patch."""
        names = [*views, *named_levels("laid", LEVELS if lays else 0)]
        inputs = {"pixels": pixels, **named_exchanges(exchanges)}
        found = self._run("local", inputs, names)
        return PatchOutput(
            tuple(found[view] for view in views), tuple(found[name] for name in names[len(views) :])
        )

    def refine(self, pixels: np.ndarray, laid: Sequence[np.ndarray]) -> Look:
        """The refined global branch."""
        inputs = {"pixels": pixels, **dict(zip(named_levels("laid"), laid, strict=True))}
        return _look(self._run("refined", inputs, _LOOK))

    def _run(
        self, graph: Graph, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Outputs by name; they are views of memory that the next run of the graph overwrites."""
        shapes = {name: array.shape for name, array in inputs.items()}
        request = self._request(graph, shapes, outputs)
        # A request does not keep what it reads alive: a copy made here must outlast the run.
        arrays = [
            np.ascontiguousarray(inputs[_one_of(port.names, inputs)])
            for port in request.model_inputs
        ]
        for port, array in zip(request.model_inputs, arrays, strict=True):
            request.set_tensor(port, openvino.Tensor(array, shared_memory=True))
        request.infer()
        return {
            _one_of(port.names, outputs): request.get_tensor(port).data
            for port in request.model_outputs
        }

    def _request(
        self, graph: Graph, shapes: Mapping[str, tuple[int, ...]], outputs: Sequence[str]
    ) -> Any:  # noqa: ANN401
        form = (tuple(outputs), tuple(shapes.items()))
        held, request = self._requests.get(graph, (None, None))
        if held == form:
            return request
        del request  # its memory goes before the next form takes as much
        self._requests.pop(graph, None)
        if not self._resident:
            self._requests.clear()
        request = self._compiled(graph, shapes, outputs)
        self._requests[graph] = form, request
        return request

    def _compiled(
        self, graph: Graph, shapes: Mapping[str, tuple[int, ...]], outputs: Sequence[str]
    ) -> Any:  # noqa: ANN401
        path = graph_path(self._folder, graph)
        try:
            model = core().read_model(path)
            for result in model.get_results():
                names = result.input_value(0).names
                if not names & set(outputs):
                    model.remove_result(result)
                elif names & _SCORES:
                    self._check_classes(path, result.get_output_partial_shape(0)[1])
            model.reshape({port: shapes[_one_of(port.names, shapes)] for port in model.inputs})
            return core().compile_model(model, "CPU", self._options).create_infer_request()
        except (RuntimeError, StopIteration) as error:
            msg = f"{path}: cannot be read as a graph of this model; run glnet export again"
            raise BundleError(msg) from error

    def _check_classes(self, path: Path, found: Any) -> None:  # noqa: ANN401
        """Where a class was added or taken away, every label might be another one's."""
        if self._classes is not None and found.is_static and found.get_length() != self._classes:
            msg = (
                f"{path}: gives {found.get_length()} classes, the model's config names "
                f"{self._classes}; name those that it was trained on"
            )
            raise BundleError(msg)


def _one_of(names: set[str], known: Container[str]) -> str:
    """The name that a file gave to a port: an exporter may add names of its own."""
    return next(name for name in names if name in known)


def _look(found: dict[str, np.ndarray]) -> Look:
    share = (found["share"].copy(),) if "share" in found else ()
    lent = tuple(found[name].copy() for name in named_levels("lent") if name in found)
    return Look(found["logits"].copy(), share, lent)

"""A network as 8-bit integers: NNCF for OpenVINO, with accuracy control where it is asked for, or ONNX Runtime; the class map stays an output."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import CompressionError, MissingDependencyError, Quantisation, Task
from medkd.serving.form import NETWORK
from medkd.serving.network import OnnxNetwork
from medkd.serving.openvino_network import TOPOLOGY, WEIGHTS, OpenVinoForm, OpenVinoNetwork, import_openvino, save_openvino
from medkd.serving.runtime_network import CLASS_MAP, IMAGE, LOGITS, RuntimeNetwork

Images = NDArray[np.float32]
#: Layers that accuracy control may put back to float32, one a step.
_ACCURACY_STEPS = 50


def quantise(
    payload: bytes, task: Task, wanted: Quantisation, images: Images, figure: Callable[[RuntimeNetwork], float]
) -> dict[str, bytes]:
    """Return the files of the quantised form of an ONNX network, the same bytes each time.

    Args:
        payload: ONNX, float32, with the outputs ``logits`` and, where there is one, ``class_map``.
        task: of the network.
        wanted: how; of ``aware`` the network was trained with simulated rounding before, and ranges are found as of ``static``.
        images: of training cases, [n, image, *size of the task].
        figure: task figure of a form on training cases; asked for accuracy control alone.

    Raises:
        CompressionError: ``NOT_QUANTISABLE`` when the library refuses the network, ``CLASS_MAP_LOST`` when the form no longer has one.
        MissingDependencyError: ``OPENVINO_MISSING``, ``NNCF_MISSING``.
    """
    onnx = wanted.by == "onnx"
    files = {NETWORK: _by_onnx(payload, wanted, images)} if onnx else _by_openvino(payload, task, wanted, images, figure)
    _require_map(payload, files, task)
    return files


def open_form(files: Mapping[str, bytes], task: Task, *, threads: int = 1) -> RuntimeNetwork:
    """Return a form as it is asked, by the files that it has."""
    if TOPOLOGY in files:
        return OpenVinoNetwork(OpenVinoForm(files[TOPOLOGY], files[WEIGHTS]), task, threads=threads)
    return OnnxNetwork(files[NETWORK], task, threads=threads)


def _require_map(payload: bytes, files: Mapping[str, bytes], task: Task) -> None:
    if OnnxNetwork(payload, task).has_map and not open_form(files, task).has_map:
        raise CompressionError("CLASS_MAP_LOST", f"expected the output {CLASS_MAP!r} of the quantised form, {'/'.join(files)} has none")


def import_nncf() -> Any:
    """Return NNCF, silent and without its telemetry.

    Raises:
        MissingDependencyError: ``NNCF_MISSING``.
    """
    import_openvino()  # refuses the package that both would send events by
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torch deprecates while it is imported
            nncf = importlib.import_module("nncf")
    except ImportError as error:
        raise MissingDependencyError(
            "NNCF_MISSING", f"expected NNCF, it cannot be imported ({error}); pip install '.[compression]', or quantise by onnx"
        ) from error
    # Its logger alone: its own setting silences every handler that stands there, those of others among them.
    logging.getLogger("nncf").setLevel(logging.CRITICAL)
    return nncf


def _by_openvino(
    payload: bytes, task: Task, wanted: Quantisation, images: Images, figure: Callable[[RuntimeNetwork], float]
) -> dict[str, bytes]:
    if wanted.method == "dynamic":
        raise CompressionError(
            "NOT_QUANTISABLE", f"expected static or aware quantisation by openvino, got {wanted.method!r}: it has none for convolutions"
        )
    openvino, nncf = import_openvino(), import_nncf()
    shown = nncf.Dataset([images[row : row + 1] for row in range(len(images))])
    options: dict[str, Any] = {"preset": nncf.QuantizationPreset.MIXED, "subset_size": len(images)}
    model = openvino.Core().read_model(payload)
    try:
        with _silent():
            if wanted.largest_drop is None:
                made = nncf.quantize(model, shown, **options)
            else:
                made = _controlled(nncf, model, shown, options, wanted.largest_drop, _figure_of_compiled(task, figure))
    except (RuntimeError, ValueError) as error:
        raise _refused("NNCF", error) from error
    for place, operation in enumerate(made.get_ordered_ops()):
        # NNCF names what it adds after counters of the whole process; nobody asks for an operation by its name.
        if operation.get_type_name() not in ("Parameter", "Result"):
            operation.set_friendly_name(f"{operation.get_type_name()}_{place}")
    form = save_openvino(made)
    return {TOPOLOGY: form.topology, WEIGHTS: form.weights}


def _controlled(
    nncf: Any, model: Any, shown: Any, options: dict[str, Any], largest_drop: float, figure: Callable[[Any, Any], float]
) -> Any:
    """Return a model of which layers were put back to float32 until the figure falls by no more than is allowed."""
    restorer = nncf.AdvancedAccuracyRestorerParameters(max_num_iterations=_ACCURACY_STEPS, num_ranking_workers=1)
    return nncf.quantize_with_accuracy_control(
        model,
        calibration_dataset=shown,
        validation_dataset=shown,
        validation_fn=figure,
        max_drop=largest_drop,
        drop_type=nncf.DropType.ABSOLUTE,
        advanced_accuracy_restorer_parameters=restorer,
        **options,
    )


class CompiledNetwork(RuntimeNetwork):
    """A model that NNCF has compiled, as forms are asked.

    Args:
        compiled: ``openvino.CompiledModel``.
        task: of the network.
    """

    runtime = "openvino"

    def __init__(self, compiled: Any, task: Task) -> None:
        names = {name for output in compiled.outputs for name in output.get_names()}
        super().__init__(task, has_map=CLASS_MAP in names)
        self._compiled, self._names = compiled, [name for name in (LOGITS, CLASS_MAP) if name in names]

    def run(self, images: Images) -> list[Images]:
        """Return [logits, class maps] (or [logits]) of images [n, image, *size of the task]."""
        found = self._compiled({IMAGE: images})
        return [np.array(found[name], dtype=np.float32) for name in self._names]


def _figure_of_compiled(task: Task, figure: Callable[[RuntimeNetwork], float]) -> Callable[[Any, Any], float]:
    def measured(compiled: Any, _shown: Any) -> float:
        return figure(CompiledNetwork(compiled, task))

    return measured


class _Reader:
    """Images one by one, as ONNX Runtime asks for them."""

    def __init__(self, images: Images) -> None:
        self._rows: Iterator[Images] = iter(images[row : row + 1] for row in range(len(images)))

    def get_next(self) -> dict[str, Images] | None:
        image = next(self._rows, None)
        return None if image is None else {IMAGE: image}


def _by_onnx(payload: bytes, wanted: Quantisation, images: Images) -> bytes:
    from onnxruntime import quantization as library

    if wanted.largest_drop is not None:
        raise CompressionError(
            "NOT_QUANTISABLE", f"expected accuracy control (largest_drop {wanted.largest_drop}) by openvino, ONNX Runtime has none"
        )
    with tempfile.TemporaryDirectory(prefix="medkd-quantise-") as folder, _silent():
        source, prepared, target = (Path(folder) / name for name in ("source.onnx", "prepared.onnx", NETWORK))
        source.write_bytes(payload)
        try:
            # Shapes are inferred and batch normalisations folded first: ranges of what is left are what is quantised.
            library.shape_inference.quant_pre_process(source, prepared, skip_symbolic_shape=True)
            if wanted.method == "dynamic":
                library.quantize_dynamic(prepared, target, per_channel=True, weight_type=library.QuantType.QUInt8)
            else:
                library.quantize_static(
                    prepared,
                    target,
                    _Reader(images),
                    quant_format=library.QuantFormat.QDQ,
                    per_channel=True,
                    activation_type=library.QuantType.QUInt8,
                    weight_type=library.QuantType.QInt8,
                    # Without VNNI products of full 8-bit weights overflow the 16 bits that AVX2 adds them in.
                    reduce_range=True,
                )
        except Exception as error:  # ONNX Runtime raises classes of its own for each kind of failure
            raise _refused("ONNX Runtime", error) from error
        return target.read_bytes()


def _refused(library: str, error: Exception) -> CompressionError:
    why = " ".join(str(error).split())[-160:]
    return CompressionError("NOT_QUANTISABLE", f"expected a network that {library} quantises, it refuses this one ({why})")


@contextmanager
def _silent() -> Iterator[None]:
    """Leave out bars, warnings and advice of the libraries: what there is to be said, the report says."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def quantised_layers(files: Mapping[str, bytes]) -> Sequence[str]:
    """Return the kinds of operations of a form that round to integers: none of one in float32."""
    if TOPOLOGY in files:
        model = import_openvino().Core().read_model(files[TOPOLOGY], files[WEIGHTS])
        return [one.get_type_name() for one in model.get_ops() if one.get_type_name() == "FakeQuantize"]
    import onnx

    kinds = ("QuantizeLinear", "DynamicQuantizeLinear", "DequantizeLinear")
    return [node.op_type for node in onnx.load_from_string(files[NETWORK]).graph.node if node.op_type in kinds]

"""`export_to`: a run's encoder and decoder as files for onnxruntime, or for torch without pointvae."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pointvae.errors import InputError
from pointvae.exporting.plain import PlainDecoder, PlainEncoder
from pointvae.hub import from_pretrained, read_run_config, run_folder, run_name
from pointvae.models.likelihoods import Mixture
from pointvae.models.vae import PointVAE
from pointvae.places import place
from pointvae.randomness import generator_for
from pointvae.version import __version__
from pointvae.writing import whole_file

Part = Literal["both", "encoder", "decoder"]
SUFFIXES = (".onnx", ".pt2")
FACTS = "pointvae"
"""The name under which an exported file keeps its facts, as JSON."""

WRONG = 0.1
"""A difference that no rounding makes; one neighbour more or less has been seen to make 0.01."""

ENCODED = ("posterior_mean", "posterior_std", "features")


def export_to(run: str | Path, out: str | Path, *, part: Part = "both", mask: bool = False) -> dict[str, Any]:
    """Write a run's networks as files that need no pointvae: ONNX, or a program of torch.export.

    The encoder maps ``points`` (batch, points, 3), z up and normalised as the run's data were, to ``posterior_mean``
    and ``posterior_std`` (batch, D) and ``features`` (batch, F). The decoder maps ``latents`` (batch, D) to
    ``points`` (batch, M, 3), and of the likelihood ``mixture`` also to ``log_weights`` and ``log_scales`` (batch, M).
    Batch and points are free. The facts that a caller needs stand in the file as JSON, under ``pointvae``: of ONNX
    in its metadata, of .pt2 in the extra file ``pointvae.json``. Each file is run, and compared with the model,
    before it gets its name.

    Args:
        run: the run folder, or a name that `run_folder` takes.
        out: ``NAME.onnx`` or ``NAME.pt2``; also an URL. Of both parts the files are ``NAME.encoder.onnx``, ….
        part: ``encoder``, ``decoder``, or ``both``.
        mask: whether the encoder takes a second input, ``mask`` (batch, points): which points exist.

    Returns:
        ``files``, ``latent_dim``, ``points``, and ``max_error`` by file: the largest difference from the model in an
        output of a random input; None where onnxruntime is not installed.

    Raises:
        InputError: the run, an option or ``out`` is at fault, or a package is missing; nothing was written.
    """
    target = place(out)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{out}: unknown format {target.suffix!r}; choose from {', '.join(SUFFIXES)}")
    if part not in ("both", "encoder", "decoder"):
        raise InputError(f"--part {part}: unknown; choose both, encoder or decoder")
    if mask and part == "decoder":
        raise InputError("--mask: is the encoder's; leave it out, or export --part encoder")
    _need(suffix)
    folder = run_folder(run)
    config, model = read_run_config(folder), from_pretrained(folder)
    facts = _facts(config, model, run_name(run))
    targets = {part: target}
    if part == "both":
        targets = {name: target.with_name(f"{target.stem}.{name}{suffix}") for name in ("encoder", "decoder")}
    errors: dict[str, float | None] = {}
    with contextlib.ExitStack() as stack:  # both take their names once both are written
        for name, path in targets.items():
            network, inputs = _network(model, name, mask, facts["points"])
            program = _program(network, inputs)
            own = {**facts, "part": name, "inputs": list(inputs)}
            data = _onnx(program, inputs, own) if suffix == ".onnx" else _pt2(program, own)
            errors[str(path)] = _error(data, suffix, _expected(model, inputs), inputs)
            stack.enter_context(whole_file(path)).write_bytes(data)
    return {
        "files": list(errors),
        "latent_dim": model.latent_dim,
        "points": facts["points"],
        "max_error": errors,
    }


def _need(suffix: str) -> None:
    """Refuse ONNX where what writes it is not installed."""
    if suffix != ".onnx":
        return
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f".onnx is written with {error.name}, which is not installed; pip install 'pointvae[onnx]', or write .pt2"
        ) from error


def _facts(config: dict[str, Any], model: PointVAE, name: str) -> dict[str, Any]:
    """What a caller must know: how clouds are made ready, and what comes out."""
    preparation = config.get("preparation") or {}
    return {
        "run": name,
        "version": __version__,
        "model": type(model).__name__,
        **{key: model.config[key] for key in ("encoder", "decoder", "likelihood")},
        "latent_dim": model.latent_dim,
        "points": int(config.get("points") or model.config["points"]),
        "points_out": model.config["points"],
        "up": "z",
        "source_up": preparation.get("up", "z"),
        "normalize": preparation.get("normalize", "sphere"),
        "licence": (config.get("dataset") or {}).get("licence", "unknown"),
    }


def _network(model: PointVAE, part: str, mask: bool, points: int) -> tuple[nn.Module, dict[str, Tensor]]:
    """The plain form of a part, and random inputs by name."""
    generator = generator_for(0)
    if part == "decoder":
        return PlainDecoder(model).eval(), {"latents": torch.randn(2, model.latent_dim, generator=generator)}
    clouds = torch.nn.functional.normalize(torch.randn(2, max(points, 2), 3, generator=generator), dim=2)
    inputs = {"points": clouds}
    if mask:
        inputs["mask"] = torch.arange(clouds.shape[1]) < torch.tensor([[clouds.shape[1]], [max(1, points // 2)]])
    return PlainEncoder(model).eval(), inputs


def _program(network: nn.Module, inputs: dict[str, Tensor]) -> torch.export.ExportedProgram:
    """The network's graph, in which batch and points are free."""
    from torch.export import Dim

    sizes = {0: Dim("batch")} if "latents" in inputs else {0: Dim("batch"), 1: Dim("points")}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch speaks of its own parts
        return torch.export.export(network, tuple(inputs.values()), dynamic_shapes=dict.fromkeys(inputs, sizes))


def _onnx(program: torch.export.ExportedProgram, inputs: dict[str, Tensor], facts: dict[str, Any]) -> bytes:
    """The file's bytes.

    Raises:
        InputError: this torch, with this onnxscript, cannot write it: torch 2.6 could not, 2.13 can.
    """
    names = _outputs(facts)
    try:
        with _quiet("torch.onnx"), torch.no_grad():
            made = torch.onnx.export(
                program, dynamo=True, input_names=list(inputs), output_names=list(names), verbose=False
            )
    except Exception as error:  # of kinds that differ from release to release
        import onnxscript

        why = " ".join(str(error).split())[:200]
        raise InputError(
            f".onnx cannot be written with torch {torch.__version__} and onnxscript {onnxscript.__version__}: {why}; "
            "pip install -U torch onnxscript, or write .pt2"
        ) from error
    assert made is not None
    proto = made.model_proto
    sizes = [dim.dim_param for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    told = {size: name for size, name in zip(sizes, ("batch", "points"), strict=False) if size}
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in told:
                dim.dim_param = told[dim.dim_param]
    for key, text in ((FACTS, json.dumps(facts)), ("licence", str(facts["licence"]))):
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, text
    proto.producer_name, proto.producer_version = FACTS, __version__
    data: bytes = proto.SerializeToString()
    return data


def _outputs(facts: dict[str, Any]) -> tuple[str, ...]:
    if facts["part"] == "encoder":
        return ENCODED
    return ("points", "log_weights", "log_scales") if facts["likelihood"] == "mixture" else ("points",)


def _pt2(program: torch.export.ExportedProgram, facts: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    with _quiet("torch.export"):
        torch.export.save(program, buffer, extra_files={f"{FACTS}.json": json.dumps(facts)})
    return buffer.getvalue()


@torch.no_grad()
def _expected(model: PointVAE, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """What the model itself, not its plain form, makes of the inputs."""
    if "points" in inputs:
        features = model.features(inputs["points"], inputs.get("mask"))
        posterior = model.posterior_of(features, inputs["points"], inputs.get("mask"))
        return posterior.mean, posterior.stddev, features
    rows = model.decoder(inputs["latents"])
    return model.likelihood.components(rows) if isinstance(model.likelihood, Mixture) else (rows[..., :3],)


def _error(data: bytes, suffix: str, expected: tuple[Tensor, ...], inputs: dict[str, Tensor]) -> float | None:
    """The largest difference between what a file gives and what it should; None where nothing here runs it."""
    if suffix == ".onnx":
        try:
            import onnxruntime
        except ImportError:
            return None
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        made = [torch.from_numpy(value) for value in session.run(None, {k: v.numpy() for k, v in inputs.items()})]
    else:
        with _quiet("torch.export"), torch.no_grad():
            out = torch.export.load(BytesIO(data)).module()(*inputs.values())
        made = list(out) if isinstance(out, tuple) else [out]
    error = max(float((a - b).abs().max()) for a, b in zip(made, expected, strict=True))
    if not error < WRONG:  # a fault of ours, or of an exporter: never of the input
        raise RuntimeError(f"the exported network differs from the model by {error:.3g}; please report it")
    return error


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Within the block no warning is shown, and a logger and those beneath it tell errors alone."""
    loggers = [logging.getLogger(name)]
    loggers += [logging.getLogger(other) for other in logging.root.manager.loggerDict if other.startswith(f"{name}.")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

"""The self-test, run as a program: a JSON line before each step and one for each thing found."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

from pointvae.doctor.findings import FAULT, HINT, OK, size

TOLERANCE = 1e-5
SMALL = {
    "latent_dim": 8,
    "points": 64,
    "encoder_args": {"widths": [16, 32]},
    "decoder_args": {"widths": [32]},
}


def tell(**line: str) -> None:
    """Write a line at once, so that it is there if the next step ends the process."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(quick: bool) -> None:
    """Every step in its order."""
    tell(begins="torch")
    import torch

    tell(name="torch", value=f"{torch.__version__}, built for {_built_for()}")
    tell(begins="threads")
    tell(
        name="threads",
        value=f"{torch.get_num_threads()} within an operation, {torch.get_num_interop_threads()} between",
    )
    tell(begins="devices")
    devices()
    tell(begins="kernels")
    from pointvae.kernels.availability import available

    kernels = available()
    failed = not kernels.usable and "self-check" in kernels.reason
    tell(name="kernels", value=str(kernels), state=HINT if failed else OK)
    if quick:
        return
    tell(begins="distances")
    started = time.monotonic()
    distances()
    tell(begins="training")
    training()
    tell(name="self-test", value=f"passed in {time.monotonic() - started:.0f} seconds")


def _built_for() -> str:
    import torch

    hip = getattr(torch.version, "hip", None)
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {hip}" if hip else "the CPU"


def devices() -> None:
    """The GPUs that torch sees; whether one of NVIDIA's is there that it does not see."""
    import torch

    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        told = f"{facts.name}, {size(facts.total_memory)}, compute capability {facts.major}.{facts.minor}"
        tell(name=f"GPU {number}", value=told)
    if torch.cuda.device_count():
        return
    if torch.backends.mps.is_available():
        tell(name="devices", value="Apple's GPU")
    elif Path("/proc/driver/nvidia").is_dir():
        mend = "install a build of torch for CUDA that fits the driver: pytorch.org tells the line"
        tell(name="devices", value="there is an NVIDIA driver, but torch sees no GPU", state=HINT, mend=mend)
    else:
        tell(name="devices", value="the CPU alone")


def distances() -> None:
    """Chamfer distances beside a loop over points in double precision."""
    import numpy as np
    import torch

    from pointvae.geometry.distances import chamfer_distance

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50, 3)), rng.normal(size=(2, 60, 3))
    found = chamfer_distance(torch.from_numpy(a).float(), torch.from_numpy(b).float()).numpy()
    squared = [[[float(((p - q) ** 2).sum()) for q in y] for p in x] for x, y in zip(a, b, strict=True)]
    wanted = [np.min(s, axis=1).mean() + np.min(s, axis=0).mean() for s in squared]
    error = float(np.abs(found - wanted).max())
    state = OK if error < TOLERANCE else FAULT
    tell(name="distances", value=f"differ from a plain loop by {error:.1e} at most", state=state)


def training() -> None:
    """Shapes, a small training, its codes and what they decode to, in a temporary folder."""
    import numpy as np
    import torch

    import pointvae
    from pointvae.evaluation.features import encode
    from pointvae.models.build import build_model

    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="pointvae-doctor-") as folder:
        data, run = Path(folder) / "shapes", Path(folder) / "run"
        pointvae.prepare("procedural", data, shapes_per_class=5, points=64)
        made = pointvae.fit(build_model(SMALL, 0), data, run, epochs=2, logger="none", accelerator="cpu")
        test = pointvae.load_dataset(data)["test"]
        model = pointvae.from_pretrained(run)
        codes = encode(model, test)
        with torch.no_grad():
            decoded = model.decode(torch.from_numpy(codes.posterior_mean))
    numbers = [*made.metrics.values(), *codes.posterior_mean.ravel(), *decoded.numpy().ravel()]
    well = bool(np.isfinite(numbers).all()) and decoded.shape == (len(test), 64, 3)
    told = f"trained on {len(test) * 4} shapes, embedded and decoded {len(test)}"
    tell(name="training", value=told if well else f"{told}, not all finite", state=OK if well else FAULT)


if __name__ == "__main__":
    main("quick" in sys.argv[1:])

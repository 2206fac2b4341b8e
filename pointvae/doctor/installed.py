"""Which packages are there, which are not, what each is for, and the line that installs it."""

from __future__ import annotations

import platform
from importlib import metadata

from pointvae.doctor.findings import FAULT, HINT, OK, Finding
from pointvae.version import __version__

PURPOSES = {
    "dask": "preparing and embedding on a Dask cluster",
    "gcs": "data at gs:// addresses",
    "hub": "datasets and models of the Hugging Face Hub",
    "mlflow": "--logger mlflow",
    "onnx": "`pointvae export` to ONNX",
    "open3d": "open3d's objects and its window",
    "pyg": "PyTorch Geometric's Data and Batch",
    "ray": "preparing and embedding on a Ray cluster",
    "s3": "data at s3:// addresses",
    "scans": "laser scans: .las, .laz, .e57",
    "triton": "fast kernels on NVIDIA GPUs",
    "umap": "UMAP maps of latents",
    "wandb": "--logger wandb",
}
"""What an extra of setup.cfg is for."""

FOR_DEVELOPERS = ("bench", "dev", "docs", "faults", "slow")
OLDEST, NEWEST = (3, 10), (3, 13)


def packages() -> list[Finding]:
    """Python, pointvae, and every package that it cannot do without."""
    version = tuple(map(int, platform.python_version_tuple()[:2]))
    told = f"{platform.python_version()} ({platform.python_implementation()})"
    state, mend = OK, ""
    if version < OLDEST:
        state, mend = FAULT, "install Python 3.10 or newer"
    elif version > NEWEST:
        state, mend = HINT, "newer than 3.13, the newest that was tried; if something fails, try 3.11"
    found = [Finding("python", told, state, mend), Finding("pointvae", __version__)]
    for requirement, extra in _requirements():
        if not extra:
            found.append(_looked_up(requirement, f"pip install '{requirement}'", FAULT))
    if len(found) == 2:
        found.append(
            Finding("installation", "not installed by pip", HINT, "pip install pointvae, or pip install -e .")
        )
    return found


def optional_packages() -> list[Finding]:
    """What each extra brings, and the line that installs what is not there."""
    found = []
    for requirement, extra in _requirements():
        if extra and extra not in FOR_DEVELOPERS:
            one = _looked_up(requirement, f"pip install 'pointvae[{extra}]'", OK)
            told = f" ({PURPOSES[extra]})" if extra in PURPOSES else ""
            found.append(Finding(one.name, one.value + told, one.state, one.mend))
    return found


def _requirements() -> list[tuple[str, str]]:
    """What the installed pointvae asks for, such as ``h5py>=3.10``, and by which extra; empty for what it needs."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("pointvae") or []
    except metadata.PackageNotFoundError:
        return []
    found: list[tuple[str, str]] = []
    for line in lines:
        requirement = Requirement(line)
        marker = str(requirement.marker or "")
        extra = marker.partition('extra == "')[2].partition('"')[0]
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found.append((f"{requirement.name}{requirement.specifier}", extra))
    return found


def _looked_up(requirement: str, mend: str, absent: str) -> Finding:
    """The version that is installed, held against what is asked for."""
    from packaging.requirements import Requirement

    asked = Requirement(requirement)
    try:
        version = metadata.version(asked.name)
    except metadata.PackageNotFoundError:
        return Finding(asked.name, "not installed", absent, mend)
    if not asked.specifier.contains(version, prereleases=True):
        return Finding(asked.name, f"{version}, needs {asked.specifier}", FAULT if absent == FAULT else HINT, mend)
    return Finding(asked.name, version)

"""The machine, its libraries, its data and the settings of its environment."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections import Counter
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

from pointvae.doctor.findings import HINT, OK, Finding, size, without_home

LITTLE_MEMORY, LITTLE_DISK = 4 * 2**30, 5 * 2**30
LIBRARIES = {"usb-1.0": "libusb-1.0-0", "gomp": "libgomp1", "GL": "libgl1", "X11": "libx11-6"}
"""What open3d asks of the system: the library and Debian's package of it."""
SETTINGS = {
    "OMP_WAIT_POLICY": "passive keeps waiting threads from slowing a busy machine; the command sets it unless you do",
    "OMP_NUM_THREADS": "threads of torch on the CPU",
    "MKL_NUM_THREADS": "likewise",
    "CUDA_VISIBLE_DEVICES": "which GPUs are seen",
    "POINTVAE_CACHE": "where downloads are kept",
    "POINTVAE_KERNELS": "0 turns the Triton kernels off",
    "POINTVAE_MIRROR": "where named sets are fetched from first",
    "POINTVAE_OFFLINE": "1 downloads nothing",
}
PLACES = ("POINTVAE_CACHE", "POINTVAE_MIRROR")  # of values that are nobody's business


def machine() -> list[Finding]:
    """System, cores, memory, and room on the disks that are written to."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    found = [Finding("system", system), Finding("cores", str(os.cpu_count()))]
    if hasattr(os, "sched_getaffinity"):
        mine = len(os.sched_getaffinity(0))
        if mine != os.cpu_count():
            found[-1] = Finding("cores", f"{mine} of {os.cpu_count()} for this process")
    total = _memory("MemTotal")
    if total:
        free = _memory("MemAvailable")
        low = free < LITTLE_MEMORY
        mend = "smaller --batch_size, --jobs 1, and --loading stream take less" if low else ""
        found.append(Finding("memory", f"{size(free)} free of {size(total)}", HINT if low else OK, mend))
    for name, folder in (("disk here", Path.cwd()), ("disk for temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        low = free < LITTLE_DISK
        mend = "free some room, or set TMPDIR to a larger disk" if low else ""
        found.append(Finding(name, f"{size(free)} free", HINT if low else OK, mend))
    return found


def _memory(name: str) -> int:
    """A figure of Linux's, in bytes; 0 elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def system_libraries() -> list[Finding]:
    """What open3d needs of the system, where it is installed."""
    if find_spec("open3d") is None:
        return [Finding("for open3d", "not looked for: open3d is not installed")]
    if platform.system() != "Linux":
        return [Finding("for open3d", "it brings its own here")]
    found = []
    for library, package in LIBRARIES.items():
        there = find_library(library) is not None
        mend = (
            "" if there else f"apt-get install {package}, or your system's package of lib{library}; for open3d alone"
        )
        found.append(Finding(f"lib{library}", "found" if there else "not found", OK if there else HINT, mend))
    return found


def data() -> list[Finding]:
    """Where downloads of named sets lie and what is there; which datasets were prepared, by name alone."""
    from pointvae.data.named.cache import archives_folder, cache_folder

    archives = archives_folder()
    files = [file for file in archives.glob("*") if file.is_file()] if archives.is_dir() else []
    told = f"{len(files)} archives, {size(sum(f.stat().st_size for f in files))}" if files else "empty"
    kept = Finding("downloads", f"{without_home(cache_folder())}: {told}")
    names: Counter[str] = Counter()
    for note in (cache_folder() / "prepared").glob("*.json"):
        try:
            names[str(json.loads(note.read_text(encoding="utf-8"))["name"])] += 1
        except (OSError, ValueError, KeyError, TypeError):
            continue
    made = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in sorted(names.items()))
    return [kept, Finding("prepared from named sets", made or "none yet: `pointvae datasets` lists them")]


def environment() -> list[Finding]:
    """The settings of the environment that change what is done, or how fast."""
    found = []
    for name, told in SETTINGS.items():
        value = os.environ.get(name)
        if value is not None:
            found.append(Finding(name, f"{'set' if name in PLACES else value} ({told})"))
    known = set(SETTINGS)
    for name in sorted(name for name in os.environ if name.startswith("POINTVAE_") and name not in known):
        if name != "POINTVAE_DATA":  # the tests'
            found.append(Finding(name, "unknown", HINT, f"no part of pointvae reads {name}: look at its spelling"))
    return found or [Finding("settings", "none set")]

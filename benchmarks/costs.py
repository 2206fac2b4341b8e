"""What a million shapes cost: rates and sizes measured on one core, and the page that reckons with them.

    python benchmarks/costs.py                     # measures, minutes; rows in results/costs.csv
    python benchmarks/costs.py --page              # writes the tables of docs/costs.md from these rows

Every rate is shapes a second on one core of this machine, the median of several turns: the CPU seconds of the process
count, not the time on the wall, so that a busy neighbour matters less. Meshes are spheres of 20,000 faces written by
this script, and the furniture that the tests use where it is at hand.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

from blocks import fill
from runs import ROOT, add_rows, commit, cpu_seconds, read_rows

COLUMNS = ("step", "what", "points", "shapes_per_core_second", "bytes_per_shape", "version", "commit", "machine")
RESULTS, PAGE = ROOT / "results" / "costs.csv", ROOT / "docs" / "costs.md"
TURNS = 5
CORE_HOUR, GIB_MONTH = 0.05, 0.023
"""US dollars: a core-hour of a common cloud machine, and a GiB for a month in an object store; put in your own."""


def rate(work: Callable[[], int]) -> float:
    """Shapes a CPU second, the median of some turns after a first one that does not count."""
    work()
    rates = []
    for _ in range(TURNS):
        before = cpu_seconds()
        shapes = work()
        rates.append(shapes / (cpu_seconds() - before))
    return statistics.median(rates)


def preparations(place: Path) -> Iterator[tuple[str, int, float, float]]:
    """What is prepared, its points, the rate, and the bytes of a stored shape."""
    from pointvae import prepare

    def sized(source: str | Path, **options: Any) -> tuple[float, float]:
        sizes = []

        def once() -> int:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                made = prepare(source, Path(folder) / "set", test_fraction=0.0, **options)
            sizes.append(made["bytes"] / made["shapes"])
            return int(made["shapes"])

        return rate(once), sizes[0]

    spheres = place / "spheres"
    write_spheres(spheres, 64)
    for points in (1024, 2048):
        yield "meshes of 20,000 faces, .off", points, *sized(spheres, points=points)
    yield "the same, stored as float16", 2048, *sized(spheres, points=2048, dtype="float16")
    data = Path(os.environ.get("POINTVAE_DATA", ROOT.parent / "shared" / "data"))
    if (data / "furniture").is_dir():
        yield "furniture, 20 to 12,000 faces, five formats", 2048, *sized(data / "furniture", points=2048, up="y")
    yield "procedural shapes, built and sampled", 2048, *sized("procedural", points=2048, shapes_per_class=4)


def write_spheres(folder: Path, count: int, suffix: str = "off") -> None:
    """Meshes of 20,480 faces, each another ellipsoid."""
    import trimesh

    folder.mkdir()
    for index in range(count):
        mesh = trimesh.creation.icosphere(subdivisions=5)
        mesh.apply_scale([1.0, 1.0 + index / 50, 2.0 - index / 50])
        mesh.export(folder / f"sphere_{index:03d}.{suffix}")


def computations() -> Iterator[tuple[str, str, int, float]]:
    """Step, encoder, points and rate of encoding and of training."""
    import torch

    import pointvae
    from pointvae.objectives.base import reduce_terms

    torch.set_num_threads(1)
    for encoder, points, batch in (("pointnet", 256, 64), ("pointnet", 1024, 32), ("dgcnn", 1024, 8)):
        model = pointvae.PointVAE(encoder=encoder, latent_dim=256, points=points)
        clouds = torch.randn(batch, points, 3) * 0.3
        objective, optimizer = pointvae.Consistency(pointvae.ELBO()), torch.optim.Adam(model.parameters(), fused=True)

        def embed(model: Any = model, clouds: Any = clouds) -> int:
            with torch.no_grad():
                model.eval().posterior(clouds)
            return len(clouds)

        def train(model: Any = model, clouds: Any = clouds, objective: Any = objective, step: Any = optimizer) -> int:
            model.train()
            step.zero_grad()
            reduce_terms(objective(model, clouds, generator=torch.Generator(), step=0)).backward()
            step.step()
            return len(clouds)

        yield "embed", encoder, points, rate(embed)
        yield "train (CR-VAE, chamfer), one epoch", encoder, points, rate(train)


def measure() -> list[dict[str, Any]]:
    """All rows."""
    from pointvae.version import __version__

    rows: list[dict[str, Any]] = []

    def add(step: str, what: str, points: int, shapes: float, size: float | None) -> None:
        row = {"step": step, "what": what, "points": points, "shapes_per_core_second": f"{shapes:.4g}"}
        row |= {"bytes_per_shape": "" if size is None else round(size), "version": __version__, "commit": commit()}
        rows.append({**row, "machine": f"{platform.machine()} cpu"})
        print(rows[-1], flush=True)

    with tempfile.TemporaryDirectory(prefix="pointvae-costs-") as folder:
        for what, points, shapes, size in preparations(Path(folder)):
            add("prepare", what, points, shapes, size)
    for step, what, points, shapes in computations():
        add(step, what, points, shapes, None)
    return rows


def table(rows: list[dict[str, str]]) -> str:
    """The table of docs/costs.md."""
    lines = [
        "| step | of | points | shapes / core-second | core-hours / million | dollars / million | bytes / shape |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        shapes = float(row["shapes_per_core_second"])
        hours = 1e6 / shapes / 3600
        size = f"{int(row['bytes_per_shape']):,}" if row["bytes_per_shape"] else ""
        cells = (
            row["step"],
            row["what"],
            row["points"],
            f"{shapes:,.0f}",
            f"{hours:.3g}",
            f"{hours * CORE_HOUR:.2g}",
        )
        lines.append("| " + " | ".join((*cells, size)) + " |")
    return "\n".join(lines)


def growth(rows: list[dict[str, str]]) -> str:
    """The second table of docs/costs.md, from the rows of results/scale.csv."""
    lines = [
        "| step | points | shapes | seconds | shapes / second | peak memory, MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    order = sorted(rows, key=lambda row: (("prepare", "train", "embed").index(row["step"]), int(row["points"])))
    for row in order:
        figures = (
            f"{float(row['seconds']):,.0f}",
            f"{float(row['shapes_per_second']):,.0f}",
            f"{int(row['peak_mib']):,}",
        )
        cells = (row["step"], f"{int(row['points']):,}", f"{int(row['shapes']):,}", *figures)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


BLOCKS: dict[str, Callable[[], str]] = {
    "rates": lambda: table(read_rows(RESULTS)),
    "scale": lambda: growth(read_rows(ROOT / "results" / "scale.csv")),
}
"""The tables of docs/costs.md."""


def main() -> int:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="write the table of docs/costs.md")
    if parser.parse_args().page:
        fill(PAGE, BLOCKS)
    else:
        rows = measure()
        RESULTS.unlink(missing_ok=True)  # rates of one run belong together
        add_rows(RESULTS, COLUMNS, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

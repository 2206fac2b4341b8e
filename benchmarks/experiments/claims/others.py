"""What the other pages say of their rows."""

from __future__ import annotations

from collections.abc import Iterator

import pretrained
import streaming

import costs
import speed
import viewer
from claims.measured import cost, feature_spread, ratio, scale
from claims.words import to_halves, whether
from methods import LONG, RESULTS
from runs import ROOT, read_rows

GUIDED = " (guided)"  # another campaign, with rows of its own


def about_speed() -> Iterator[str]:
    """docs/speed.md; the README's are with the README."""
    yield f"or where a ratio has fallen below {100 * speed.KEPT:.0f} % of the stored one"
    sooner, later = "finds neighbours in three dimensions somewhat sooner", "is about as quick in three dimensions"
    yield f"scipy's k-d tree {sooner if ratio('knn-tree') < 0.9 else whether(later, ratio('knn-tree') < 1.2)}"
    half = whether("about half the time", 0.4 <= ratio("farthest-tree") < 0.6)
    yield f"fpsample's k-d tree in C++ chooses farthest points in {half}"
    yield whether(
        "**Open3D** draws points from a mesh that it holds already in less time", ratio("sample-open3d") < 1
    )
    yield whether(
        "reading and drawing together are faster here", min(ratio("read-ply-open3d"), ratio("read-off-open3d")) > 1
    )


def about_costs() -> Iterator[str]:
    """docs/costs.md."""
    yield f"Dollars are core-hours at ${costs.CORE_HOUR}"
    meshes = "meshes of 20,000 faces, .off"
    whole = float(cost("prepare", meshes, 2048)["bytes_per_shape"])
    half = float(cost("prepare", "the same, stored as float16", 2048)["bytes_per_shape"])
    dollars = [1e6 * size / 2**30 * costs.GIB_MONTH for size in (whole, half)]
    yield whether("half of that as float16", abs(half / whole - 0.5) < 0.05)
    yield (
        f"A million shapes of 2,048 points take {whole / 1e3:.0f} GB, or {half / 1e3:.0f} GB; in an object store at "
        f"${costs.GIB_MONTH} a GiB and month that is {whether('half a dollar', abs(dollars[0] - 0.5) < 0.05)} a "
        f"month, or {whether('a quarter', abs(dollars[1] - 0.25) < 0.05)}"
    )
    slower = [
        float(scale(step, points, 200_000)["seconds"]) / float(scale(step, points, 20_000)["seconds"])
        for points in (256, 1024)
        for step in ("prepare", "train", "embed")
    ]
    yield whether("Ten times the shapes take no more than ten times the seconds", max(slower) <= 10)

    def grown(points: int, few: int) -> float:
        return 100 * (
            float(scale("train", points, 200_000)["peak_mib"]) / float(scale("train", points, few)["peak_mib"]) - 1
        )

    yield (
        f"At 256 points that is {grown(256, 20_000):.0f} % between the two sets; at 1,024 points, where a full "
        f"window is {16_384 * 1024 * 12 / 1e6:.0f} MB"
    )
    yield f"{grown(1024, 20_000):.0f} % from 20,000 to 200,000 and {grown(1024, 40_000):.0f} % from 40,000"
    yield f"prepares 100 shapes a second of 2,048 points writes {100 * whole / 1e6:.1f} MB a second"


def about_viewer() -> Iterator[str]:
    """docs/viewer.md."""
    newest = read_rows(viewer.RESULTS)[-1]
    assert int(newest["shapes"]) == viewer.COUNT
    yield (
        f"Ten thousand shapes with latents of {viewer.DIMS} dimensions make a file of "
        f"{float(newest['megabytes']):.0f} MB"
    )


def about_streaming() -> Iterator[str]:
    """docs/streaming.md."""
    rates = [
        float(row["shapes_per_cpu_second"]) for row in read_rows(streaming.RESULTS) if row["loading"] == "stream"
    ]
    tenth = 0.05 < 1e3 * len(rates) / sum(rates) < 0.15
    yield f"unpacked and copied, {whether('about a tenth of a millisecond', tenth)} of a core"


def about_pretrained() -> Iterator[str]:
    """docs/pretrained.md."""
    rows = {row["model"]: row for row in read_rows(pretrained.RESULTS)}
    sizes = {f"{int(row['bytes']) / 1e6:.0f}" for row in rows.values()}
    yield f"matrices in float16, about {' and '.join(sorted(sizes))} MB each"
    shift = {name: float(row["float16_shift"]) for name, row in rows.items()}
    yield (
        f"moves no test shape's code by more than {shift['cr-modelnet40']:.3f} of its posterior's deviation "
        f"({shift['cr-shapes']:.3f} in `cr-shapes`)"
    )


def about_literature() -> Iterator[str]:
    """docs/literature.md, which shows nearly all of its figures in blocks."""
    times = feature_spread("vae") / feature_spread("untrained")
    yield whether("Those of the untrained encoder are hundreds of times smaller", 200 <= times < 1000)


def about_faults() -> Iterator[str]:
    """docs/faults.md."""
    rows = read_rows(ROOT / "results" / "faults.csv")
    tried, survived = (sum(int(row[name]) for row in rows) for name in ("kills_tried", "kills_survived"))
    lost = whether("none cost a byte", tried == survived)
    yield f"Of {tried} kills, seed {rows[0]['seed']}, on two cores that had other work: {lost}."


def about_hostile_files() -> Iterator[str]:
    """docs/hostile-files.md."""
    read = read_rows(ROOT / "results" / "fuzz.csv")
    rows = {row["reader"]: row for row in read if not row["reader"].endswith(GUIDED)}
    total, still = (sum(int(row[name]) for row in rows.values()) for name in ("inputs", "findings_open"))
    mended = whether("no open finding after the mends", still == 0)
    seconds = sum(float(row["seconds"]) for row in rows.values())
    yield (
        f"Seed {rows['off']['seed']}, {total:,} inputs to {len(rows)} readers: {mended}. {seconds:,.0f} s, two "
        "readers at a time"
    )
    contained = {name: f"{row['contained']} of {int(row['inputs']):,}" for name, row in rows.items()}
    yield (
        f"The parsers of `.laz` ({contained['laz']} inputs), Arrow ({contained['arrow']}) and HDF5 "
        f"({contained['h5']}) did crash, hang or swell"
    )
    tables = sum(int(rows[name]["inputs"]) for name in ("shard", "parquet"))
    yield f"no mutated shard or Parquet file, {tables:,} in the last campaign, ended Arrow's reader"


def about_results() -> Iterator[str]:
    """docs/results.md."""
    long, short = (
        float(next(row for row in read_rows(path) if row["method"] == "vae")["epochs"]) for path in (LONG, RESULTS)
    )
    yield f"some of them trained {to_halves(long / short)} times as long"

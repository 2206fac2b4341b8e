"""How fluid the viewer is with ten thousand shapes, in headless Chromium: `python benchmarks/viewer.py [OUT.html]`.

Appends a row for each way of drawing to results/viewer.csv. The shapes are stretched spheres, the latents a mixture
of Gaussians in 256 dimensions, the decoder is an untrained mlp of 1,024 points: sizes and times are those of a real
page. Graphics run in software, on the CPU that also runs the page; a graphics card is quicker.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import pointvae
from pointvae.visualization.viewer import Viewer
from pointvae.visualization.viewer.columns import categories, numbers
from pointvae.visualization.viewer.decoder import live_decoder
from pointvae.visualization.viewer.maps import latent_maps
from pointvae.visualization.viewer.packing import thin
from pointvae.visualization.viewer.scene import Scene, points_for
from runs import ROOT, add_rows, commit, read_rows
from speed_row import clouds

RESULTS = ROOT / "results" / "viewer.csv"
COUNT, DIMS = 10_000, 256
MODES = {"WebGL in software": "--enable-unsafe-swiftshader", "canvas": "--disable-3d-apis"}
PAGE = "document.documentElement.page"
MEASURES = {
    "draw the map": f"{PAGE}.map.draw()",
    "point at a shape": f"{PAGE}.pinned = -1; {PAGE}.show(k * 61 % {COUNT})",
    "draw both clouds": f"for (const view of {PAGE}.turntable.views) view.draw(k / 9, 0.4)",
    "find the nearest shape to the pointer": f"{PAGE}.map.pick(k * 7 % 800, k * 11 % 600)",
    "find the neighbours in the latent space": f"{PAGE}.near.of(k * 61 % {COUNT})",
    "decode a latent": f"decodeOf({PAGE}.scene.latent(k * 61 % {COUNT}))",
    "search": f"{PAGE}.search.input.value = 'shape_' + k; {PAGE}.search.look(); {PAGE}.search.clear()",
}

DECODE = f"""(window.decodeOf = (z) => {{
  const kitchen = {PAGE}.kitchen;
  kitchen.ask("measured", z, {PAGE}.made, () => 0);
  while (kitchen.wishes.size) kitchen.cook();
}}, 0)"""
FRAMES = f"""new Promise((done) => {{
  const times = [];
  let before = performance.now();
  const step = () => {{
    const now = performance.now();
    times.push(now - before);
    before = now;
    {PAGE}.map.panBy(times.length % 40 < 20 ? 4 : -4, 1);
    if (times.length < 60) requestAnimationFrame(step);
    else done(times.slice(5));
  }};
  requestAnimationFrame(step);
}})"""


def scene() -> Scene:
    """Ten thousand shapes in forty classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % 40
    latents = (rng.standard_normal((40, DIMS))[labels] + rng.standard_normal((COUNT, DIMS))).astype(np.float32)
    model = pointvae.PointVAE(latent_dim=DIMS, points=1024).eval()
    shown = points_for(COUNT)
    return Scene(
        names=[f"class_{label}/shape_{row:05d}" for row, label in enumerate(labels)],
        latents=latents,
        clouds=clouds(COUNT, shown).numpy(),
        columns=[
            categories("class", labels, [f"class {k}" for k in range(40)]),
            numbers("cd_l2_mean", rng.gamma(4, 0.004, COUNT)),
        ],
        maps=latent_maps(latents, umap=False),
        decoder=live_decoder(model, thin(1024, shown, 0)),
        made=None,
    )


def measure(page: Path, flag: str) -> dict[str, Any]:
    """Milliseconds of what the page does, the least of forty times; and the median frame while the map is moved."""
    sys.path.insert(0, str(ROOT))
    from tests.visualization.browser import PROGRAMS, Browser, find_browser

    program = find_browser()
    if program is None:
        sys.exit(f"none of {', '.join(PROGRAMS)} is here")
    browser = Browser(program, Path(tempfile.mkdtemp()), flag)
    try:
        start = time.perf_counter()
        browser.open(page)
        browser.wait(f"{PAGE} && {PAGE}.found.length")
        row: dict[str, Any] = {"open the page": round(1000 * (time.perf_counter() - start))}
        browser.run(DECODE)
        for name, script in MEASURES.items():
            turn = f"const t = performance.now(); {script}; times.push(performance.now() - t)"
            loop = f"const times = []; for (let k = 0; k < 40; k++) {{ {turn}; }} return Math.min(...times);"
            row[name] = max(0.1, round(browser.run(f"(() => {{ {loop} }})()"), 1))  # the clock's own step
        times = sorted(browser.run(FRAMES))
        row["a frame while the map moves"] = round(times[len(times) // 2], 1)
        return row
    finally:
        browser.close()


def table() -> str:
    """The newest row of each way of drawing, as a table."""
    newest = {row["drawing"]: row for row in read_rows(RESULTS)}
    left_out = ("drawing", "megabytes", "version", "commit", "machine", "shapes")
    names = [name for name in next(iter(newest.values())) if name not in left_out]
    head = f"| milliseconds | {' | '.join(newest)} |\n|---|{'---:|' * len(newest)}"
    lines = [f"| {name} | {' | '.join(row[name] for row in newest.values())} |" for name in names]
    return "\n".join([head, *lines])


def main() -> None:
    """Measure and append."""
    page = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp() + "/viewer.html").absolute()
    Viewer(scene(), "Ten thousand shapes").save(page)
    for drawing, flag in MODES.items():
        facts = {"drawing": drawing, "shapes": COUNT, "megabytes": round(page.stat().st_size / 1e6, 1)}
        about = {"version": pointvae.__version__, "commit": commit(), "machine": f"{platform.machine()} cpu"}
        row = {**facts, **measure(page, flag), **about}
        add_rows(RESULTS, list(row), [row])
        print(row)


if __name__ == "__main__":
    main()

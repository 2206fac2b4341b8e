"""The viewer's numbers and decoders in node, without a page, held against Python's."""

import json
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest
import torch

from pointvae.evaluation.features import encode
from pointvae.models.build import build_model
from pointvae.visualization.viewer.decoder import live_decoder
from pointvae.visualization.viewer.packing import STEPS, pack, pack_clouds, pack_latents, thin
from tests.evaluation.shapes import make_shapes

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no node here to run the viewer's script in")


def run_script(expression, given):
    """The JSON of an expression over ``given``, with the viewer's numbers and decoders at hand."""
    assets = files("pointvae.visualization.viewer")
    parts = [assets.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in ("numbers", "decoder")]
    read = "const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
    told = f"process.stdout.write(JSON.stringify({expression}, (_, v) => (ArrayBuffer.isView(v) ? [...v] : v)));"
    done = subprocess.run(
        [NODE, "-e", "\n".join([*parts, read, told])],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("decoder", "arguments", "likelihood"),
    [
        ("mlp", {"widths": (37, 50)}, "chamfer"),
        ("mlp", {"widths": ()}, "mixture"),
        ("folding", {"width": 33}, "chamfer"),
        ("folding", {"width": 16}, "mixture"),
    ],
)
def test_decoders_are_those_of_python(decoder, arguments, likelihood):
    config = {"decoder": decoder, "decoder_args": arguments, "likelihood": likelihood, "latent_dim": 9, "points": 50}
    model = build_model(config, 3).eval()
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.copy_((2 * weight).half().float())  # as the page has them, so that only sums may differ
    rows = thin(50, 50, 1)
    z = torch.randn(9, generator=torch.Generator().manual_seed(0)).mul(2)
    made = run_script(
        "decodeAll(makeDecoder(given.decoder), Float32Array.from(given.z))",
        {"decoder": live_decoder(model, rows), "z": z.tolist()},
    )
    with torch.no_grad():
        expected = model.decode(z[None])[0].numpy()[rows]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(np.reshape(made, (-1, 3)), expected, atol=3e-6 * np.abs(expected).max() + 2e-6)


def test_slices_of_time_end_where_one_go_does():
    model = build_model({"decoder": "folding", "latent_dim": 4, "points": 48, "decoder_args": {"width": 8}}, 0)
    script = """(() => {
      const decoder = makeDecoder(given.decoder);
      const out = new Float32Array(144);
      const work = new Decoding(decoder, Float32Array.from([1, -1, 2, 0]), out);
      let slices = 0;
      while (!work.run(1e-9) && slices < 1000) slices++;
      work.run();
      return [out, decodeAll(decoder, Float32Array.from([1, -1, 2, 0]))];
    })()"""
    sliced, whole = run_script(script, {"decoder": live_decoder(model, thin(48, 48, 0))})
    assert sliced == whole


def test_clouds_come_back_within_a_step_of_their_ball():
    clouds = make_shapes(7, points=30).points * 5 + [1, -2, 30]
    packed = pack_clouds(clouds)
    script = "[0, 3, 6].map((row) => cloudOf(given.text, floatsOf(given.frames), given.points, row))"
    found = run_script(script, vars(packed))
    for cloud, row in zip(found, (0, 3, 6), strict=True):
        radius = np.linalg.norm(clouds[row] - clouds[row].mean(axis=0), axis=1).max() * 1.5
        np.testing.assert_allclose(np.reshape(cloud, (-1, 3)), clouds[row], atol=1.01 * radius / STEPS)


def test_latents_come_back_within_half_a_step():
    latents = np.random.default_rng(0).standard_normal((50, 5)).astype(np.float32) * [1, 100, 1e-3, 0, 2] + 3
    packed = pack_latents(latents)
    found = run_script("latentsOf(given.text, floatsOf(given.scale), 5)", vars(packed))
    error = np.abs(np.reshape(found, (-1, 5)) - latents).max(axis=0)
    assert (error <= 0.51 * np.ptp(latents, axis=0) / 65534 + 3e-6 * np.abs(latents).max(axis=0)).all()


def test_half_floats_of_every_kind_are_read():
    values = np.array([0, -0.0, 1, -2.5, 65504, 6e-8, 6.1e-5, 3.14159], np.float16)
    assert run_script("halvesOf(given)", pack(values, "<f2")) == values.astype(float).tolist()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_are_the_nearest_and_respect_the_filter(metric):
    rows = np.random.default_rng(1).standard_normal((200, 6)).astype(np.float32)
    z = np.array([1, 0, -1, 2, 0.5, 0], np.float32)
    script = f"""nearest(Float32Array.from(given.rows), 6, Float32Array.from(given.z), 7, "{metric}",
      (row) => row % 3 > 0)"""
    found = run_script(script, {"rows": rows.ravel().tolist(), "z": z.tolist()})
    if metric == "euclidean":
        distances = np.linalg.norm(rows - z, axis=1)
    else:
        distances = 1 - rows @ z / np.linalg.norm(rows, axis=1) / np.linalg.norm(z)
    distances[::3] = np.inf
    order = np.argsort(distances)[:7]
    assert [one["row"] for one in found] == order.tolist()
    np.testing.assert_allclose([one["distance"] for one in found], distances[order], atol=1e-5)


def test_draws_are_standard_normal_and_follow_their_seed():
    first, again, other = (np.array(a) for a in run_script("[5, 5, 6].map((s) => normals(s, 20000))", None))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.03
    assert abs(first.mean()) < 0.03
    assert abs(first.std() - 1) < 0.02
    assert abs((first**4).mean() - 3) < 0.25


def test_float16_weights_move_a_decoded_point_by_little():
    shapes = make_shapes(6, points=64)
    model = build_model({"latent_dim": 16, "points": 48}, 0).eval()
    rows = thin(48, 48, 0)
    z = encode(model, shapes).posterior_mean[2]
    given = {"decoder": live_decoder(model, rows), "z": z.tolist()}
    made = run_script("decodeAll(makeDecoder(given.decoder), Float32Array.from(given.z))", given)
    with torch.no_grad():
        expected = model.decode(torch.from_numpy(z[None]))[0].numpy()[rows]
    np.testing.assert_allclose(np.reshape(made, (-1, 3)), expected, atol=1e-3)

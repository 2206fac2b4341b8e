import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pointvae.errors import InputError  # noqa: E402
from pointvae.exporting.files import ENCODED, export_to  # noqa: E402
from pointvae.exporting.plain import PLAIN, PlainDecoder, PlainEncoder, neighbours  # noqa: E402
from pointvae.geometry.neighbours import knn, neighbours_of  # noqa: E402
from pointvae.hub import from_pretrained, save_pretrained  # noqa: E402
from pointvae.models.build import build_model  # noqa: E402
from pointvae.models.decoders import DECODERS  # noqa: E402
from pointvae.models.encoders import ENCODERS  # noqa: E402
from pointvae.models.likelihoods import LIKELIHOODS  # noqa: E402

CLOSE = 2e-5
"""What rounding may make; measured: 7e-6 at most."""


def a_model(kind="PointVAE", encoder="pointnet", decoder="mlp", likelihood="chamfer", **more):
    """A tiny model whose norms have statistics and weights of both signs."""
    parts = {
        "encoder_args": dict(ENCODERS.entries[encoder].tiny),
        "decoder_args": dict(DECODERS.entries[decoder].tiny),
    }
    config = {"encoder": encoder, "decoder": decoder, "likelihood": likelihood, "latent_dim": 24, "points": 30}
    ladder = {"anchors": [2, 4], "local_dims": [2, 3], "neighbours": 5, "width": 8} if kind != "PointVAE" else {}
    model = build_model({**config, **parts, **ladder, **more}, 0, kind).eval()
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            if module.weight is not None:
                torch.nn.init.normal_(module.weight, generator=generator)
    return model


def clouds(batch, count, masked=False):
    generator = torch.Generator().manual_seed(100 * batch + count)
    points = torch.randn(batch, count, 3, generator=generator)
    if not masked:
        return points, None
    kept = torch.randint(1, count + 1, (batch, 1), generator=generator)
    return points, torch.arange(count) < kept


@torch.no_grad()
def truth(model, points, mask=None):
    posterior = model.posterior(points, mask)
    return posterior.mean, posterior.stddev, model.features(points, mask)


def far(made, expected):
    return max(float((torch.as_tensor(a) - b).abs().max()) for a, b in zip(made, expected, strict=True))


MODELS = [*(("PointVAE", name) for name in ENCODERS.names()), ("LadderPointVAE", "dgcnn")]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("kind", "encoder"), MODELS)
def test_the_plain_form_of_every_encoder_gives_what_the_model_gives(kind, encoder, masked):
    model = a_model(kind, encoder)
    for batch, count in ((1, 1), (2, 3), (3, 40)):  # fewer points than neighbours, too
        points, mask = clouds(batch, count, masked)
        with torch.no_grad():
            assert far(PlainEncoder(model)(points, mask), truth(model, points, mask)) < CLOSE


def test_what_stands_in_absent_points_changes_nothing():
    model = a_model(encoder="dgcnn")
    points, mask = clouds(3, 20, masked=True)
    spoilt = points.masked_fill(~mask.unsqueeze(2), torch.nan)
    with torch.no_grad():
        assert far(PlainEncoder(model)(spoilt, mask), PlainEncoder(model)(points, mask)) == 0


@pytest.mark.parametrize("count", [1, 3, 30])
def test_plain_neighbours_are_the_nearest(count):
    points, mask = clouds(4, count, masked=True)
    own = torch.arange(count).view(1, -1, 1)
    made = torch.where(mask.unsqueeze(2), neighbours(points, points, 5, mask, within=True), own)
    assert torch.equal(made, knn(points, 5, mask))
    queries = clouds(4, 7)[0]
    assert torch.equal(neighbours(queries, points, 5, mask, within=False), neighbours_of(queries, points, 5, mask))


def test_every_registered_encoder_has_a_plain_form():
    assert {entry.cls for entry in ENCODERS.entries.values()} == set(PLAIN)


def saved(folder, model):
    save_pretrained(model, folder / "run", {"points": 30, "preparation": {"up": "y"}})
    return folder / "run"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run, and what exporting it to ONNX gives; an export takes seconds."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported")
    run = saved(folder, a_model(likelihood="mixture"))
    return run, export_to(run, folder / "m.onnx")


def test_a_run_becomes_two_onnx_files_that_say_what_they_want(exported):
    import onnxruntime

    run, made = exported
    assert sorted(path.name for path in run.parent.iterdir()) == ["m.decoder.onnx", "m.encoder.onnx", "run"]
    assert [Path(file).name for file in made["files"]] == ["m.encoder.onnx", "m.decoder.onnx"]
    assert all(error < CLOSE for error in made["max_error"].values())
    model = from_pretrained(run)
    session = onnxruntime.InferenceSession(made["files"][0])
    facts = json.loads(session.get_modelmeta().custom_metadata_map["pointvae"])
    wanted = {"run": "run", "latent_dim": 24, "points": 30, "up": "z", "source_up": "y", "normalize": "sphere"}
    assert wanted.items() <= facts.items()
    assert [value.shape for value in session.get_inputs()] == [["batch", "points", 3]]
    assert [value.name for value in session.get_outputs()] == list(ENCODED)
    for batch, count in ((1, 1), (5, 3), (2, 64)):
        points, _ = clouds(batch, count)
        assert far(session.run(None, {"points": points.numpy()}), truth(model, points)) < CLOSE
    latents = torch.randn(3, 24)
    out = onnxruntime.InferenceSession(made["files"][1]).run(None, {"latents": latents.numpy()})
    with torch.no_grad():
        assert far(out, model.likelihood.components(model.decoder(latents))) < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "encoder"), MODELS)
def test_with_a_mask_clouds_of_unequal_size_share_a_batch(tmp_path, kind, encoder):
    onnxruntime = pytest.importorskip("onnxruntime")
    run = saved(tmp_path, a_model(kind, encoder))
    export_to(run, tmp_path / "m.onnx", part="encoder", mask=True)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert [value.shape for value in session.get_inputs()] == [["batch", "points", 3], ["batch", "points"]]
    for batch, count in ((1, 1), (5, 3), (2, 64)):
        points, mask = clouds(batch, count, masked=True)
        out = session.run(None, {"points": points.numpy(), "mask": mask.numpy()})
        assert far(out, truth(from_pretrained(run), points, mask)) < CLOSE


def test_a_program_of_torch_is_the_model_and_carries_the_facts(tmp_path):
    run = saved(tmp_path, a_model(encoder="pointnet"))
    made = export_to(run, tmp_path / "m.pt2", part="encoder")
    assert made["files"] == [str(tmp_path / "m.pt2")]
    extra = {"pointvae.json": ""}
    program = torch.export.load(tmp_path / "m.pt2", extra_files=extra)
    assert json.loads(extra["pointvae.json"])["inputs"] == ["points"]
    for batch, count in ((1, 1), (4, 17)):
        points, _ = clouds(batch, count)
        with torch.no_grad():
            assert far(program.module()(points), truth(from_pretrained(run), points)) < CLOSE


@pytest.mark.parametrize(
    ("out", "options", "words"),
    [
        ("m.bin", {}, "unknown format '.bin'; choose from .onnx, .pt2"),
        ("m.onnx", {"part": "head"}, "--part head: unknown"),
        ("m.pt2", {"part": "decoder", "mask": True}, "--mask: is the encoder's"),
    ],
)
def test_bad_options_are_refused_and_nothing_is_written(tmp_path, out, options, words):
    with pytest.raises(InputError, match=words):
        export_to(tmp_path / "none", tmp_path / out, **options)
    assert not list(tmp_path.iterdir())


def test_without_onnx_the_refusal_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript, which is not installed; pip install 'pointvae\[onnx\]'"):
        export_to(tmp_path / "run", tmp_path / "m.onnx")


def test_a_network_that_went_wrong_on_its_way_gets_no_file(tmp_path, monkeypatch):
    run = saved(tmp_path, a_model())
    plain = PlainDecoder.forward
    monkeypatch.setattr(PlainDecoder, "forward", lambda self, latents: plain(self, latents) + 1)
    with pytest.raises(RuntimeError, match="differs from the model by 1"):
        export_to(run, tmp_path / "m.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", LIKELIHOODS.names())
@pytest.mark.parametrize("decoder", DECODERS.names())
@pytest.mark.parametrize(("kind", "encoder"), MODELS)
def test_onnxruntime_gives_what_the_model_gives(tmp_path, kind, encoder, decoder, likelihood):
    onnxruntime = pytest.importorskip("onnxruntime")
    run = saved(tmp_path, a_model(kind, encoder, decoder, likelihood))
    made = export_to(run, tmp_path / "m.onnx")
    assert all(error < CLOSE for error in made["max_error"].values())
    session = onnxruntime.InferenceSession(made["files"][0])
    for batch, count in ((1, 1), (7, 2), (1, 300), (16, 64)):
        points, _ = clouds(batch, count)
        assert far(session.run(None, {"points": points.numpy()}), truth(from_pretrained(run), points)) < CLOSE


@pytest.fixture
def service(exported):
    """The example in a process of its own, without pointvae's help, and where it listens."""
    run, made = exported
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    example = Path(__file__).parents[1] / "examples" / "serve.py"
    process = subprocess.Popen([sys.executable, example, made["files"][0], str(port)], stderr=subprocess.PIPE)
    try:
        yield run, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def post(address, data):
    for attempt in range(200):
        try:
            with urllib.request.urlopen(urllib.request.Request(address, data, method="POST"), timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except urllib.error.URLError:  # it does not listen yet
            if attempt == 199:
                raise
            threading.Event().wait(0.1)
    raise AssertionError


def test_the_example_serves_embeddings_of_arrays_and_meshes(service):
    import trimesh

    from pointvae.evaluation.in_memory import embed

    run, address = service
    cloud = np.random.default_rng(0).normal(size=(30, 3))
    buffer = BytesIO()
    np.save(buffer, cloud)
    status, answer = post(f"{address}/cloud.npy", buffer.getvalue())
    assert status == 200
    np.testing.assert_allclose(answer["embedding"], embed(run, cloud).posterior_mean[0], atol=CLOSE)
    box = trimesh.creation.box(extents=(1, 2, 3)).export(file_type="stl")
    status, answer = post(f"{address}/box.stl", box)
    assert (status, len(answer["embedding"])) == (200, 24)
    status, answer = post(f"{address}/box.stl", b"no mesh")
    assert status == 400 and answer["error"]
    assert post(f"{address}/box.stl", box)[0] == 200  # it goes on


def test_a_torch_that_cannot_write_onnx_is_named_with_what_to_do(tmp_path, monkeypatch):
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    save_pretrained(a_model(), tmp_path / "run", {"seed": 0, "points": 30})

    def fails(*arguments, **settings):
        raise RuntimeError("no version\nconverter")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(InputError, match=r"torch .* and onnxscript .*: no version converter; pip install -U"):
        export_to(tmp_path / "run", tmp_path / "model.onnx")
    assert not list(tmp_path.glob("*.onnx"))

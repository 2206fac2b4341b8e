import numpy as np
import pytest
import trimesh

torch = pytest.importorskip("torch")

import pointvae  # noqa: E402
from pointvae.data.dataset import Shapes, load_dataset  # noqa: E402
from pointvae.data.objects import from_objects  # noqa: E402
from pointvae.errors import InputError  # noqa: E402
from pointvae.evaluation.embedding import embed_to  # noqa: E402
from pointvae.evaluation.in_memory import embed  # noqa: E402
from pointvae.hub import save_pretrained  # noqa: E402
from pointvae.models.build import build_model  # noqa: E402


def a_box(scale=1.0):
    return trimesh.creation.box(extents=(1, 2, 3 * scale))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model = build_model({"latent_dim": 6, "points": 16, "encoder_args": {"widths": [8, 12]}}, 0)
    folder = tmp_path_factory.mktemp("in_memory") / "run"
    save_pretrained(model, folder, {"points": 40, "preparation": {"up": "y", "normalize": "cube"}})
    return folder


def test_a_mesh_has_the_vector_that_the_command_writes_for_its_file(run, tmp_path):
    a_box().export(tmp_path / "box.off")
    embed_to(run, tmp_path / "box.off", tmp_path / "out.npz", seed=3)
    mesh = trimesh.load(tmp_path / "box.off", process=False)
    mesh.metadata["file_name"] = "box.off"
    made = embed(run, mesh, seed=3)
    with np.load(tmp_path / "out.npz") as written:
        for name in ("posterior_mean", "posterior_std", "features"):
            np.testing.assert_array_equal(getattr(made, name), written[name])
    assert made.names == ["box.off"]
    np.testing.assert_array_equal(made.features, embed(run, tmp_path / "box.off", seed=3).features)
    for options in (
        {"seed": 4},
        {"seed": 3, "up": "z"},
        {"seed": 3, "normalize": "sphere"},
        {"seed": 3, "points": 20},
    ):
        assert not np.array_equal(made.features, embed(run, mesh, **options).features)


def test_clouds_of_every_library_have_the_same_vector():
    from pointvae.models.vae import PointVAE

    cloud = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    model = PointVAE(latent_dim=4, points=64)
    expected = embed(model, cloud).posterior_mean
    assert expected.shape == (1, 4)
    for other in (torch.tensor(cloud), trimesh.PointCloud(cloud), [cloud], cloud[None], torch.tensor(cloud)[None]):
        np.testing.assert_array_equal(embed(model, other).posterior_mean, expected)
    assert len(embed(model, [cloud, cloud])) == 2


def test_shapes_are_taken_as_they_are_and_thinned():
    from pointvae.models.vae import PointVAE

    shapes = from_objects([a_box(), a_box(2)], 90, normalize="none")
    model = PointVAE(latent_dim=4, points=30)
    assert embed(model, shapes).names == shapes.names
    exact = embed(model, shapes, points=90).features
    with torch.no_grad():
        truth = model.eval().features(torch.tensor(shapes.points)).numpy()
    np.testing.assert_allclose(exact, truth, atol=1e-6)
    assert not np.allclose(embed(model, shapes).features, exact)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([np.zeros((4, 3)), 3], "shape 1: int is no shape"),
        ([np.full((64, 3), np.nan)], "shape_000000: 64 of 64 vertices are NaN"),
        (np.zeros((3, 3)), "3"),
        ([], "holds no shapes"),
        (7, "is int, not a data set, a list of shapes, or Shapes"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(run, shapes, words):
    with pytest.raises(InputError, match=words):
        embed(run, shapes)


def test_a_list_of_meshes_is_prepared_with_its_labels(tmp_path):
    pairs = [(a_box(1 + row), row % 2) for row in range(6)]
    made = pointvae.prepare(pairs, tmp_path / "set", points=32)
    assert (made["shapes"], made["classes"]) == (6, ["0", "1"])
    dataset = load_dataset(tmp_path / "set")
    expected = from_objects(pairs, 32)
    assert isinstance(expected, Shapes) and expected.labels.tolist() == [0, 1, 0, 1, 0, 1]
    for split in dataset.splits:
        rows = [expected.names.index(name) for name in dataset[split].names]
        np.testing.assert_array_equal(dataset[split].points, expected.points[rows])


def test_a_list_of_meshes_is_trained_on(tmp_path):
    model = build_model({"latent_dim": 4, "points": 16, "encoder_args": {"widths": [8, 12]}}, 0)
    made = pointvae.fit(
        model, [a_box(1 + row) for row in range(4)], tmp_path / "run", epochs=1, batch_size=2, validation_fraction=0
    )
    assert made.path == tmp_path / "run"
    assert len(embed(tmp_path / "run", [a_box()])) == 1

import numpy as np
import pytest

from pointvae.data.dataset import Shapes, load_dataset
from pointvae.data.prepare import prepare
from pointvae.data.pyg import from_pyg, to_pyg
from pointvae.data.sampling import Geometry, shape_rng, to_cloud
from pointvae.data.thirdparty import geometry_of, is_shape
from pointvae.errors import InputError
from tests.data.files import folder_bytes

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")


def some_shapes(count=5, normals=True, factors=True, labels=True):
    rng = np.random.default_rng(0)
    return Shapes(
        rng.normal(size=(count, 12, 3)).astype(np.float32),
        np.arange(count) % 2 if labels else None,
        [f"s{count - row}" for row in range(count)],
        ["a", "b", "unseen"] if labels else [],
        rng.normal(size=(count, 12, 3)).astype(np.float32) if normals else None,
        [{"width": row / 3, f"only{row}": 1.0} for row in range(count)] if factors else None,
    )


def a_mesh(scale=1.0, label=0):
    import trimesh
    from torch_geometric.data import Data

    box = trimesh.creation.box(extents=(1, 2, 3 * scale))
    face = torch.tensor(np.array(box.faces).T)
    return Data(pos=torch.tensor(box.vertices, dtype=torch.float32), face=face, y=torch.tensor([label]))


@pytest.mark.parametrize("normals", [False, True])
@pytest.mark.parametrize("factors", [False, True])
@pytest.mark.parametrize("labels", [False, True])
def test_there_and_back_nothing_changes(normals, factors, labels):
    shapes = some_shapes(normals=normals, factors=factors, labels=labels)
    back = from_pyg(to_pyg(shapes), normalize="none")
    np.testing.assert_array_equal(back.points, shapes.points)
    assert (back.names, back.classes, back.factors) == (shapes.names, shapes.classes, shapes.factors)
    for one, two in ((back.labels, shapes.labels), (back.normals, shapes.normals)):
        assert (one is None) == (two is None)
        if one is not None:
            np.testing.assert_array_equal(one, two)


def test_the_loader_of_pyg_batches_what_is_given_to_it():
    from torch_geometric.loader import DataLoader

    shapes = some_shapes()
    batches = list(DataLoader(to_pyg(shapes), batch_size=2))
    assert [batch.num_graphs for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(torch.cat([batch.pos for batch in batches]).view(5, 12, 3).numpy(), shapes.points)
    assert torch.cat([batch.y for batch in batches]).tolist() == shapes.labels.tolist()
    assert batches[0].name == shapes.names[:2]


def test_meshes_are_sampled_as_prepare_samples_them():
    graphs = [a_mesh(1), a_mesh(2)]
    shapes = from_pyg(graphs, points=40, seed=3, up="y")
    for row, graph in enumerate(graphs):
        geometry = Geometry(graph.pos.double().numpy(), graph.face.numpy().T)
        rng = shape_rng(3, f"shape_{row:06d}")
        expected, _ = to_cloud(geometry, points=40, up="y", normalize="sphere", rng=rng)
        np.testing.assert_array_equal(shapes.points[row], expected)
    assert from_pyg(graphs).points.shape == (2, 2048, 3)


def test_ragged_clouds_are_thinned_with_their_normals():
    from torch_geometric.data import Data

    graphs = [Data(pos=torch.rand(n, 3)) for n in (9, 12, 20)]
    for graph in graphs:
        graph.normal = graph.pos * 2
    shapes = from_pyg(graphs, points=9, normalize="none")
    np.testing.assert_array_equal(shapes.normals, shapes.points * 2)
    for row, graph in enumerate(graphs):
        assert {tuple(point) for point in shapes.points[row]} <= {tuple(point) for point in graph.pos.numpy()}
    with pytest.raises(InputError, match="3 of 3 shapes hold fewer points than 2048"):
        from_pyg(graphs)


@pytest.mark.parametrize(
    ("y", "category", "label"),
    [([4], None, 4), (None, [2], 2), ([0] * 6, [1], 1), ([0.5], None, None), (None, None, None)],
)
def test_the_label_is_y_or_the_category_where_y_is_of_points(y, category, label):
    from torch_geometric.data import Data

    graph = Data(pos=torch.rand(6, 3))
    if y is not None:
        graph.y = torch.tensor(y)
    if category is not None:
        graph.category = torch.tensor(category)
    shapes = from_pyg([graph])
    assert (None if shapes.labels is None else shapes.labels.tolist()) == (None if label is None else [label])


def test_prepare_takes_splits_of_pyg_data_and_of_shapes(tmp_path):
    shapes = some_shapes(8)
    halves = {"train": shapes[:5], "val": shapes[5:6], "test": shapes[6:]}
    prepare(halves, tmp_path / "a", normalize="none")
    prepare({split: to_pyg(part) for split, part in halves.items()}, tmp_path / "b", normalize="none", jobs=2)
    one, two = load_dataset(tmp_path / "a"), load_dataset(tmp_path / "b")
    assert one.splits == two.splits == ["train", "validation", "test"]
    for split in one.splits:
        np.testing.assert_array_equal(one[split].points, two[split].points)
        assert one[split].names == two[split].names
    assert one["train"].factors == sorted(shapes[:5].factors, key=lambda values: -values["width"])
    rows = [shapes.names.index(name) for name in one["train"].names]
    np.testing.assert_array_equal(one["train"].points, shapes.points[rows])
    assert one.classes == ["a", "b", "unseen"]


def test_a_list_or_a_dataset_of_pyg_is_prepared_twice_with_the_same_bytes(tmp_path):
    from torch_geometric.data import InMemoryDataset

    class Boxes(InMemoryDataset):
        def __init__(self):
            super().__init__()
            self.data, self.slices = self.collate([a_mesh(1 + row, row % 2) for row in range(6)])

    for name, source in (("list", [a_mesh(1 + row, row % 2) for row in range(6)]), ("set", Boxes())):
        prepare(source, tmp_path / f"{name}1", points=32)
        prepare(source, tmp_path / f"{name}2", points=32, jobs=2)
        assert folder_bytes(tmp_path / f"{name}1") == folder_bytes(tmp_path / f"{name}2")
    assert load_dataset(tmp_path / "set1").card["pointvae"]["source"] == "Boxes"
    np.testing.assert_array_equal(
        load_dataset(tmp_path / "set1")["train"].points, load_dataset(tmp_path / "list1")["train"].points
    )
    assert prepare(Boxes(), tmp_path / "set1", points=32)["already_prepared"]
    with pytest.raises(InputError, match="prepared when the source had other files"):
        prepare([a_mesh(9 + row, row % 2) for row in range(6)], tmp_path / "list1", points=32)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([], "holds no shapes"),
        ([1, 2], "shape 0: int is no shape"),
        ({"train": 3}, "train: is int, not a data set"),
        ({"training set": []}, "split 'training set': not one of train, validation, test"),
    ],
)
def test_other_objects_are_refused(tmp_path, source, words):
    with pytest.raises(InputError, match=words):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_graphs_that_are_no_shapes_are_refused():
    from torch_geometric.data import Data

    with pytest.raises(InputError, match=r"shape 1: pos is float32 \[4, 2\]"):
        from_pyg([Data(pos=torch.rand(4, 3)), Data(pos=torch.rand(4, 2))])
    with pytest.raises(InputError, match="indices of points"):
        from_pyg([Data(pos=torch.rand(4, 3), face=torch.tensor([[0], [1], [4]]))])
    with pytest.raises(InputError, match="1 of 2 shapes have no label"):
        from_pyg([Data(pos=torch.rand(4, 3), y=torch.tensor([0])), Data(pos=torch.rand(4, 3))])
    with pytest.raises(InputError, match="give one split"):
        from_pyg({"train": []})


def test_a_batch_is_several_shapes():
    from torch_geometric.data import Batch

    shapes = some_shapes()
    batch = Batch.from_data_list(to_pyg(shapes))
    with pytest.raises(InputError, match=r"Batch of 5 graphs is not one shape; give its to_data_list\(\)"):
        geometry_of(batch)
    assert is_shape(batch[0]) and not is_shape(batch)
    np.testing.assert_array_equal(from_pyg(batch, normalize="none").points, shapes.points)
    with pytest.raises(InputError, match=r"is one shape, Data; give a list, such as \[shape\]"):
        from_pyg(batch[0])


def test_a_pickle_is_never_loaded(tmp_path):
    (tmp_path / "data.pt").write_bytes(b"cos\nsystem\n")
    with pytest.raises(InputError, match=r"data\.pt: is a pickle, which can run code .*pointvae\.prepare\("):
        prepare(tmp_path / "data.pt", tmp_path / "out")

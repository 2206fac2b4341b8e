"""Matrices of distances against one pair at a time, and what a killed run leaves behind."""

import numpy as np
import pytest
import torch

from pointvae.errors import InputError
from pointvae.evaluation import pairwise
from pointvae.evaluation.pairwise import DISTANCES, pairwise_distances
from pointvae.evaluation.work import Work
from pointvae.geometry import chunks
from pointvae.geometry.distances import chamfer_distance
from pointvae.geometry.transport import earth_movers_distance

WORK = Work(jobs=1)


def clouds(n: int, points: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, points, 3)).astype(np.float32)


def one_by_one(x: np.ndarray, y: np.ndarray, distance: str) -> np.ndarray:
    made = np.empty((len(x), len(y)))
    for i, a in enumerate(torch.from_numpy(x).double()):
        for j, b in enumerate(torch.from_numpy(y).double()):
            pair = a[None], b[None]
            made[i, j] = (
                chamfer_distance(*pair) if distance == "cd_l2_mean" else earth_movers_distance(*pair, distance)
            )
    return made


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(pairwise, "SIDE", 3)


@pytest.mark.parametrize("distance", DISTANCES)
def test_every_entry_is_the_distance_of_its_pair(small_tiles, distance):
    x, y = clouds(7, 9, 0), clouds(4, 9, 1)
    np.testing.assert_allclose(pairwise_distances(x, y, distance), one_by_one(x, y, distance), rtol=1e-10)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_set_against_itself_is_symmetric_with_a_diagonal_of_zeros(small_tiles, distance):
    x = clouds(7, 9, 0)
    found = pairwise_distances(x, distance=distance)
    assert np.array_equal(found, found.T) and not found.diagonal().any()
    np.testing.assert_allclose(found, one_by_one(x, x, distance), rtol=1e-10, atol=1e-14)


def test_one_half_of_a_symmetric_matrix_is_computed(small_tiles, monkeypatch):
    pairs = []

    def counted(x, y, convention):
        pairs.append((x[0, 0], y[0, 0]))
        return 1.0

    monkeypatch.setattr(pairwise, "matched_cost", counted)
    pairwise_distances(clouds(7, 4, 0), distance="emd_l1_mean", work=WORK)
    assert len(pairs) == 7 * 6 / 2


def test_clouds_of_different_sizes_have_a_chamfer_distance():
    x, y = clouds(3, 9, 0), clouds(4, 14, 1)
    np.testing.assert_allclose(pairwise_distances(x, y), one_by_one(x, y, "cd_l2_mean"), rtol=1e-10)


@pytest.mark.parametrize("budget", [1, 300, 10**9])
def test_the_chunk_size_changes_nothing(monkeypatch, budget):
    x, y = clouds(3, 9, 0), clouds(4, 14, 1)
    expected = pairwise_distances(x, y)
    monkeypatch.setattr(chunks, "CPU_BYTES", budget)
    np.testing.assert_allclose(pairwise_distances(x, y), expected, rtol=1e-13)


def test_the_same_clouds_are_no_distance_apart():
    x = clouds(5, 50, 0)
    found = pairwise_distances(x, x.copy())
    assert found.diagonal().max() < 1e-14 and (found >= 0).all()


@pytest.mark.parametrize("distance", DISTANCES)
def test_threads_and_the_store_change_no_digit(small_tiles, tmp_path, distance):
    x, y = clouds(7, 9, 0), clouds(4, 9, 1)
    expected = pairwise_distances(x, y, distance, work=WORK)
    for work in (Work(jobs=3), Work(batch_size=1, jobs=2)):
        assert np.array_equal(pairwise_distances(x, y, distance, work=work), expected)
        for _ in range(2):
            assert np.array_equal(pairwise_distances(x, y, distance, store=tmp_path, work=work), expected)


class Counted:
    """Counts the tiles that are computed, and gives up after some."""

    def __init__(self, monkeypatch, limit=None):
        self.tiles, self.limit, self.inner = 0, limit, DISTANCES["cd_l2_mean"]
        monkeypatch.setattr(pairwise, "DISTANCES", DISTANCES | {"cd_l2_mean": self})

    def __call__(self, *arguments):
        if self.tiles == self.limit:
            raise KeyboardInterrupt
        self.tiles += 1
        return self.inner(*arguments)


def test_a_killed_run_goes_on_with_the_next_tile_and_gives_the_same_bytes(small_tiles, tmp_path, monkeypatch):
    x = clouds(10, 9, 0)  # 4 x 4 tiles, 10 on and above the diagonal
    expected = pairwise_distances(x)
    with monkeypatch.context() as patch:
        Counted(patch, limit=4)
        with pytest.raises(KeyboardInterrupt):
            pairwise_distances(x, store=tmp_path, work=WORK)
    assert len(list(tmp_path.rglob("tile-*"))) == 4
    counted = Counted(monkeypatch)
    assert pairwise_distances(x, store=tmp_path, work=WORK).tobytes() == expected.tobytes()
    assert counted.tiles == 6
    assert pairwise_distances(x, store=tmp_path, work=WORK).tobytes() == expected.tobytes()
    assert counted.tiles == 6, "kept tiles are read"
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")], "nothing half-written is left"


def test_a_torn_changed_or_foreign_tile_is_computed_anew(small_tiles, tmp_path, monkeypatch):
    x, y = clouds(10, 9, 0), clouds(10, 9, 1)
    expected = pairwise_distances(x, store=tmp_path)
    tiles = sorted(tmp_path.rglob("tile-*"))
    pairwise_distances(y, store=tmp_path)
    foreign = next(path for path in tmp_path.rglob(tiles[0].name) if path != tiles[0])
    tiles[0].write_bytes(foreign.read_bytes())  # of another matrix
    tiles[1].write_bytes(tiles[2].read_bytes())  # of another place
    tiles[3].write_bytes(tiles[3].read_bytes()[:-3])  # torn
    tiles[4].write_bytes(b"")
    tiles[5].write_bytes(tiles[5].read_bytes()[:-1] + b"\x01")
    counted = Counted(monkeypatch)
    assert pairwise_distances(x, store=tmp_path, work=WORK).tobytes() == expected.tobytes()
    assert counted.tiles == 5


def test_another_set_another_distance_or_another_order_is_another_matrix(tmp_path):
    x, y = clouds(3, 9, 0), clouds(3, 9, 1)
    for arguments in ((x, y), (y, x), (x,), (x, x), (x, y, "emd_l1_mean"), (x, y, "emd_l2_mean")):
        with_store = pairwise_distances(*arguments, store=tmp_path)
        assert np.array_equal(with_store, pairwise_distances(*arguments))
    assert len(list(tmp_path.iterdir())) == 6


def test_what_cannot_be_measured_is_refused():
    x = clouds(3, 9, 0)
    with pytest.raises(InputError, match="distance cd: unknown; choose from cd_l2_mean, emd_l1_mean"):
        pairwise_distances(x, distance="cd")
    with pytest.raises(InputError, match="clouds of 9 and of 5 points"):
        pairwise_distances(x, x[:, :5], "emd_l1_mean")
    with pytest.raises(InputError, match=r"of the form \(0, 9, 3\)"):
        pairwise_distances(x, x[:0])

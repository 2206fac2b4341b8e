import contextlib
import os
import signal
import subprocess
import sys
import textwrap

import pyarrow.parquet as pq
import pytest

from pointvae.data.dataset import load_dataset
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from tests.data.files import folder_bytes, write_box, write_classes


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Two classes of boxes with a split of their own, y up: the third size is that along z."""
    layout = {"bed/train": 7, "bed/test": 3, "chair/train": 6, "chair/test": 2}
    return write_classes(tmp_path_factory.mktemp("boxes"), layout)


def test_workers_and_repetition_change_no_byte(boxes, tmp_path):
    for name, jobs in (("one", 1), ("two", 2), ("again", 1)):
        prepare(boxes, tmp_path / name, points=64, jobs=jobs, shard_size=4)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two") == folder_bytes(tmp_path / "again")
    assert str(tmp_path) not in (tmp_path / "one" / "README.md").read_text()


KILLED = """
    import contextlib, os, signal, sys
    from pointvae.data import building, shards, target
    from pointvae.data.prepare import prepare

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    where, count = sys.argv[3], 0
    replace, write = os.replace, shards.write_shard

    def replace_or_die(source, to):
        global count
        count += str(to).endswith(".parquet")
        if where == "before a rename" and count == 3:
            die()
        replace(source, to)

    def write_and_die(path, rows):
        written = write(path, rows)
        if where == "after a shard" and path.name.startswith("train-00001"):
            die()
        return written

    @contextlib.contextmanager
    def bar_of_death(*_):
        steps = []
        yield lambda _: steps.append(1) or (len(steps) == 2 and die())

    os.replace, shards.write_shard = replace_or_die, write_and_die
    if where == "when two are told of":
        building.progress_bar = bar_of_death
    if where == "before the card":
        target.write_card = die
    prepare(sys.argv[1], sys.argv[2], points=64, shard_size=4, jobs=int(sys.argv[4]))
"""


def run_until_killed(*arguments: object) -> int:
    """Run the code above in a session of its own, and end what it leaves running."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED), *map(str, arguments)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **quiet)
    try:
        return process.wait(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("where", "jobs", "there"),
    [("before a rename", 1, 2), ("after a shard", 1, 2), ("when two are told of", 2, 2), ("before the card", 1, 6)],
)
def test_a_killed_run_goes_on_at_the_next_shard_and_ends_in_the_same_bytes(boxes, tmp_path, where, jobs, there):
    assert run_until_killed(boxes, tmp_path / "killed", where, jobs) == -signal.SIGKILL
    whole = [path for path in (tmp_path / "killed").iterdir() if path.suffix == ".parquet"]
    assert len(whole) == there if jobs == 1 else len(whole) >= there
    for path in whole:
        assert pq.read_table(path).num_rows > 0
    with pytest.raises(InputError, match="not finished; run the same `pointvae prepare` again"):
        load_dataset(tmp_path / "killed")
    assert prepare(boxes, tmp_path / "killed", points=64, shard_size=4)["shards_kept"] == len(whole)
    prepare(boxes, tmp_path / "whole", points=64, shard_size=4)
    assert folder_bytes(tmp_path / "killed") == folder_bytes(tmp_path / "whole")


def test_the_same_recipe_again_returns_at_once(boxes, tmp_path):
    first = prepare(boxes, tmp_path / "out", points=64)
    before = folder_bytes(tmp_path / "out")
    second = prepare(boxes, tmp_path / "out", points=64, jobs=2)
    assert (first["already_prepared"], second["already_prepared"]) == (False, True)
    assert first["splits"] == second["splits"]
    assert folder_bytes(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"points": 32}, "prepared with --points 64, not 32"),
        ({"seed": 1}, "prepared with --seed 0, not 1"),
        ({"up": "y"}, "prepared with --up z, not y"),
        ({"normalize": "cube"}, "prepared with --normalize sphere, not cube"),
        ({"normals": True}, "prepared with --normals False, not True"),
        ({"dtype": "float16"}, "prepared with --dtype float32, not float16"),
    ],
)
def test_another_recipe_in_the_same_folder_is_refused_and_nothing_changes(boxes, tmp_path, changes, why):
    prepare(boxes, tmp_path / "out", points=64)
    before = folder_bytes(tmp_path / "out")
    with pytest.raises(InputError, match=why) as caught:
        prepare(boxes, tmp_path / "out", **{"points": 64, **changes})
    assert "remove it or choose another folder" in str(caught.value)
    assert folder_bytes(tmp_path / "out") == before


def test_other_files_or_another_source_are_another_recipe(tmp_path):
    root = write_classes(tmp_path / "root", {"bed": 3})
    prepare(root, tmp_path / "out", points=16)
    write_box(root / "bed" / "more.off")
    with pytest.raises(InputError, match="when the source had other files"):
        prepare(root, tmp_path / "out", points=16)
    with pytest.raises(InputError, match="prepared from root, not from boxes"):
        prepare(write_classes(tmp_path / "boxes", {"bed": 3}), tmp_path / "out", points=16)


@pytest.mark.parametrize("damage", ["cut", "gone", "flipped"])
def test_a_damaged_shard_is_made_anew_by_the_same_command(boxes, tmp_path, damage):
    prepare(boxes, tmp_path / "out", points=64, shard_size=4)
    before = folder_bytes(tmp_path / "out")
    shard = tmp_path / "out" / "train-00001-of-00004.parquet"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    if damage == "gone":
        shard.unlink()
    else:
        shard.write_bytes(data[:-100] if damage == "cut" else data)
    summary = prepare(boxes, tmp_path / "out", points=64, shard_size=4)
    assert (summary["already_prepared"], summary["shards_kept"]) == (False, 5)
    assert folder_bytes(tmp_path / "out") == before


def test_two_preparations_into_one_folder_are_refused_and_the_first_ends_well(boxes, tmp_path, monkeypatch):
    module = sys.modules["pointvae.data.prepare"]
    real, refused = module.build, []

    def meanwhile(*arguments, **settings):
        if not refused:
            refused.append(1)
            with pytest.raises(InputError, match="another process is writing into it"):
                prepare(boxes, tmp_path / "set", points=64)
        return real(*arguments, **settings)

    monkeypatch.setattr(module, "build", meanwhile)
    prepare(boxes, tmp_path / "set", points=64)
    monkeypatch.undo()
    prepare(boxes, tmp_path / "alone", points=64)
    assert refused and folder_bytes(tmp_path / "set") == folder_bytes(tmp_path / "alone")

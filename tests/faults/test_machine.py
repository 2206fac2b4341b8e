"""What the machine does to a command line: one clear line, exit code 2, nothing lost and nothing half-written."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pointvae import load_dataset, prepare
from pointvae.writing import sole_writer

pytestmark = [pytest.mark.faults, pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts of Linux")]

SMALL = ("--epochs", 3, "--batch_size", 8, "--points", 16, "--checkpoint_every", 2, "--accelerator", "cpu")
SMALL += ("--model.latent_dim", 6, "--model.encoder_args", "{widths: [8,16]}")
SMALL += ("--model.decoder_args", "{widths: [16]}", "--pictures_every", 1)
FILE_SIZE = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
FILE_SIZE += "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
HELD = """
import ctypes
libc = ctypes.CDLL(None)
for power in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root may read and write what it likes
    libc.prctl(24, power, 0, 0, 0)  # PR_CAPBSET_DROP: nor may what it starts
head, powers = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(head, powers)
for place in range(3):
    powers[place] &= ~6
libc.capset(head, powers)
"""
"""Holds root to the modes of files, as anybody else is."""
FULL, LARGE, READ_ONLY = "No space left on device", "File too large", "Read-only file system"

OUTPUTS = {
    "embed.npz": ("embed", "RUN", "SET", "OUT/codes.npz"),
    "embed.parquet": ("embed", "RUN", "SET", "OUT/codes.parquet"),
    "reconstruct.npz": ("reconstruct", "RUN", "SET", "OUT/made.npz"),
    "reconstruct.ply": ("reconstruct", "RUN", "SET", "OUT/made"),
    "reconstruct.png": ("reconstruct", "RUN", "SET", "OUT/made.png"),
    "viewer.html": ("reconstruct", "RUN", "SET", "OUT/viewer.html"),
    "sample.npz": ("sample", "RUN", "OUT/drawn.npz", "--count", 100),
    "export.onnx": ("export", "RUN", "OUT/model.onnx"),
    "evaluate": ("evaluate", "RUN", "SET", "--quick", "--parts", "retrieval,pictures", "--out", "OUT/evaluation"),
}


def argv(name, data, out):
    if name == "export.onnx":
        pytest.importorskip("onnxscript")
    places = {"RUN": data / "trained", "SET": data / "set"}
    words = [places.get(word, str(word).replace("OUT", str(out))) for word in OUTPUTS[name]]
    return words


def refused(ended, *words):
    """The one line that it was refused with."""
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err and len(ended.lines) == 1, ended.err
    for word in words:
        assert str(word) in ended.lines[0], ended.lines[0]
    return ended.lines[0]


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def filled(disk, left):
    """A disk with so many bytes left."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(disk).free - left))
    return ballast


def weights(run):
    return (run / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(pointvae, data, tmp_path_factory):
    """A training that nothing happened to."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert pointvae("train", data / "set", run, *SMALL).code == 0
    return weights(run)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_full_disk_is_one_line_that_names_the_file_and_leaves_none(pointvae, data, disk, name):
    filled(disk, 4096)
    words = argv(name, data, disk)
    line = refused(pointvae(*words), FULL, disk)
    assert ".tmp" not in line
    assert files(disk) == ["ballast"]


@pytest.mark.parametrize("name", [name for name in OUTPUTS if name != "reconstruct.ply"])
def test_a_limit_of_file_size_is_one_line_that_names_the_file(pointvae, data, tmp_path, name):
    refused(pointvae(*argv(name, data, tmp_path), code=FILE_SIZE.format(4096)), LARGE, tmp_path)
    assert [file for file in files(tmp_path) if not file.startswith("latents")] == []


@pytest.mark.parametrize("left", [4096, 45_000, 100_000, 170_000])
def test_a_training_on_a_disk_that_fills_up_goes_on_once_there_is_space(pointvae, data, disk, whole, left):
    ballast = filled(disk, left)
    command = ("train", data / "set", disk / "run", *SMALL, "--resume")
    refused(pointvae(*command), FULL, disk, "--resume")
    assert not (disk / "run" / "model.safetensors").exists()
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    done = pointvae(*command)
    assert done.code == 0, done.err
    assert weights(disk / "run") == whole
    assert not [file for file in files(disk) if file.endswith(".tmp")]


def test_a_training_under_a_limit_of_file_size_goes_on_without_it(pointvae, data, tmp_path, whole):
    command = ("train", data / "set", tmp_path / "run", *SMALL, "--resume")
    refused(pointvae(*command, code=FILE_SIZE.format(20_000)), LARGE, "--resume")
    assert pointvae(*command).code == 0
    assert weights(tmp_path / "run") == whole


def test_a_preparation_on_a_disk_that_fills_up_goes_on_once_there_is_space(pointvae, data, disk):
    ballast = filled(disk, 16_000)
    command = ("prepare", data / "clouds.npz", disk / "set", "--shard_size", 7)
    refused(pointvae(*command), FULL, disk)
    assert "README.md" not in files(disk / "set")
    ballast.unlink()
    assert pointvae(*command).code == 0
    prepare(data / "clouds.npz", data / "again", shard_size=7)
    assert {p.name: p.read_bytes() for p in (disk / "set").iterdir()} == {
        p.name: p.read_bytes() for p in (data / "again").iterdir()
    }


@pytest.mark.parametrize("name", ["train", "prepare", "embed.npz", "evaluate"])
def test_a_read_only_place_is_named(pointvae, data, disk, name):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    words = {
        "train": ("train", data / "set", disk / "run", *SMALL),
        "prepare": ("prepare", data / "clouds.npz", disk / "set"),
    }
    refused(pointvae(*(words.get(name) or argv(name, data, disk))), READ_ONLY, disk)


@pytest.fixture
def shut(tmp_path):
    """A folder that may be read and not written."""
    folder = tmp_path / "shut"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize(
    "name", ["train", "refine", "prepare", "embed.npz", "sample.npz", "reconstruct.ply", "evaluate"]
)
def test_a_place_without_permission_is_named(pointvae, data, shut, name):
    words = {
        "train": ("train", data / "set", shut / "run", *SMALL),
        "refine": ("refine", data / "trained", shut / "run", "--epochs", 1, "--accelerator", "cpu"),
        "prepare": ("prepare", data / "clouds.npz", shut / "set"),
    }
    refused(pointvae(*(words.get(name) or argv(name, data, shut)), code=HELD), "Permission denied", shut)
    assert files(shut) == []


@pytest.mark.parametrize("name", ["train", "prepare"])
def test_a_folder_that_is_there_and_may_not_be_written_is_named(pointvae, data, shut, name):
    words = {"train": ("train", data / "set", shut, *SMALL), "prepare": ("prepare", data / "clouds.npz", shut)}
    refused(pointvae(*words[name], code=HELD), "Permission denied", shut)
    assert files(shut) == []


def test_a_shape_without_permission_is_left_out_by_name(pointvae, data, tmp_path):
    shutil.copytree(data / "meshes", tmp_path / "meshes")
    (tmp_path / "meshes" / "tall" / "shape_04.off").chmod(0o000)
    done = pointvae("prepare", tmp_path / "meshes", tmp_path / "set", "--points", 16, code=HELD)
    assert done.code == 0, done.err
    (row,) = load_dataset(tmp_path / "set").card["pointvae"]["skipped"]
    assert row["file"].endswith("tall/shape_04.off") and "Permission denied" in row["why"]


VANISH = """
import shutil
from pointvae.training.module import TrainingModule
real = TrainingModule.training_step
def step(self, batch, index):
    if self.global_step == 9:
        shutil.rmtree({!r})
    return real(self, batch, index)
TrainingModule.training_step = step
"""


def test_a_run_folder_that_vanishes_is_named_and_the_training_can_go_on(pointvae, data, tmp_path, whole):
    run = tmp_path / "run"
    line = refused(pointvae("train", data / "set", run, *SMALL, code=VANISH.format(str(run))), run, "No such file")
    assert "b'" not in line
    again = pointvae("train", data / "set", run, *SMALL, "--resume")
    assert again.code == 0, again.err
    assert weights(run) == whole


def test_a_second_training_into_a_run_folder_is_refused(pointvae, data, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with sole_writer(run):
        refused(pointvae("train", data / "set", run, *SMALL, "--resume"), run, "another process is writing into it")
    assert files(run) == []


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """40 MB of clouds in shards."""
    root = tmp_path_factory.mktemp("large")
    points = np.random.default_rng(0).normal(size=(400, 8192, 3)).astype(np.float32)
    np.savez(root / "a.npz", train_points=points)
    prepare(root / "a.npz", root / "set", shard_size=16)
    return root / "set"


MEMORY = "import resource, sys\npages = int(open('/proc/self/statm').read().split()[0])\n"
MEMORY += "size = pages * 4096 + {} * 2**20\nresource.setrlimit(resource.RLIMIT_AS, (size, size))"


def test_a_set_too_large_for_memory_is_refused_with_what_would_do(pointvae, large, tmp_path):
    words = ("train", large, tmp_path / "run", *SMALL, "--loading", "memory", "--logger", "none")
    line = refused(pointvae(*words, code=MEMORY.format(45)), "0.04 GiB", "--loading stream")
    assert "are free" in line and files(tmp_path) == []


def test_where_memory_is_short_it_streams_of_itself(pointvae, large, tmp_path):
    words = ("train", large, tmp_path / "run", *SMALL, "--epochs", 1, "--logger", "none")
    done = pointvae(*words, code=MEMORY.format(70), seconds=100)
    assert "so it is streamed from its shards" in done.err
    assert load_dataset(large)


CLOSED = "import os; os.close({})"
BROKEN = "import os; r, w = os.pipe(); os.close(r); os.dup2(w, {0}); os.close(w)"


@pytest.mark.parametrize("handle", [0, 2])
@pytest.mark.parametrize("how", [CLOSED, BROKEN], ids=["closed", "broken"])
def test_a_training_ends_well_though_nobody_listens(pointvae, data, tmp_path, whole, handle, how):
    done = pointvae("train", data / "set", tmp_path / "run", *SMALL, code=how.format(handle))
    assert done.code == 0
    assert weights(tmp_path / "run") == whole


def test_a_result_that_cannot_be_told_is_one_line(pointvae, data, tmp_path):
    code = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"
    words = ("sample", data / "trained", tmp_path / "s.npz", "--count", 2, "--json")
    refused(pointvae(*words, code=code), "the standard output", FULL)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed_from_the_start_spoils_no_file(data, tmp_path, closed):
    pointvae = f"{sys.executable} -m pointvae"
    command = f"{pointvae} sample {data / 'trained'} {tmp_path / 's.npz'} --count 2 --json {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "s.npz")["points"].shape[0] == 2


def test_a_locale_of_c_no_home_and_names_that_are_no_text_do_no_harm(data, tmp_path):
    folder = tmp_path / "shapes" / "class"
    folder.mkdir(parents=True)
    for index, name in enumerate((b"caf\xe9.off", "café.off".encode(), b"plain.off")):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write((data / "meshes" / "tall" / f"shape_{2 * index:02d}.off").read_bytes())
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "PYTHONUTF8")}
    environment |= {"LC_ALL": "C", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pointvae", "prepare", str(tmp_path / "shapes"), str(tmp_path / "set")]
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    facts = load_dataset(tmp_path / "set").card["pointvae"]
    assert {name: split["shapes"] for name, split in facts["splits"].items()} == {"train": 1, "test": 1}
    (row,) = facts["skipped"]
    assert "caf" in row["file"] and "UTF-8" in row["why"]


BACK = """
import time
now = [time.time()]
def earlier():
    now[0] -= 60
    return now[0]
time.time = earlier
"""


def test_a_clock_that_goes_backwards_changes_nothing(pointvae, data, tmp_path, whole):
    done = pointvae("train", data / "set", tmp_path / "run", *SMALL, code=BACK)
    assert done.code == 0, done.err
    assert weights(tmp_path / "run") == whole

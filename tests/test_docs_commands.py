"""Every command on every page is run, page by page in the order of the page, in a world of small things.

A page's commands find what they speak of: meshes, data sets, runs and files under the names that the pages use
(`WORLD`), and are made small by options that stand after their own (`SMALLER`). What needs a network, a cluster,
several devices or gated data is not run and says why (`NOT_HERE`); it is parsed in `test_docs.py` like all others.
"""

import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from pointvae.cli import VERBS
from pointvae.command import run
from tests.test_docs import COMMANDS, ROOT, TEXTS, name

TINY = [
    "--epochs=1",
    "--points=32",
    "--batch_size=16",
    "--accelerator=cpu",
    "--model.latent_dim=4",
    "--model.encoder_args.widths=[8, 8]",
    "--model.decoder_args.widths=[8]",
]

SMALLER = {  # verb -> options that are added to a page's command, or take the place of its own
    "prepare": ["--points=64"],
    "train": TINY,
    "refine": ["--epochs=1", "--shapes=32", "--accelerator=cpu"],
    "evaluate": ["--quick=true", "--parts=latents"],
    "compare": ["--quick=true"],  # of runs that are all evaluated first, see `evaluated`
    "attack": ["--steps=1", "--restarts=1", "--shapes=6", "--radii=0.01"],
    "demo": ["--shapes_per_class=3", "--epochs=1"],
    "doctor": ["--quick=true"],
}
INSTEAD = {"procedural": ["--points=64", "--shapes_per_class=2"]}  # of a source, for `prepare`

NOT_HERE = {  # what a command has in it -> why it is not run
    "view ": "opens a window and waits; tests/test_view.py opens one",
    "s3://": "needs a bucket",
    "dask://": "needs a cluster",
    "ray://": "needs a cluster",
    "hf://": "needs the Hub",
    "prepare modelnet": "a download of gigabytes, or its archive",
    "prepare shapenet": "a gated set",
    "prepare hf-objaverse": "a download of gigabytes",
    "prepare saved": "what Hugging Face's save_to_disk wrote; tests/data/test_huggingface.py reads such",
    "prepare clouds.parquet": "a table of somebody's own; tests/data/test_huggingface.py reads such",
    "--logger wandb": "needs an account; tests/training/test_loggers.py runs it without one",
    "mlflow": "starts a database; tests/training/test_loggers.py runs it",
    "--devices 4": "needs four devices",
    "--protocol NAME": "NAME stands for any protocol",
    "few_shot": "needs thirty shapes of each class; tests/evaluation/test_protocols.py runs it",
}

RUNS = ("RUN", "OTHER_RUN", "run", "runs/mine", "runs/other")
SEEDS = tuple(f"{folder}{kind}-{seed}" for folder in ("", "runs/") for kind in ("vae", "cr-vae") for seed in range(3))
WORLD = {  # what stands under which names
    "data": ("DATASET", "data/mine", "data/shapes", "shapes"),
    "run": (*RUNS, *SEEDS),
    "meshes": ("meshes", "FOLDER", "INPUT"),
    "chair.off": ("chair.off", "new.off"),
    "table.off": ("table.off",),
    "chair.stl": ("chair.stl", "new_part.stl"),
    "scan.ply": ("scan.ply",),
}
MADE = {"prepare": 1, "train": 1, "refine": 1}  # verb -> which of its arguments is a folder that must be new


def told(argv):
    """Run a command here; its exit code."""
    return run(VERBS, argv)


def with_options(argv, options):
    """A command with options set: in the place of its own where it has them."""
    out, skip = [], False
    taken = {option.partition("=")[0] for option in options}
    for word, after in zip(argv, [*argv[1:], "--"], strict=False):
        if skip:
            skip = False
        elif word.partition("=")[0].replace("-", "_").replace("__", "--", 1) in taken:
            skip = "=" not in word and not after.startswith("--")
        else:
            out.append(word)
    return [*out, *options]


def smaller(argv):
    """A page's command as it is run here."""
    options = next(
        (INSTEAD[word] for word in argv if argv[0] == "prepare" and word in INSTEAD), SMALLER.get(argv[0], [])
    )
    own = "--parts" in argv  # a page that chooses parts means these
    options = [option for option in options if not (own and option.startswith("--parts"))]
    if "configs/cr-vae-invariant.yaml" in argv:  # its encoder is one around another
        options = [option.replace("encoder_args.widths", "encoder_args.inner_args.widths") for option in options]
    return with_options(argv, options)


def evaluated(argv, line):
    """Evaluate a little the runs that a page compares, on its data set; ``line`` is all that the page types."""
    dataset = "data/mine" if "data/mine" in line else "DATASET"
    for run_folder in {word for word in argv[1:] if Path(word, "config.json").is_file()}:
        assert told(["evaluate", run_folder, dataset, *SMALLER["evaluate"]]) == 0


def why_not(argv):
    """Why a command is not run; nothing where it is."""
    line = shlex.join(argv)
    return next((reason for part, reason in NOT_HERE.items() if part in line), "")


def is_whole(argv):
    """Whether it is a command, and not a verb spoken of."""
    return len(argv) > 1 or argv[0] in ("datasets", "models", "doctor", "demo")


@pytest.fixture(scope="session")
def things(tmp_path_factory):
    """One of each thing of the world."""
    from pointvae.data.procedural import build

    folder = tmp_path_factory.mktemp("things")
    for label, kind in enumerate(("chair", "table", "jug")):
        (folder / "meshes" / kind).mkdir(parents=True)
        for number in range(10):
            mesh, _ = build(kind, np.random.default_rng((label, number)))
            mesh.export(folder / "meshes" / kind / f"{kind}_{number}.off")
    for file, source in (
        ("chair.off", "chair_0"),
        ("table.off", "table_0"),
        ("chair.stl", "chair_1"),
        ("scan.ply", "jug_0"),
    ):
        import trimesh

        trimesh.load_mesh(folder / "meshes" / source.split("_")[0] / f"{source}.off").export(folder / file)
    here = os.getcwd()
    os.chdir(folder)
    try:
        assert told(["prepare", "meshes", "data", "--points=64"]) == 0
        assert told(["train", "data", "run", *TINY]) == 0
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def world(things, tmp_path, monkeypatch):
    """A folder in which everything that the pages speak of is there."""
    monkeypatch.chdir(tmp_path)
    for thing, names in WORLD.items():
        for place in map(Path, names):
            place.parent.mkdir(parents=True, exist_ok=True)
            source = things / thing
            shutil.copytree(source, place) if source.is_dir() else shutil.copy(source, place)
    Path("configs").symlink_to(ROOT / "configs")
    Path("results").symlink_to(ROOT / "results")
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", [name(page) for page in TEXTS if any(where == name(page) for where, _ in COMMANDS)])
def test_the_commands_of_a_page_run_in_their_order(page, world, capfd):
    line = " ".join(word for where, argv in COMMANDS for word in argv if where == page)
    for where, argv in COMMANDS:
        if where != page or not is_whole(argv) or why_not(argv):
            continue
        given = smaller(argv)
        if argv[0] == "compare":
            evaluated(argv, line)
        if argv[0] in MADE and "--resume" not in argv:
            shutil.rmtree([word for word in argv[1:] if not word.startswith("--")][MADE[argv[0]]], ignore_errors=True)
        if Path(argv[-1]).suffix and argv[0] != "prepare":
            Path(argv[-1]).parent.mkdir(parents=True, exist_ok=True)
        code = told(given)
        said = capfd.readouterr().err
        assert code == 0, (
            f"{page}: `pointvae {shlex.join(argv)}`, run as `{shlex.join(given)}`: exit {code}: {said[-500:]}"
        )


def test_every_reason_not_to_run_a_command_is_one_of_some_command():
    lines = [shlex.join(argv) for _, argv in COMMANDS]
    assert [part for part in NOT_HERE if not any(part in line for line in lines)] == []


def test_options_stand_in_the_place_of_the_pages_own():
    argv = ["train", "D", "R", "--epochs", "50", "--num-nodes", "4", "--resume", "--seed=3"]
    assert with_options(argv, ["--epochs=1", "--num_nodes=1"]) == [
        "train",
        "D",
        "R",
        "--resume",
        "--seed=3",
        "--epochs=1",
        "--num_nodes=1",
    ]

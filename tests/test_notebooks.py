"""The notebook is what its script says, carries no outputs, and runs from top to bottom without a complaint."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
RUNNER = """
import sys, nbclient, nbformat
path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
nbformat.write(notebook, path)
"""

spec = importlib.util.spec_from_file_location("notebook_build", NOTEBOOKS / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


NAMES = [script.stem for script in build.scripts()]
SLOW = {"consistency", "retrieval", "robustness"}  # half a minute each, on a core of their own
PICTURES = {
    "consistency": 4,  # headings, divergences, loops, curves
    "quickstart": 8,  # clouds, classes, curves, a turn, gaps, two grids of reconstructions, neighbours
    "retrieval": 3,  # scans, shares, what was found
    "robustness": 4,  # corruptions, accuracies, ways, attacked clouds
    "your_own_meshes": 4,  # classes, neighbours, a map, reconstructions
}


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(notebook):
    """The words of every line that a notebook prints."""
    text = "".join(o.text for o in outputs(notebook) if o.output_type == "stream")
    return [line.split() for line in text.splitlines()]


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A notebook after running in a folder of its own, in a process whose warnings are its own; each runs once."""
    done = {}

    def run(name):
        if name not in done:
            done[name] = _run(name, tmp_path_factory.mktemp(name))
        return done[name]

    return run


def _run(name, folder):
    shutil.copy(NOTEBOOKS / f"{name}.ipynb", folder)
    own = {name: str(folder / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TMPDIR")}
    for place in own.values():
        Path(place).mkdir()
    environment = {**os.environ, **own, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    environment.pop("MPLBACKEND", None)
    command = [sys.executable, "-c", RUNNER, f"{name}.ipynb"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.read(folder / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_notebook_is_the_one_that_the_script_makes(name):
    script = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    assert (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8") == build.notebook(script), (
        "run `python notebooks/build.py`"
    )


def test_every_committed_notebook_has_a_script():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES


def test_a_script_becomes_text_and_code_in_order():
    script = "# %% [markdown]\n# # Title\n#\n# text\n\n# %%\na = 1  # %% not a mark\n\n\nb = 2\n"
    assert build.cells(script) == [("markdown", "# Title\n\ntext"), ("code", "a = 1  # %% not a mark\n\n\nb = 2")]


@pytest.mark.parametrize("script", ["# %% [raw]\n# x\n", "# %% [markdown]\nx = 1\n"])
def test_a_cell_that_would_be_lost_is_refused(script):
    with pytest.raises(ValueError, match="cell"):
        build.cells(script)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NAMES]
)
def test_a_notebook_runs_says_nothing_on_stderr_shows_its_pictures_and_stays_light(executed, name):
    notebook = executed(name)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source)
    said = [o.text for o in outputs(notebook) if o.output_type == "stream" and o.name == "stderr"]
    assert not said
    shown = [o for o in outputs(notebook) if "data" in o]
    bare = [o.data["text/plain"] for o in shown if "image/png" not in o.data and "<Figure" in o.data["text/plain"]]
    assert not bare, "a figure was told and not shown"
    if name in PICTURES:
        assert sum("image/png" in o.data for o in shown) == PICTURES[name]
    assert len(nbformat.writes(notebook)) < 3_000_000


def test_the_quickstart_ends_in_a_gap_that_training_closed_and_latents_above_the_floor(executed):
    rows = printed(executed("quickstart"))
    gap = {row[0]: float(row[1]) for row in rows if row and row[0] in ("VAE", "CR-VAE") and len(row) == 5}
    assert 0 < gap["CR-VAE"] < 0.7 * gap["VAE"]
    probes = [row for row in rows if len(row) == 8 and row[2] == "posterior_mean"]
    assert len(probes) == 4
    assert all(float(row[3]) > float(row[7]) for row in probes)


@pytest.mark.slow
def test_consistency_closes_the_gap_beyond_its_control_and_keeps_what_the_latent_says(executed):
    rows = {
        row[0]: list(map(float, [row[1], row[4], row[5]]))
        for row in printed(executed("consistency"))
        if len(row) == 7
    }
    (gap, active, kl), (control_gap, _, control_kl) = rows["CR-VAE"], rows["augmented"]
    assert gap < 0.5 * control_gap
    assert active > 8 and kl > 0.7 * control_kl
    assert rows["blunt"][2] < 2  # says next to nothing


@pytest.mark.slow
def test_scans_find_their_models_far_above_chance_and_above_the_untrained_encoder(executed):
    rows = {
        row[0]: list(map(float, row[1:]))
        for row in printed(executed("retrieval"))
        if len(row) == 5 and row[1][0] in "01"
    }
    top_10 = {name: row[2] for name, row in rows.items()}
    assert top_10["CR-VAE"] > max(top_10["untrained"], 4 * top_10["chance"])


@pytest.mark.slow
def test_damage_costs_accuracy_and_an_attack_moves_the_code_more_than_noise_does(executed):
    rows = printed(executed("robustness"))
    lost = next(row for row in rows if row[:3] == ["lost", "at", "severity"])
    assert float(lost[lost.index("{'trained':") + 1].strip(",}")) > 0
    ways = [row for row in rows if row[:1] == ["radius"]]
    assert len(ways) == 3
    assert all(float(row[3]) > 1.5 * float(row[5]) for row in ways)


def test_your_own_meshes_are_read_the_broken_one_named_and_the_hint_given(executed):
    text = [" ".join(row) for row in printed(executed("your_own_meshes"))]
    assert any(line.startswith("120 meshes in 8 classes") for line in text)
    assert sum("mug_cut.off" in line for line in text) == 2  # by inspect and by prepare
    assert any(line.startswith("hint: the shapes look y up") for line in text)

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


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The quickstart after running in a folder of its own, in a process whose warnings are its own."""
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copy(NOTEBOOKS / "quickstart.ipynb", folder)
    own = {name: str(folder / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TMPDIR")}
    for place in own.values():
        Path(place).mkdir()
    environment = {**os.environ, **own, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    environment.pop("MPLBACKEND", None)
    command = [sys.executable, "-c", RUNNER, "quickstart.ipynb"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.read(folder / "quickstart.ipynb", as_version=4)


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_the_committed_notebook_is_the_one_that_the_script_makes():
    script = (NOTEBOOKS / "quickstart.py").read_text(encoding="utf-8")
    assert (NOTEBOOKS / "quickstart.ipynb").read_text(encoding="utf-8") == build.notebook(script), (
        "run `python notebooks/build.py`"
    )


def test_the_committed_notebook_carries_no_outputs():
    notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    assert not outputs(notebook)
    assert all(cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


def test_a_script_becomes_text_and_code_in_order():
    script = "# %% [markdown]\n# # Title\n#\n# text\n\n# %%\na = 1  # %% not a mark\n\n\nb = 2\n"
    assert build.cells(script) == [("markdown", "# Title\n\ntext"), ("code", "a = 1  # %% not a mark\n\n\nb = 2")]


@pytest.mark.parametrize("script", ["# %% [raw]\n# x\n", "# %% [markdown]\nx = 1\n"])
def test_a_cell_that_would_be_lost_is_refused(script):
    with pytest.raises(ValueError, match="cell"):
        build.cells(script)


def test_the_quickstart_runs_and_says_nothing_on_stderr(executed):
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code" and cell.source)
    said = [o.text for o in outputs(executed) if o.output_type == "stream" and o.name == "stderr"]
    assert not said


def test_the_quickstart_shows_pictures_of_all_it_promises(executed):
    pictures = [o for o in outputs(executed) if "image/png" in o.get("data", {})]
    assert len(pictures) == 8  # clouds, classes, curves, a turn, gaps, two grids of reconstructions, neighbours


def test_the_quickstart_ends_in_a_gap_that_training_closed_and_latents_above_the_floor(executed):
    text = "".join(o.text for o in outputs(executed) if o.output_type == "stream")
    rows = [line.split() for line in text.splitlines()]
    gap = {row[0]: float(row[1]) for row in rows if row and row[0] in ("VAE", "CR-VAE") and len(row) == 5}
    assert 0 < gap["CR-VAE"] < 0.7 * gap["VAE"]
    probes = [row for row in rows if len(row) == 8 and row[2] == "posterior_mean"]
    assert len(probes) == 4
    assert all(float(row[3]) > float(row[7]) for row in probes)

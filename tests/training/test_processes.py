"""Training on two processes, as Lightning's own launcher starts them."""

import json
import subprocess
import sys

import pytest

from pointvae import prepare
from pointvae.processes import is_main_process


@pytest.mark.slow
def test_two_processes_train_one_run_and_one_of_them_speaks(tmp_path):
    prepare("procedural", tmp_path / "set", points=64, shapes_per_class=5)
    command = [sys.executable, "-m", "pointvae.cli", "train", str(tmp_path / "set"), str(tmp_path / "run")]
    options = "--epochs 2 --points 64 --model.latent_dim 8 --accelerator cpu --devices 2 --strategy ddp --json"
    out = subprocess.run([*command, *options.split()], capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(out.stdout)["epochs"] == 2
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("name", "value", "main"), [("RANK", "1", False), ("LOCAL_RANK", "0", True), ("X", "1", True)]
)
def test_the_main_process_is_the_first_of_its_launcher(monkeypatch, name, value, main):
    for known in ("RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv(name, value)
    assert is_main_process() is main

"""What is looked at after a kill, and at the end: torn files, files left behind, results that differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def torn(folder: Path) -> list[str]:
    """Files under their final names that cannot be read."""
    import pyarrow.parquet as pq
    from safetensors import safe_open

    from pointvae.training.checkpoint_files import CHECKPOINT, _fault

    found = []
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".tmp") or any(part.endswith(".tmp") for part in path.parts) or not path.is_file():
            continue
        try:
            if path.suffix == ".parquet":
                pq.read_table(path)
            elif path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".csv":
                assert path.read_text().endswith("\n")
            elif path.suffix == ".npz":
                np.load(path, allow_pickle=False).files  # noqa: B018
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
            elif path.suffix == CHECKPOINT.suffix:
                fault = _fault(path)
                assert fault is None, fault
            elif path.suffix == ".html":
                assert path.read_text().rstrip().endswith("</html>")
        except Exception as error:
            found.append(f"{path.name}: torn ({error})")
    return found


def leftovers(folder: Path) -> list[str]:
    """Temporary names that stand there though the run has come to its end."""
    return [path.name for path in sorted(folder.rglob(".*")) if path.name.endswith(".tmp")]


def differences(whole: Any, made: Any, name: str = "") -> list[str]:
    """Where two results are not the same."""
    if isinstance(whole, dict) and isinstance(made, dict):
        return [
            line for key in {**whole, **made} for line in differences(whole.get(key), made.get(key), f"{name}/{key}")
        ]
    return [] if whole == made else [f"{name}: {str(made)[:100]}, not {str(whole)[:100]}"]

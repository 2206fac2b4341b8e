# ruff: noqa: F811 (fixtures of another file)
"""At the end of an epoch figures are written before the checkpoint: killed between any two writes, no row is lost."""

import pytest

from pointvae import Consistency, writing
from tests.training.test_resume_steps import folder, lanes, whole  # noqa: F401
from tests.training.test_streaming import figures, train, weights


@pytest.mark.parametrize("name", ["metrics.csv", "kl_per_dimension.csv", "last.ckpt", "model.safetensors"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_cut_before_or_after_a_file_of_an_epochs_end_has_its_name_no_row_is_lost(
    folder, whole, tmp_path, monkeypatch, name, when
):
    real, seen = writing.os.replace, []

    def replace(source, target):
        mine = str(target).endswith(f"run/{name}") or str(target).endswith(f"checkpoints/{name}")
        seen.append(mine)
        if mine and when == "before":
            raise RuntimeError("plug")
        real(source, target)
        if mine:
            raise RuntimeError("plug")

    with monkeypatch.context() as patch:
        patch.setattr(writing.os, "replace", replace)
        with pytest.raises(RuntimeError, match="plug"):
            train(folder, tmp_path / "run", Consistency(), checkpoint_every=0)
    assert any(seen)
    train(folder, tmp_path / "run", Consistency(), checkpoint_every=0, resume=True)
    assert weights(tmp_path / "run") == weights(whole)
    assert figures(tmp_path / "run") == figures(whole)


def test_what_a_killed_writer_left_is_cleared_away(folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".metrics.csv.17.tmp").write_text("half")
    train(folder, run, Consistency(), epochs=1, resume=True)
    assert not list(run.rglob("*.tmp"))

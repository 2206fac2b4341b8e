"""The demo, small: everything is there, and a second call does nothing twice."""

import json

import pytest

from pointvae import InputError
from pointvae.demo import demo


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo(folder, shapes_per_class=5, epochs=1)


def test_both_models_are_probed_aligned_and_rotated_beside_the_untrained_encoder(made):
    _, result = made
    found = {(r["run"], r["rotation"], r["feature"]) for r in result["rows"]}
    assert found == {
        (run, rotation, feature)
        for run in ("vae", "cr-vae")
        for rotation in ("none", "z")
        for feature in ("posterior_mean", "encoder")
    }
    for row in result["rows"]:
        low, high = row["untrained_accuracy_interval"]
        assert 0 <= low <= row["untrained_accuracy"] <= high <= 1
    json.dumps(result)


def test_the_report_and_the_runs_are_where_it_says(made):
    folder, result = made
    assert result["report"] == str(folder / "report.html")
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")
    for run in ("vae", "cr-vae"):
        assert (folder / run / "model.safetensors").is_file()


def test_both_models_start_from_the_same_untrained_encoder(made):
    _, result = made
    untrained = {}
    for row in result["rows"]:
        untrained.setdefault((row["rotation"], row["feature"]), set()).add(row["untrained_accuracy"])
    assert all(len(values) == 1 for values in untrained.values())


def test_a_second_call_trains_nothing_and_says_the_same(made):
    folder, result = made
    before = (folder / "vae" / "model.safetensors").stat().st_mtime_ns, (folder / "vae" / "metrics.csv").read_bytes()
    again = demo(folder, shapes_per_class=5, epochs=1)
    assert again["rows"] == result["rows"]
    assert (folder / "vae" / "metrics.csv").read_bytes() == before[1]


def test_other_settings_in_the_same_folder_are_refused(made):
    folder, _ = made
    with pytest.raises(InputError, match="shapes_per_class"):
        demo(folder, shapes_per_class=6, epochs=1)

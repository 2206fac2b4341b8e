"""Results as people read them in a terminal."""

import pytest

from pointvae.glance import glance
from pointvae.present import present

METRICS = {
    "run": "[red]run[/x]",
    "dataset": {"name": "shapes"},
    "model_sha256": "abcdef",
    "split": "test",
    "n_shapes": 2468,
    "points": 256,
    "seed": 0,
    "quick": False,
    "latents": {"active_units": 3, "latent_dim": 8, "kl": 12.345},
    "likelihood": {"left_out": "it is no density"},
    "reconstruction": {"measures": {"cd_l2_mean": {"mean": None, "standard_error": None}}},
    "seconds": {"latents": 1.0, "all": 61.2},
    "report": "runs/a/report.html",
}


def test_an_evaluation_is_told_in_a_few_lines_of_words():
    assert list(glance(METRICS)) == [
        "[red]run[/x] on shapes: 2,468 shapes of the test split, 256 points each, seed 0",
        "latents: 3 of 8 units active, KL to the prior 12.35 nats a shape",
        "left out: likelihood: it is no density",
        "took: 61 s",
        "report: runs/a/report.html, beside metrics.json and evaluation.npz with every figure",
    ]


def test_shapes_that_are_no_test_split_are_named():
    assert "no test split" in list(glance({**METRICS, "split": "train"}))[1]


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
def test_names_are_printed_as_they_are(verb, capsys):
    present(verb, METRICS)
    err = capsys.readouterr().err
    assert "[red]run[/x]" in err and ("abcdef" in err) == (verb == "sample")

"""The report's section on samples: what it shows of one run and of several."""

from types import SimpleNamespace

import numpy as np

from pointvae.evaluation.generation import measure_generation
from pointvae.evaluation.sections.generation import section


def run(name: str, seed: int = 1, real: bool = True):
    clouds = [np.random.default_rng(k).uniform(-0.5, 0.5, (5, 8, 3)).astype(np.float32) for k in (seed, 50, 51)]
    part = measure_generation(clouds[0], clouds[1], real=clouds[2] if real else None)
    return SimpleNamespace(name=name, metrics={"generation": part.figures}, arrays={})


def test_every_measure_stands_beside_that_of_real_shapes():
    shown = run("a")
    html = section([shown])
    for row in ("samples", "real"):
        for value in shown.metrics["generation"][row].values():
            assert f"{value['value']:.4g}<br><small>± {value['standard_error']:.2g}" in html
    for words in ("MMD ↓, Chamfer", "COV ↑, earth mover&#x27;s", "1-NNA → 0.5, Chamfer", "JSD ↓<", "5 of them"):
        assert words in html


def test_runs_stand_side_by_side_and_share_real_shapes_that_are_the_same():
    html = section([run("a"), run("b", 2)])
    assert html.count(">a,<br>samples<") == html.count(">b,<br>samples<") == html.count(">real<br>shapes<") == 1


def test_real_shapes_may_be_absent():
    html = section([run("a", real=False)])
    assert ">real<br>shapes<" not in html and "training split" not in html


def test_names_are_escaped():
    html = section([run("<b>&"), run("c")])
    assert "<b>&" not in html and "&lt;b&gt;&amp;" in html


def test_a_part_that_is_missing_says_why():
    left_out = SimpleNamespace(name="a", metrics={"generation": {"left_out": "too <few> shapes"}}, arrays={})
    assert section([left_out]) == '<p class="empty">No measures of samples: too &lt;few&gt; shapes</p>'
    assert 'class="empty"' in section([SimpleNamespace(name="a", metrics={}, arrays={})])

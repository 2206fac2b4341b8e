"""The report's section on reconstruction: what it shows of one run and of several."""

from types import SimpleNamespace

import numpy as np

from pointvae.evaluation.reconstruction import measure_reconstruction
from pointvae.evaluation.sections.reconstruction import section


def run(name: str, seed: int = 1, points: int = 20, again: bool = False):
    rng = np.random.default_rng(0)
    clouds, other = (rng.uniform(-1, 1, (6, 20, 3)).astype(np.float32) for _ in range(2))
    made = np.random.default_rng(seed).uniform(-1, 1, (6, points, 3)).astype(np.float32)
    part = measure_reconstruction(clouds, made, again=other if again else None)
    return SimpleNamespace(name=name, metrics={"reconstruction": part.figures}, arrays={})


def test_every_measure_stands_with_its_error_and_its_floor():
    shown = run("a")
    html = section([shown])
    part = shown.metrics["reconstruction"]
    for figures in (part["measures"], part["floor"]["reconstruction"], part["floor"]["same_shape"]):
        for value in figures.values():
            assert f"{value['mean']:.4g}<br><small>± {value['standard_error']:.2g}" in html
    for name in part["measures"]:
        assert f"<code>{name}</code> {'↑' if name.startswith('f_score') else '↓'}" in html
    assert "another sample,<br>10 points" in html and "at 10 points" in html


def test_runs_stand_side_by_side_and_share_a_floor_that_is_the_same():
    html = section([run("a"), run("b", 2)])
    first_table = html.split("<details>")[0]
    assert first_table.count("another sample,<br>10 points") == 1
    for title in ("a,<br>20 points", "b,<br>20 points", "a,<br>at 10 points", "b,<br>at 10 points"):
        assert first_table.count(f">{title}<") == 1
    assert section([run("a"), run("b", 2, points=8)]).split("<details>")[0].count("another sample,<br>") == 2


def test_a_floor_at_the_full_count_needs_no_column_of_its_own():
    html = section([run("a", again=True)])
    assert "another sample,<br>20 points" in html and ">at " not in html


def test_numbers_of_points_that_differ_are_told():
    assert "30 to 20 points" in section([run("a", points=30)])


def test_names_are_escaped():
    html = section([run("<b>&"), run("c")])
    assert "<b>&" not in html and "&lt;b&gt;&amp;" in html


def test_a_part_that_is_missing_says_why():
    left_out = SimpleNamespace(name="a", metrics={"reconstruction": {"left_out": "too <few> shapes"}}, arrays={})
    assert section([left_out]) == '<p class="empty">No reconstruction measures: too &lt;few&gt; shapes</p>'
    assert 'class="empty"' in section([SimpleNamespace(name="a", metrics={}, arrays={})])

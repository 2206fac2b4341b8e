"""200,000 shapes against 20,000: the same memory, ten times the time. Many minutes."""

import pytest

import scale


@pytest.mark.slow
def test_ten_times_the_shapes_take_the_same_memory_and_ten_times_the_time(tmp_path):
    rows = [row for shapes in (20_000, 200_000) for row in scale.measure(shapes, 256, 2, tmp_path)]
    assert scale.too_much(rows) == []
    seconds = {(row["step"], row["shapes"]): row["cpu_seconds"] for row in rows}
    for step in ("prepare", "train", "embed"):
        ratio = seconds[step, 200_000] / seconds[step, 20_000]
        assert 3 < ratio < 15, f"{step}: {ratio:.1f} times the time"  # starting up counts in both


def test_memory_that_grows_is_told_of_step_by_step():
    rows = [{"step": "prepare", "shapes": n, "peak_mib": peak} for n, peak in ((10, 100), (100, 111))]
    rows += [{"step": "train", "shapes": n, "peak_mib": peak} for n, peak in ((10, 100), (100, 110))]
    assert scale.too_much(rows) == ["prepare: 100 MiB for 10 shapes, 111 MiB for 100"]


def test_the_memory_of_a_process_and_of_those_it_started_is_counted():
    result, seconds, cpu, peak = scale.measured("prepare", "--help")
    assert (result, seconds > 0, cpu > 0) == ({}, True, True)
    assert 10 < peak < 4000

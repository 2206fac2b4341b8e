"""A file that crashes, hangs or swells its reader, or takes it over, costs itself and nothing else."""

import dataclasses
import functools
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointvae.data.child import Child, CrashError
from pointvae.data.folders import open_folder
from pointvae.data.isolated import GRACE
from pointvae.data.isolation import Isolation, Limits, shared
from pointvae.data.rows import Made, Settings, make_row
from pointvae.data.source import SourceOptions
from pointvae.errors import InputError
from tests.data import faults
from tests.data.faults import SETTINGS, forged, numbers
from tests.data.files import write_box

QUICK = Limits(seconds=0.5, memory=0.5, retries=0)
NONSENSE = "crashed the reader (an answer that makes no sense), tried once"


def call(function: Callable[..., Any], *arguments: Any) -> "functools.partial[Made | str]":
    return functools.partial(function, SETTINGS, *arguments)


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def warm(isolation: Isolation, seconds: float) -> None:
    """Let the child import what it needs in its own time, and then give each call so many seconds."""
    isolation._ready().seconds = 30.0
    isolation.row(call(faults.good))
    isolation._ready().seconds = seconds


@pytest.fixture
def patient() -> Iterator[Isolation]:
    with Isolation(Limits(memory=0.5)) as isolation:
        yield isolation


def same(one: Made | str, other: Made | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    pairs = [(one.points, other.points), (one.normals, other.normals)]
    equal = all(
        (a is None and b is None) or (a is not None and b is not None and a.tobytes() == b.tobytes())
        for a, b in pairs
    )
    return (
        equal
        and one.points.dtype == other.points.dtype
        and (one.factors, one.digest)
        == (
            other.factors,
            other.digest,
        )
    )


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (faults.segfault, "crashed the reader (segmentation fault), tried once"),
        (faults.abort, "crashed the reader (abort), tried once"),
        (faults.leave, "crashed the reader (exit code 0), tried once"),
        (faults.leave_politely, "crashed the reader (SystemExit), tried once"),
        (faults.panic, "crashed the reader (Panic), tried once"),
        (faults.close_all, "crashed the reader (exit code 1), tried once"),
        (faults.sleep, "took longer than 0.5 s, tried once; give it more with --timeout"),
        (faults.spin, "took longer than 0.5 s, tried once; give it more with --timeout"),
        (faults.swell, "needs more than 0.5 GiB of memory to read; give it more with --memory"),
        (faults.swell_slowly, "needs more than 0.5 GiB of memory to read; give it more with --memory"),
    ],
)
def test_a_fault_is_told_in_one_line_and_the_next_file_is_read(fault: Callable[..., Any], why: str) -> None:
    quick = "0.5 s" in why  # a file that needs memory is tried once more, in a child that must first be warm
    with Isolation(QUICK if quick else dataclasses.replace(QUICK, seconds=30.0)) as isolation:
        warm(isolation, 0.5 if quick else 30.0)
        assert isolation.row(call(fault)) == why
        isolation._ready().seconds = 30.0
        assert same(isolation.row(call(faults.good)), faults.good(SETTINGS))


def test_a_file_that_crashed_or_hung_is_tried_again_and_the_number_of_tries_is_told() -> None:
    with Isolation(Limits(seconds=30, retries=1)) as isolation:
        assert isolation.row(call(faults.segfault)) == "crashed the reader (segmentation fault), tried 2 times"


def test_a_reader_killed_in_the_middle_of_a_file_does_not_set_the_file_aside(tmp_path: Path) -> None:
    with Isolation(Limits(seconds=30, retries=1)) as isolation:
        assert same(isolation.row(call(faults.die_once, tmp_path / "died")), faults.good(SETTINGS))
    with Isolation(Limits(seconds=30, retries=0)) as isolation:
        why = isolation.row(call(faults.die_once, tmp_path / "died too"))
    assert why == "crashed the reader (killed, as when memory runs out), tried once"


def test_a_reader_killed_between_two_files_is_replaced_without_a_try_lost() -> None:
    with Isolation(Limits(seconds=30, retries=0)) as isolation:
        first = int(str(isolation.row(call(faults.process))))
        child = isolation._ready()
        os.kill(first, signal.SIGKILL)
        assert wait_until(lambda: child._process.poll() is not None)  # with its threads, so that its socket is closed
        assert int(str(isolation.row(call(faults.process)))) != first


def test_one_child_reads_file_after_file_and_ends_with_the_isolation() -> None:
    with Isolation(Limits(seconds=30)) as isolation:
        pids = {isolation.row(call(faults.process)) for _ in range(5)}
    assert len(pids) == 1
    assert not lives(int(str(pids.pop())))


def test_memory_that_earlier_files_left_behind_is_not_held_against_a_file(patient: Isolation) -> None:
    kept = [patient.row(call(faults.hold)) for _ in range(8)]
    assert kept == [str(count) for count in range(1, 9)]  # 800 MiB in the one process, of which each file took 100
    assert patient.row(call(faults.take, 400)) == str(400 << 20)
    assert patient.row(call(faults.take, 600)) == (
        "needs more than 0.5 GiB of memory to read; give it more with --memory"
    )


def test_the_answer_may_take_more_memory_than_the_file(patient: Isolation) -> None:
    settings = dataclasses.replace(SETTINGS, points=15_000_000)
    row = patient.row(functools.partial(faults.large, settings))
    assert isinstance(row, Made)
    assert row.points.shape == (15_000_000, 3)


def test_a_file_is_refused_for_its_memory_by_a_fresh_reader_alone() -> None:
    with Isolation(Limits(seconds=30, retries=0)) as isolation:
        first, second = (int(str(isolation.row(call(faults.tire)))) for _ in range(2))
    assert first != second


def test_a_file_too_large_for_memory_says_so_through_the_reader(tmp_path: Path, patient: Isolation) -> None:
    np.save(tmp_path / "cloud.npy", np.zeros((3, 3)))
    head = (tmp_path / "cloud.npy").read_bytes()
    (tmp_path / "cloud.npy").write_bytes(head.replace(b"(3, 3), }          ", b"(3000000000, 3), } "))
    load = functools.partial(_read, tmp_path / "cloud.npy")
    why = patient.row(functools.partial(make_row, load, "cloud", SETTINGS))
    assert why == "needs more than 0.5 GiB of memory to read; give it more with --memory"


def _read(path: Path) -> Any:
    from pointvae.data.readers import read_file

    return read_file(path)


def test_what_a_file_makes_its_reader_print_stays_off_our_stdout(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Isolation(QUICK) as isolation:
        warm(isolation, 30.0)
        assert same(isolation.row(call(faults.chatter)), faults.good(SETTINGS))
    assert capfd.readouterr() == ("", "")


def made(**changes: Any) -> dict[str, Any]:
    return {"arrays": [["<f4", [4, 3]]], "factors": "", "digest": "0" * 16} | changes


POINTS = numbers(*range(12))


def test_the_forged_answer_of_a_reader_taken_over_is_at_worst_a_wrong_cloud() -> None:
    with Isolation(Limits(seconds=30, retries=1)) as isolation:
        isolation.row(call(faults.good))
        row = isolation.row(call(faults.say, forged(made(), numbers(*[7.0] * 12), number=2), True))
        assert isinstance(row, Made)
        assert (row.points == 7).all()
        # the true answer, which came after, is not taken for that of the next file
        assert same(isolation.row(call(faults.good)), faults.good(SETTINGS))


ANSWERS = {
    "garbage": b"garbage that is longer than the head of an answer",
    "a pickle": pickle.dumps(os.getpid) * 3,
    "another mark": forged(made(), POINTS, mark=b"pv-row-0"),
    "the number of another call": forged(made(), POINTS, number=7),
    "endless JSON": forged(made(), POINTS, length=1 << 31),
    "broken JSON": forged(b"{not json"),
    "deep JSON": forged(b"[" * 50_000),
    "a list": forged([1, 2]),
    "nothing": forged({}),
    "another kind": forged({"other": "text"}),
    "a reason that is no text": forged({"why": 3}),
    "a reason that cannot be stored": forged({"why": "\ud800"}),
    "no array": forged(made(arrays=[]), b""),
    "more points": forged(made(arrays=[["<f4", [5, 3]]]), numbers(*range(15))),
    "another type": forged(made(arrays=[["<f8", [4, 3]]]), POINTS * 2),
    "Python objects": forged(made(arrays=[["|O", [4, 3]]]), POINTS * 2),
    "normals not asked for": forged(made(arrays=[["<f4", [4, 3]]] * 2), POINTS * 2),
    "NaN": forged(made(), numbers(*range(11), np.nan)),
    "infinity": forged(made(), numbers(*range(11), np.inf)),
    "broken factors": forged(made(factors="{"), POINTS),
    "factors in a list": forged(made(factors="[1]"), POINTS),
    "a factor of text": forged(made(factors='{"a": "b"}'), POINTS),
    "a factor of NaN": forged(made(factors='{"a": NaN}'), POINTS),
    "a factor beyond floats": forged(made(factors='{"a": 1' + "0" * 400 + "}"), POINTS),
    "factors that are no text": forged(made(factors=3), POINTS),
    "a digest that is none": forged(made(digest="../../etc"), POINTS),
    "a digest that is no text": forged(made(digest=None), POINTS),
}


def pretend(monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    """Let a child be a short script that takes one request, and then does this with its ``line``."""
    code = f"""
import os, sys, time
line = int(sys.argv[1])
os.write(line, {forged({"ready": True}, number=0)!r})
os.read(line, 1 << 16)
{then}
os.read(line, 1 << 16)
"""

    def launch(line: int, *limits: float) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-I", "-S", "-c", code, str(line)]
        return subprocess.Popen(words, pass_fds=(line,), start_new_session=True)

    monkeypatch.setattr("pointvae.data.child._launch", launch)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_none_is_refused(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, f"os.write(line, {answer!r})")
    with Isolation(Limits(seconds=30, retries=0)) as isolation:
        assert isolation.row(call(faults.good)) == NONSENSE


def test_an_answer_that_drips_has_no_more_time_than_another(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, f"for byte in {forged(made(), POINTS)!r}: os.write(line, bytes([byte])); time.sleep(0.05)")
    with Isolation(QUICK) as isolation:
        why = isolation.row(call(faults.good))
    assert why == "took longer than 0.5 s, tried once; give it more with --timeout"


def test_an_answer_cut_short_is_waited_for_no_longer_than_the_limit() -> None:
    with Isolation(QUICK) as isolation:
        warm(isolation, 0.5)
        why = isolation.row(call(faults.say, forged(made(), POINTS[:-4], number=2), False))
    assert why == "took longer than 0.5 s, tried once; give it more with --timeout"


def test_a_fault_of_the_input_and_a_fault_of_ours_arrive_as_they_are(patient: Isolation) -> None:
    pid = patient.row(call(faults.process))
    with pytest.raises(InputError, match=r"^the file is at fault$"):
        patient.row(call(faults.refuse))
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*in stumble.*KeyError: 'a bug of ours'"):
        patient.row(call(faults.stumble))
    assert patient.row(call(faults.process)) == pid


def test_a_call_without_settings_is_refused_since_its_answer_cannot_be_checked(patient: Isolation) -> None:
    with pytest.raises(TypeError, match="no Settings"):
        patient.row(functools.partial(faults.good, None))


def test_functions_that_cannot_be_pickled_by_name_are_sent_whole(patient: Isolation) -> None:
    assert patient.row(functools.partial(lambda settings: f"{settings.points} points", SETTINGS)) == "4 points"


def test_the_child_stands_where_the_parent_stands(
    patient: Isolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "json.py").write_text("raise SystemExit('the folder of the user is imported from')")
        monkeypatch.chdir(tmp_path / name)
        assert patient.row(call(faults.here)) == str(tmp_path / name)


@pytest.mark.parametrize("normals", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_are_bit_for_bit_those_of_this_process(
    tmp_path: Path, patient: Isolation, normals: bool, dtype: str
) -> None:
    for index, kind in enumerate(("off", "obj", "ply", "stl", "glb")):
        write_box(tmp_path / "a" / f"{index}.{kind}", (1.0, 2.0, 3.0 + index))
    (tmp_path / "a" / "bad.off").write_text("OFF\n3 1 0\n")
    np.savetxt(tmp_path / "a" / "cloud.xyz", np.random.default_rng(0).random((200, 3)))
    settings = Settings(64, "y", "sphere", 3, normals, dtype)
    rows = _rows_both_ways(tmp_path, patient, settings)
    assert sum(isinstance(row, Made) for row in rows) == (5 if normals else 6)


def _rows_both_ways(folder: Path, isolation: Isolation, settings: Settings, every: int = 1) -> list[Made | str]:
    rows = []
    items = open_folder(folder, "folder", SourceOptions(test_fraction=0)).items
    for place in range(0, len(items), every):
        item = items[place]
        row = functools.partial(make_row, item.load, item.name, settings)
        rows.append(row())
        assert same(isolation.row(row), rows[-1]), item.name
    return rows


def test_rows_of_real_meshes_are_bit_for_bit_those_of_this_process(real_data: Path, patient: Isolation) -> None:
    settings = Settings(2048, "z", "sphere", 0, normals=True, dtype="float32")
    rows = _rows_both_ways(real_data / "furniture", patient, settings, every=20)
    assert any(isinstance(row, Made) for row in rows)


def test_the_child_loads_neither_torch_nor_what_a_plain_mesh_does_not_need(
    tmp_path: Path, patient: Isolation
) -> None:
    load = functools.partial(_read, write_box(tmp_path / "box.off"))
    assert isinstance(patient.row(functools.partial(make_row, load, "box", SETTINGS)), Made)
    loaded = set(str(patient.row(call(faults.modules))).split())
    assert "pointvae.data.meshes" in loaded
    assert not {"torch", "lightning", "sklearn", "trimesh"} & loaded


def test_nothing_of_the_child_or_what_it_started_is_left_behind(tmp_path: Path) -> None:
    with Isolation(Limits(seconds=3, retries=0)) as isolation:
        warm(isolation, 3.0)
        assert "took longer" in str(isolation.row(call(faults.start_grandchild, tmp_path / "pid")))
    grandchild = int((tmp_path / "pid").read_text())
    assert wait_until(lambda: not lives(grandchild))


def test_many_calls_keep_descriptors_and_memory_flat() -> None:
    with Isolation(Limits(seconds=30, retries=0)) as isolation:
        pid = int(str(isolation.row(call(faults.process))))

        def held() -> tuple[int, int, int, int]:
            pages = [int(Path(f"/proc/{name}/statm").read_text().split()[1]) for name in ("self", pid)]
            return (len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{pid}/fd")), *pages)

        def run(count: int) -> None:
            for _ in range(count):
                assert isinstance(isolation.row(call(faults.good)), Made)
            gc.collect()

        run(200)
        before = held()
        run(800)
        after = held()
    assert after[:2] == before[:2]
    assert max(after[2] - before[2], after[3] - before[3]) < 256  # a MiB


def test_restarts_leave_no_descriptors() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Isolation(Limits(seconds=30, retries=1)) as isolation:
        for _ in range(2):
            isolation.row(call(faults.leave))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("busy", [faults.good, faults.spin])
def test_a_child_does_not_outlive_a_parent_that_is_killed(busy: Callable[..., Any]) -> None:
    code = f"""
        import functools
        from pointvae.data.isolation import Limits, shared
        from tests.data import faults
        isolation = shared(Limits(retries=0))
        print(isolation.row(functools.partial(faults.process, faults.SETTINGS)), flush=True)
        isolation.row(functools.partial(faults.{busy.__name__}, faults.SETTINGS))
        import time; time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert lives(child)
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not lives(child))


def test_a_child_whose_parent_does_not_stop_it_stops_itself() -> None:
    child = Child(1.0, 1.0 - GRACE)
    child.seconds = 30.0
    with pytest.raises(CrashError, match="SIGALRM"):
        child.ask(pickle.dumps((None, call(faults.spin))), SETTINGS)
    child.stop()


def test_a_crash_writes_no_core_file(patient: Isolation) -> None:
    assert patient.row(call(faults.cores)) == "(0, 0)"


def test_the_shared_child_is_kept_by_its_thread_and_ends_with_the_process() -> None:
    code = """
        import functools
        from pointvae.data.isolation import Limits, shared
        from tests.data import faults
        def ask(): return shared(Limits()).row(functools.partial(faults.process, faults.SETTINGS))
        pids = [ask(), ask()]
        import threading
        def apart(): pids.extend([ask(), ask()])
        thread = threading.Thread(target=apart); thread.start(); thread.join()
        print(*pids)
    """
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    first, again, apart, still = map(int, out.stdout.split())
    assert (first, apart) == (again, still)
    assert first != apart
    assert out.stderr == ""
    assert not lives(first)
    assert not lives(apart)


def test_the_child_of_a_thread_that_ended_ends() -> None:
    pids = []

    def ask() -> None:
        pids.append(int(str(shared(Limits()).row(call(faults.process)))))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert wait_until(lambda: not lives(pids[0]))


def test_other_limits_take_effect_at_once() -> None:
    assert shared(Limits()) is shared(Limits())
    assert shared(Limits(memory=0.25)).limits.memory == 0.25
    why = shared(Limits(memory=0.25)).row(call(faults.take, 300))
    assert why == "needs more than 0.25 GiB of memory to read; give it more with --memory"
    shared(Limits()).close()


def test_a_fork_starts_a_child_of_its_own_and_leaves_ours_alone() -> None:
    code = """
        import functools, os
        from pointvae.data.isolation import Limits, shared
        from tests.data import faults
        def ask(): return shared(Limits()).row(functools.partial(faults.process, faults.SETTINGS))
        print(ask(), flush=True)
        pid = os.fork()
        print(ask(), flush=True)
        if pid: os.waitpid(pid, 0); print(ask(), flush=True)
    """
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    pids = out.stdout.split()
    assert out.stderr == ""
    assert len(pids) == 4
    assert pids.count(pids[0]) == 3
    assert not any(lives(int(pid)) for pid in pids)


def test_a_pickled_isolation_has_its_limits_and_a_child_of_its_own(patient: Isolation) -> None:
    pid = patient.row(call(faults.process))
    with pickle.loads(pickle.dumps(patient)) as copy:
        assert copy.limits == patient.limits
        assert copy.row(call(faults.process)) != pid


def test_it_works_within_workers_of_joblib() -> None:
    from joblib import Parallel, delayed

    asked = Parallel(n_jobs=2)(delayed(faults.fork_and_ask)(Limits()) for _ in range(4))
    workers, children = zip(*(str(pair).split() for pair in asked), strict=True)
    assert set(workers).isdisjoint({str(os.getpid())})
    assert len(set(workers)) == len(set(children))
    assert all(lives(int(child)) for child in children)


def test_a_script_without_a_main_guard_may_define_what_is_run(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import functools
            from pointvae.data.isolation import Limits, shared
            from pointvae.data.rows import Settings
            def ours(settings): return "ours"
            print("once")
            print(shared(Limits()).row(functools.partial(ours, Settings(4, "z", "none", 0, False, "float32"))))
            """
        )
    )
    out = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path)
    assert (out.stdout.split(), out.stderr) == (["once", "ours"], "")


def test_a_reader_that_does_not_start_is_our_fault_and_not_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        Isolation(Limits()) as isolation,
        pytest.raises(RuntimeError, match=r"does not start \(exit code 1\); see stderr"),
    ):
        isolation.row(call(faults.good))


@pytest.mark.parametrize(
    ("limits", "option"),
    [
        ({"seconds": 0}, "timeout"),
        ({"seconds": float("nan")}, "timeout"),
        ({"memory": -1}, "memory"),
        ({"memory": float("inf")}, "memory"),
        ({"retries": -1}, "retries"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any], option: str) -> None:
    with pytest.raises(InputError, match=f"--{option}"):
        Limits(**limits)

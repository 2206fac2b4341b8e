"""What the doctor says of an installation, well or not."""

import configparser
import json
import sys
import time
from pathlib import Path

import pytest

from pointvae import cli
from pointvae.command import run
from pointvae.doctor import doctor, installed, running, surroundings
from pointvae.doctor.findings import without_home


def child(code):
    """A self-test that does only this."""
    return [sys.executable, "-c", f"import sys, json, os, signal\nsys.path.insert(0, '.')\n{code}"]


def begins(step):
    return f"print(json.dumps({{'begins': '{step}'}}), flush=True)"


def test_this_installation_is_well_and_its_answer_names_nobody(capsys, monkeypatch):
    started = time.monotonic()
    code = run(cli.VERBS, ["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0 and found["well"] and found["verdict"].startswith("all is well")
    told = found["sections"]["torch and self-test"]
    assert {"torch", "threads", "kernels", "distances", "training", "self-test"} <= told.keys()
    assert "32" in told["training"]["value"] and found["seconds"] <= time.monotonic() - started
    assert str(Path.home()) + "/" not in json.dumps(found) and str(Path.cwd()) not in json.dumps(found)


def test_a_fault_is_exit_code_1_with_its_mend_in_words(capsys, monkeypatch):
    fault = running.Finding("training", "the planted fault", "fault", "mend it so")
    monkeypatch.setattr("pointvae.doctor.trial", lambda *, quick: [fault])
    assert run(cli.VERBS, ["doctor"]) == 1
    told = capsys.readouterr().err
    assert "the planted fault" in told and "-> mend it so" in told and "something is wrong: training" in told


@pytest.mark.parametrize(
    ("code", "name", "value"),
    [
        (begins("torch") + "\nos.kill(os.getpid(), signal.SIGILL)", "torch", "SIGILL: this processor lacks"),
        (begins("torch") + "\nimport no_such_torch", "torch", "ModuleNotFoundError"),
        (begins("kernels") + "\nsys.exit(3)", "kernels", "ended with code 3"),
        (begins("training") + "\nimport time; time.sleep(60)", "training", "not done after 2 seconds"),
        ("print('[1')\nprint(json.dumps({'name': 'distances', 'value': 'x', 'state': 'fault'}))", "distances", "x"),
    ],
    ids=["instruction", "absent", "code", "time", "wrong"],
)
def test_a_self_test_that_does_not_come_to_its_end_tells_where_and_what_to_do(code, name, value):
    found = running.trial(command=child(code), timeout=2.0 if "sleep" in code else 60.0)
    assert [f.state for f in found] == ["fault"]
    assert found[0].name == name and value in found[0].value and found[0].mend


def test_wrong_distances_are_a_fault(monkeypatch, capsys):
    from pointvae.doctor import self_test
    from pointvae.geometry import distances

    self_test.distances()
    assert json.loads(capsys.readouterr().out)["state"] == "ok"
    real = distances.chamfer_distance
    monkeypatch.setattr(distances, "chamfer_distance", lambda *a: real(*a) * 1.01)
    self_test.distances()
    assert json.loads(capsys.readouterr().out)["state"] == "fault"


def test_packages_are_those_of_setup_cfg_and_each_extra_says_what_it_is_for():
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[1] / "setup.cfg")
    extras = set(config["options.extras_require"]) - set(installed.FOR_DEVELOPERS)
    assert extras == set(installed.PURPOSES)
    names = {f.name for f in installed.packages()}
    assert {"python", "pointvae", "torch", "lightning", "numpy"} <= names


@pytest.mark.parametrize(
    ("version", "extra", "state", "words"),
    [
        (None, "", "fault", "not installed"),
        (None, "umap", "ok", "not installed"),
        ("1.0", "", "fault", "1.0, needs >=2.0"),
        ("1.0", "umap", "hint", "1.0, needs >=2.0"),
        ("2.1", "umap", "ok", "2.1"),
    ],
)
def test_a_package_that_is_absent_or_too_old_comes_with_its_line(monkeypatch, version, extra, state, words):
    def there(name):
        if version is None:
            raise installed.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(installed, "_requirements", lambda: [("thing>=2.0", extra)])
    monkeypatch.setattr(installed.metadata, "version", there)
    found = [f for f in [*installed.packages(), *installed.optional_packages()] if f.name == "thing"]
    assert len(found) == 1 and found[0].state == state and words in found[0].value
    if version != "2.1":
        assert found[0].mend == (f"pip install 'pointvae[{extra}]'" if extra else "pip install 'thing>=2.0'")


def test_a_checkout_that_was_not_installed_is_told(monkeypatch):
    def absent(_):
        raise installed.metadata.PackageNotFoundError

    monkeypatch.setattr(installed.metadata, "requires", absent)
    assert "not installed by pip" in installed.packages()[-1].value


def test_a_python_beyond_what_is_tested_is_a_hint(monkeypatch):
    monkeypatch.setattr(installed.platform, "python_version_tuple", lambda: ("3", "99", "0"))
    assert installed.packages()[0].state == "hint"


def test_a_misspelt_setting_is_told_and_places_are_not(monkeypatch):
    monkeypatch.setenv("POINTVAE_KERNEL", "0")
    monkeypatch.setenv("POINTVAE_CACHE", "/somebody/here")
    found = {f.name: f for f in surroundings.environment()}
    assert found["POINTVAE_KERNEL"].state == "hint" and "/somebody" not in found["POINTVAE_CACHE"].value


def test_every_setting_that_the_package_reads_is_known():
    import re

    source = Path(installed.__file__).parents[1]
    read = {n for file in source.rglob("*.py") for n in re.findall(r'"(POINTVAE_[A-Z]+)"', file.read_text())}
    assert read <= {*surroundings.SETTINGS, "POINTVAE_DATA"}


def test_what_is_kept_is_counted_without_the_names_of_people(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("POINTVAE_CACHE", str(tmp_path / "kept"))
    (tmp_path / "kept" / "archives").mkdir(parents=True)
    (tmp_path / "kept" / "archives" / "a.zip").write_bytes(b"x")
    (tmp_path / "kept" / "prepared").mkdir()
    for name in ("1", "2"):
        (tmp_path / "kept" / "prepared" / f"{name}.json").write_text('{"name": "modelnet40", "dataset": "/secret"}')
    (tmp_path / "kept" / "prepared" / "3.json").write_text("[")
    downloads, prepared = surroundings.data()
    assert downloads.value.startswith("~/kept: 1 archives") and prepared.value == "modelnet40 (2)"
    assert without_home("/elsewhere") == "/elsewhere"


def test_little_room_is_a_hint_with_what_to_do(monkeypatch):
    monkeypatch.setattr(surroundings, "LITTLE_DISK", 2**80)
    monkeypatch.setattr(surroundings, "LITTLE_MEMORY", 2**80)
    found = {f.name: f for f in surroundings.machine()}
    assert found["disk here"].state == "hint" and "TMPDIR" in found["disk for temporary files"].mend
    assert "memory" not in found or "--batch_size" in found["memory"].mend


def test_libraries_that_open3d_lacks_come_with_their_package(monkeypatch):
    monkeypatch.setattr(surroundings, "find_spec", lambda _: object())
    monkeypatch.setattr(surroundings.platform, "system", lambda: "Linux")
    monkeypatch.setattr(surroundings, "find_library", lambda name: None if name == "usb-1.0" else name)
    found = {f.name: f for f in surroundings.system_libraries()}
    assert "apt-get install libusb-1.0-0" in found["libusb-1.0"].mend and found["libgomp"].state == "ok"


def test_quick_leaves_the_training_out(monkeypatch):
    monkeypatch.setattr("pointvae.doctor.running.subprocess.run", lambda command, **_: pytest.fail(command[-1]))
    with pytest.raises(pytest.fail.Exception, match="quick"):
        doctor(quick=True)
    monkeypatch.setattr("pointvae.doctor.trial", lambda *, quick: [])
    assert "left out" in doctor(quick=True)["verdict"]

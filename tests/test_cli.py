"""The command line as a user meets it: what it says, where, and with which exit code."""

import json
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from pointvae import cli
from pointvae.command import run


@pytest.fixture
def call(capsys):
    """Run the command line in this process; returns its exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(cli.VERBS, [str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def refusal(outcome: tuple[int, str, str]) -> str:
    """The one line on stderr of a call that must have been refused."""
    code, out, err = outcome
    assert code == 2 and out == ""
    lines = [line for line in err.splitlines() if line.startswith("pointvae: error: ")]
    assert len(lines) == 1 and err.rstrip().endswith(lines[0]), err
    assert "Traceback" not in err
    return lines[0]


def write_meshes(folder, counts, split=False):
    """Boxes of different proportions: class name -> how many."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        for i in range(count):
            place = folder / name / (("test" if i % 3 == 0 else "train") if split else "")
            place.mkdir(parents=True, exist_ok=True)
            size = rng.uniform(0.5, 1.0, 3) * ([1, 1, 3] if name == "tall" else [3, 1, 1])
            trimesh.creation.box(size).export(place / f"{name}_{i}.off")
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    meshes = write_meshes(place / "meshes", {"tall": 9, "wide": 9}, split=True)
    assert run(cli.VERBS, ["prepare", str(meshes), str(place / "set"), "--points", "64"]) == 0
    return place / "set"


TINY = ["--points", 32, "--model.latent_dim", 4, "--batch_size", 4, "--epochs", 1, "--accelerator", "cpu"]


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "run"
    assert run(cli.VERBS, ["train", str(dataset), str(place), *map(str, TINY)]) == 0
    return place


def test_help_lists_every_verb_with_what_it_does(call):
    code, out, _ = call("--help")
    assert code == 0
    for name, verb in cli.VERBS.items():
        assert f"  {name} " in out and verb.__doc__.splitlines()[0] in out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_documents_each_of_its_options(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        run(cli.VERBS, [verb, "--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    function = cli.VERBS[verb]
    for name in function.__annotations__:
        if name != "return":
            assert name in text
            assert f"{name}:" in function.__doc__


def test_help_does_not_pay_for_torch():
    code = "import sys, pointvae.cli as c; c.run(c.VERBS, ['--help']); print([m for m in sys.modules if m in HEAVY])"
    heavy = "('torch', 'lightning', 'trimesh', 'sklearn', 'matplotlib', 'pyarrow', 'jsonargparse', 'scipy')"
    out = subprocess.run(
        [sys.executable, "-c", f"HEAVY = {heavy}; {code}"], capture_output=True, text=True, check=True
    )
    assert out.stdout.splitlines()[-1] == "[]"


def test_the_json_of_a_verb_is_alone_on_stdout(call, dataset):
    code, out, _ = call("inspect", dataset, "--json")
    assert code == 0 and json.loads(out)["shapes"] == 18


def test_people_read_results_on_stderr(call, dataset):
    code, out, err = call("inspect", dataset)
    assert code == 0 and out == "" and "tall" in err


def test_training_and_probing_from_the_command_line(call, dataset, tmp_path):
    code, out, _ = call("train", dataset, tmp_path / "run", *TINY, "--objective", "Consistency", "--json")
    assert code == 0 and json.loads(out)["epochs"] == 1
    code, out, _ = call("probe", tmp_path / "run", dataset, "--rotation", "z", "--json")
    found = json.loads(out)
    assert code == 0
    for name in (
        "accuracy",
        "untrained_accuracy",
        "feature",
        "C",
        "protocol",
        "seed",
        "rotation",
        "confusion_matrix",
    ):
        assert name in found
    assert {p["feature"] for p in found["probes"]} == {"posterior_mean", "encoder"}


def test_people_read_a_probe_of_one_feature_as_a_table(call, dataset, trained):
    code, out, err = call("probe", trained, dataset, "--feature", "encoder")
    assert code == 0 and out == ""
    assert "untrained" in err and "encoder" in err and "posterior mean" not in err


def test_the_untrained_twin_is_the_model_the_command_line_started_from(dataset, tmp_path, monkeypatch):
    import torch

    from pointvae.hub import untrained_twin
    from pointvae.training import fit as fitting

    started = {}
    real = fitting.fit

    def watch(model, *arguments, **settings):
        started.update({k: v.clone() for k, v in model.state_dict().items()})
        return real(model, *arguments, **settings)

    monkeypatch.setattr(fitting, "fit", watch)
    assert run(cli.VERBS, ["train", str(dataset), str(tmp_path / "r"), *map(str, TINY), "--seed", "5"]) == 0
    twin = untrained_twin(tmp_path / "r").state_dict()
    assert all(torch.equal(twin[k], started[k]) for k in started)


def test_a_switch_needs_no_value_and_hyphens_are_underscores(call, dataset, trained):
    code, _, _ = call("train", dataset, trained, *TINY, "--resume", "--batch-size", "4")
    assert code == 0


def test_embedding_reconstructing_sampling_and_interpolating(call, dataset, trained, tmp_path):
    mesh = dataset.parent / "meshes" / "tall" / "test" / "tall_0.off"
    other = dataset.parent / "meshes" / "wide" / "test" / "wide_0.off"
    assert call("embed", trained, dataset, tmp_path / "all.npz")[0] == 0
    with np.load(tmp_path / "all.npz") as arrays:
        assert arrays["posterior_mean"].shape == (18, 4) and len(arrays["names"]) == 18
    assert call("embed", trained, mesh, tmp_path / "one.parquet")[0] == 0
    assert call("reconstruct", trained, mesh.parents[1], tmp_path / "grid.png")[0] == 0
    assert call("reconstruct", trained, mesh, tmp_path / "one.ply")[0] == 0
    assert len(trimesh.load(tmp_path / "one.ply").vertices) == 32
    assert call("sample", trained, tmp_path / "new", "--count", 3)[0] == 0
    assert len(list((tmp_path / "new").glob("*.ply"))) == 3
    assert call("interpolate", trained, mesh, other, tmp_path / "line.png", "--steps", 4)[0] == 0
    for name in ("grid.png", "line.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


def test_refining_from_the_command_line_is_repeated_by_its_configuration(call, trained, tmp_path):
    new, again = tmp_path / "new", tmp_path / "again"
    arguments = ["--epochs", 1, "--shapes", 8, "--batch-size", 4, "--accelerator", "cpu"]
    code, out, _ = call("refine", trained, new, *arguments, "--objective.rho", 0.9, "--json")
    assert code == 0 and json.loads(out)["refined_from"] == str(trained)
    facts = json.loads((new / "config.json").read_text())
    assert facts["objective"]["class_path"] == "pointvae.SelfConsistency"
    assert facts["objective"]["init_args"]["rho"] == 0.9
    code, out, err = call("refine", trained, again, "--config", new / "config.yaml")
    assert code == 0 and out == "" and "val/drift" in err
    assert (again / "model.safetensors").read_bytes() == (new / "model.safetensors").read_bytes()
    assert call("sample", again, tmp_path / "new.png", "--count", 2)[0] == 0


def test_refining_refuses_what_it_cannot_do_in_one_line(call, dataset, trained, tmp_path):
    for arguments, words in (
        ([trained, trained], ["itself"]),
        ([dataset, tmp_path / "new"], ["config.json"]),
        ([tmp_path / "absent", tmp_path / "new"], ["absent", "no such run"]),
        ([trained, tmp_path / "new", "--objective.rho", 1], ["rho"]),
        ([trained, tmp_path / "new", "--rho", 0.9], ["--rho", "--objective.rho"]),
        ([trained, tmp_path / "new", "--shapes", 0], ["shapes"]),
    ):
        line = refusal(call("refine", *arguments))
        assert all(word in line for word in words)
    assert not list(tmp_path.iterdir())


def test_evaluating_writes_a_report_and_figures(call, dataset, trained, tmp_path):
    code, out, _ = call("evaluate", trained, dataset, "--out", tmp_path / "report", "--quick", "--json")
    found = json.loads(out)
    assert code == 0 and 0 <= found["accuracy"] <= 1 and 0 <= found["untrained_accuracy"] <= 1
    assert (tmp_path / "report" / "report.html").is_file()
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["accuracy"] == found["accuracy"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["embed", "RUN", "MESH", "OUT.csv"], ".npz"),
        (["embed", "RUN", "MESH", "OUT.npz", "--points", "0"], "points"),
        (["embed", "RUN", "ABSENT", "OUT.npz"], "ABSENT"),
        (["embed", "ABSENT", "MESH", "OUT.npz"], "ABSENT"),
        (["reconstruct", "RUN", "NAN", "OUT.png"], "nan.off"),
        (["sample", "RUN", "OUT.png", "--count", "0"], "count"),
        (["interpolate", "RUN", "MESH", "MESH", "OUT.png", "--steps", "1"], "steps"),
    ],
    ids=" ".join,
)
def test_wrong_input_to_the_verbs_that_read_a_run_is_one_line(call, dataset, trained, tmp_path, arguments, word):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "nan.off").write_text(BAD_FILES["nan.off"])
    mesh = dataset.parent / "meshes" / "tall" / "test" / "tall_0.off"
    places = {"RUN": trained, "MESH": mesh, "ABSENT": tmp_path / "ABSENT", "NAN": tmp_path / "in" / "nan.off"}
    filled = [places.get(a, tmp_path / a if a.startswith("OUT") else a) for a in arguments]
    assert word in refusal(call(*filled))
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


# -- input at fault ------------------------------------------------------------------------------------------------


def test_an_unknown_verb_names_the_nearest(call):
    assert "'train'" in refusal(call("trian"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weight", "-1"], ["--weight", "--objective.weight"]),
        (["--objective", "Consistency", "--objective.weight", "-1"], ["weight", ">= 0", "-1"]),
        (["--model.encoder", "pointnett"], ["pointnett", "pointnet", "dgcnn"]),
        (["--model.decoder", "foldng"], ["folding"]),
        (["--model.likelihood", "gauss"], ["chamfer", "mixture"]),
        (["--model.encoder_args.widths", "[3]"], ["widths"]),
        (["--model.points", "5"], ["--points"]),
        (["--model.latent_dim", "x"], ["latent_dim", "x"]),
        (["--objective", "Consistncy"], ["Consistncy"]),
        (["--epochs", "many"], ["epochs", "many"]),
        (["--epochs", "0"], ["epochs", "0"]),
        (["--points", "65"], ["65", "64"]),
        (["--schedule", "step"], ["cosine", "step"]),
        (["--config", "absent.yaml"], ["absent.yaml"]),
        (["--points", "32", "--accelerator", "abacus"], ["abacus"]),
        (["--objective.beta", "-2"], ["beta", "-2"]),
        (["--likelihood.sigma", "1"], ["--likelihood.sigma"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) and v and v[0].startswith("--") else "",
)
def test_a_wrong_training_option_is_one_line_and_writes_nothing(call, dataset, tmp_path, arguments, words):
    line = refusal(call("train", dataset, tmp_path / "run", *arguments))
    for word in words:
        assert word in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["train", "probe", "inspect", "prepare"])
def test_a_missing_path_is_named(call, tmp_path, verb):
    absent = tmp_path / "absent"
    arguments = {"inspect": [absent], "prepare": [absent, tmp_path / "out"]}.get(verb, [absent, absent])
    assert "absent" in refusal(call(verb, *arguments))
    assert not list(tmp_path.iterdir())


def test_a_folder_without_shapes_says_what_is_read(call, tmp_path):
    (tmp_path / "in" / "cats").mkdir(parents=True)
    (tmp_path / "in" / "cats" / "notes.txt.bak").write_text("meow")
    line = refusal(call("prepare", tmp_path / "in", tmp_path / "out"))
    assert ".off" in line and not (tmp_path / "out").exists()


def off(vertices, faces) -> str:
    lines = [f"OFF\n{len(vertices)} {len(faces)} 0"]
    lines += [" ".join(map(str, v)) for v in vertices] + [" ".join(map(str, [len(f), *f])) for f in faces]
    return "\n".join(lines) + "\n"


TRIANGLE = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
BAD_FILES = {
    "no-faces.off": off(TRIANGLE, []),
    "nan.off": off([[0, 0, "nan"], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]),
    "no-area.off": off([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]]),
    "one-point.xyz": "0 0 0\n",
    "empty.obj": "",
    "words.off": "OFF this is not a mesh\n",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_alone_is_one_line_and_among_others_is_set_aside_by_name(call, tmp_path, name):
    alone = tmp_path / "alone" / "thing"
    alone.mkdir(parents=True)
    (alone / name).write_text(BAD_FILES[name])
    line = refusal(call("prepare", tmp_path / "alone", tmp_path / "out", "--test_fraction", "0"))
    assert name in line and not (tmp_path / "out").exists()

    meshes = write_meshes(tmp_path / "many", {"tall": 4, "wide": 4})
    (meshes / "tall" / name).write_text(BAD_FILES[name])
    code, out, err = call("prepare", meshes, tmp_path / "out", "--points", "32", "--json")
    found = json.loads(out)
    assert code == 0 and found["shapes"] == 8
    assert [name in s["file"] and bool(s["why"]) for s in found["skipped"]] == [True]
    assert name in err
    assert name in refusal(call("prepare", meshes, tmp_path / "strict", "--points", "32", "--strict"))
    assert not (tmp_path / "strict").exists()


def test_clouds_with_too_few_points_are_refused_with_what_to_ask_for(call, tmp_path):
    for i, count in enumerate((100, 90, 40)):
        (tmp_path / "in" / "a").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "in" / "a" / f"{i}.npy", np.random.default_rng(i).normal(size=(count, 3)))
    line = refusal(call("prepare", tmp_path / "in", tmp_path / "out", "--points", "64"))
    assert "40" in line and "--points" in line and "2.npy" in line and not (tmp_path / "out").exists()
    assert call("prepare", tmp_path / "in", tmp_path / "out", "--points", "40")[0] == 0


def test_a_class_with_one_member_cannot_be_split(call, tmp_path):
    meshes = write_meshes(tmp_path / "in", {"tall": 3, "wide": 1})
    assert "wide" in refusal(call("prepare", meshes, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_class_with_one_training_shape_cannot_be_probed(call, tmp_path, trained):
    meshes = write_meshes(tmp_path / "in", {"tall": 6, "wide": 2}, split=True)
    assert call("prepare", meshes, tmp_path / "set", "--points", "64")[0] == 0
    assert "wide" in refusal(call("probe", trained, tmp_path / "set"))


@pytest.mark.parametrize("verb", ["train", "inspect", "probe"])
def test_a_truncated_shard_is_named(call, dataset, trained, tmp_path, verb):
    import shutil

    shutil.copytree(dataset, tmp_path / "set")
    shard = next((tmp_path / "set").glob("train-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-50])
    before = {
        "train": ["train", tmp_path / "set", tmp_path / "run"],
        "inspect": ["inspect", tmp_path / "set"],
        "probe": ["probe", trained, tmp_path / "set"],
    }[verb]
    line = refusal(call(*before))
    assert shard.name in line and "prepare" in line and not (tmp_path / "run").exists()


def test_a_run_of_another_architecture_is_refused(call, dataset, trained, tmp_path):
    import shutil

    shutil.copytree(trained, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "config.json").read_text())
    facts["model"]["latent_dim"] = 8
    (tmp_path / "run" / "config.json").write_text(json.dumps(facts))
    assert "architecture" in refusal(call("probe", tmp_path / "run", dataset))


def test_a_dataset_folder_is_no_run_and_a_run_is_no_dataset_folder(call, dataset, trained, tmp_path):
    assert "config.json" in refusal(call("probe", dataset, dataset))
    assert "dataset" in refusal(call("train", trained, tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_a_run_is_not_overwritten(call, dataset, trained):
    before = (trained / "model.safetensors").read_bytes()
    assert "--resume" in refusal(call("train", dataset, trained, *TINY))
    assert (trained / "model.safetensors").read_bytes() == before


def test_ctrl_c_in_training_says_how_to_go_on_and_going_on_works(call, dataset, tmp_path, monkeypatch):
    import signal

    from pointvae.training.module import TrainingModule

    real = TrainingModule.training_step

    def interrupt(self, batch, index):
        if self.current_epoch == 1:
            signal.raise_signal(signal.SIGINT)
        return real(self, batch, index)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(TrainingModule, "training_step", interrupt)
    arguments = ["train", dataset, tmp_path / "run", *TINY, "--epochs", 3]
    try:
        line = refusal(call(*arguments))
    finally:
        signal.signal(signal.SIGINT, handler)
    assert "--resume" in line and "epoch 2 of 3" in line
    monkeypatch.setattr(TrainingModule, "training_step", real)
    assert call(*arguments, "--resume")[0] == 0


def test_sigterm_ends_a_verb_as_ctrl_c_does_and_is_then_what_it_was(call, monkeypatch, dataset):
    import signal

    from pointvae.data import inspection

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(inspection, "inspect", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    assert "terminated; what was finished is kept" in refusal(call("inspect", dataset))
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_one_line(call, monkeypatch, dataset):
    from pointvae.data import inspection

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(inspection, "inspect", interrupt)
    assert "interrupted" in refusal(call("inspect", dataset))


def test_a_full_disk_is_one_line(call, monkeypatch, dataset):
    import errno

    from pointvae.data import inspection

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "picture.png")

    monkeypatch.setattr(inspection, "inspect", full)
    line = refusal(call("inspect", dataset))
    assert "picture.png" in line and "No space left" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--objective", "Consistancy"], ["--objective", "Consistency", "Triplet"]),
        (["--objective", "Consistency", "--objective.base", "IAWE"], ["--objective.base", "'IWAE'"]),
        (["--objective", "Consistency", "--objective.base", "Triplet"], ["--objective.base", "cannot stand here"]),
        (["--objective", "SelfConsistency", "--objective.rh", "0.5"], ["SelfConsistency", "did you mean 'rho'"]),
        (["--objective", "SelfConsistency", "--objective.rho", "2"], ["rho", "between 0 and 1"]),
        (["--model", "Ladder"], ["--model", "'LadderPointVAE'"]),
        (["--model", "LadderPointVAE", "--model.anchors", "16"], ["--model.anchors", "a list"]),
        (["--epochs", "many"], ["--epochs", "a whole number", "many"]),
    ],
    ids=lambda v: " ".join(v) if v[0].startswith("--") else "",
)
def test_a_part_that_does_not_fit_is_refused_with_what_would(call, options, words):
    told = refusal(call("train", "DATASET", "RUN", *options))
    assert all(word in told for word in words), told
    assert "Parser key" not in told and "class_path" not in told


# -- evaluating ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["evaluate", "attack", "probe"])
def test_no_points_at_all_are_refused(call, dataset, trained, verb):
    assert "--points 0: must be at least 1" in refusal(call(verb, trained, dataset, "--points", 0))


@pytest.mark.parametrize(("parts", "told"), [("", "names none"), ("latent,drift", "'latent': unknown")])
def test_parts_that_are_none_are_told(call, dataset, trained, parts, told):
    assert told in refusal(call("evaluate", trained, dataset, "--parts", parts))


def test_parts_may_have_blanks_between_them(call, dataset, trained, tmp_path):
    code, out, _ = call("evaluate", trained, dataset, "--parts", "latents, consistency,", "--out", tmp_path, "--json")
    assert code == 0 and {"latents", "consistency"} <= json.loads(out).keys()


@pytest.mark.parametrize("verb", ["evaluate", "attack"])
@pytest.mark.parametrize(("out", "told"), [("", "is empty"), ("file", "is a file"), ("file/a/b", "beneath a file")])
def test_a_place_where_nothing_can_be_written_is_refused_before_any_work(
    call, dataset, trained, tmp_path, monkeypatch, verb, out, told
):
    monkeypatch.setattr("pointvae.evaluation.work.Work._run", lambda *_: pytest.fail("worked"))
    (tmp_path / "file").write_text("x")
    assert told in refusal(call(verb, trained, dataset, "--out", tmp_path / out if out else ""))


def test_json_has_null_where_a_figure_is_no_number(capsys):
    def verb() -> dict:
        """A verb."""
        return {"accuracy": float("nan"), "all": [float("inf"), 1.0]}

    assert run({"verb": verb}, ["verb", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out, parse_constant=lambda word: pytest.fail(word)) == {"accuracy": None, "all": [None, 1.0]}

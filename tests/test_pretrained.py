"""The models that come with the package: there, small, licensed, as good as said, at work without a network."""

import configparser
import json
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pretrained
import pytest
import torch
import trimesh
import yaml
from safetensors.torch import load_file

import pointvae
from pointvae import InputError, cli, command, from_pretrained, list_pretrained
from pointvae.hub import elsewhere, read_run_config, run_folder, run_name, untrained_twin
from pointvae.pretrained import HERE, bundled
from runs import ROOT, read_rows

NAMES = bundled()
CARD = "README.md"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("asks a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def chair(tmp_path) -> Path:
    """A seat, a back and four legs, in a user's units, in STL."""
    parts = [((0.5, 0.5, 0.05), (0, 0, 0.45)), ((0.5, 0.05, 0.5), (0, 0.23, 0.7))]
    parts += [((0.05, 0.05, 0.45), (x, y, 0.22)) for x in (-0.2, 0.2) for y in (-0.2, 0.2)]
    boxes = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(place)) for size, place in parts]
    path = tmp_path / "chair.stl"
    trimesh.util.concatenate(boxes).apply_scale(1000).export(path)
    return path


def run(*words: str) -> int:
    return command.run(cli.VERBS, [str(word) for word in words])


def said(capsys, *words: str) -> dict:
    assert run(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_two_models_come_with_the_package_one_of_them_for_any_use():
    rows = {row["name"]: row for row in list_pretrained()}
    assert list(rows) == NAMES == ["cr-modelnet40", "cr-shapes"]
    assert (rows["cr-shapes"]["licence"], rows["cr-shapes"]["research_only"]) == ("apache-2.0", False)
    modelnet = rows["cr-modelnet40"]
    assert modelnet["research_only"]
    assert "research only" in modelnet["licence"]
    assert "Wu et al." in modelnet["citation"]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_list_says_is_so(name):
    row = next(row for row in list_pretrained() if row["name"] == name)
    model = from_pretrained(name)
    assert row["parameters"] == sum(p.numel() for p in model.parameters())
    assert row["latent_dim"] == model.latent_dim
    assert row["encoder"] == model.config["encoder"]
    assert row["bytes"] == sum(path.stat().st_size for path in Path(row["folder"]).iterdir())
    assert row["bytes"] < 4_500_000


@pytest.mark.parametrize("name", NAMES)
def test_its_weights_are_checked_by_golden_tensors_as_it_loads(name, tmp_path):
    assert set(load_file(HERE / name / "golden.safetensors")) == {
        "clouds",
        "posterior_mean",
        "posterior_std",
        "decoded",
    }
    files = ("config.json", "model.safetensors", "golden.safetensors")
    for file in files:
        (tmp_path / file).write_bytes((HERE / name / file).read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    assert state["head.linear.weight"].dtype == torch.float16
    from safetensors.torch import save_file

    save_file(state | {"head.linear.weight": state["head.linear.weight"].flip(0)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="does not compute here what it did"):
        from_pretrained(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_its_card_says_data_licence_protocol_figures_and_limits(name):
    text = (HERE / name / CARD).read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["library_name"] == "pointvae"
    assert head["metrics"] == ["accuracy"]
    assert head["license"] == ("apache-2.0" if name == "cr-shapes" else "other")
    assert f'from_pretrained("pretrained:{name}")' in text
    for words in (
        "Licence of the data",
        "linear_svm_c_cv/1",
        "untrained",
        "seed 0",
        "One training seed",
        "## Limits",
    ):
        assert words in text
    for probe in read_run_config(f"pretrained:{name}")["measured"]["probes"]:
        assert f"| {100 * probe['accuracy']:.1f} | {100 * probe['untrained_accuracy']:.1f} |" in text
    if name == "cr-modelnet40":
        assert "**research use only**" in text
        assert "Wu et al., 3D ShapeNets, CVPR 2015" in text


def test_the_figures_of_cards_and_page_are_the_rows_of_the_results():
    rows = read_rows(pretrained.RESULTS)
    assert pretrained.table() in (ROOT / "docs" / "pretrained.md").read_text(encoding="utf-8")
    assert {row["model"] for row in rows} == set(NAMES)
    for row in rows:
        assert all(row[column] for column in pretrained.COLUMNS if column != "commit")
        probes = read_run_config(f"pretrained:{row['model']}")["measured"]["probes"]
        found = [p for p in probes if (p["feature"], p["rotation"]) == (row["feature"], row["rotation"])]
        assert [p["accuracy"] for p in found] == [float(row["accuracy"])]
        assert int(row["bytes"]) == (HERE / row["model"] / "model.safetensors").stat().st_size


def test_every_file_of_theirs_is_packed_and_nothing_else_lies_there():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    package = ROOT / "pointvae"
    packed = {p for glob in setup["options.package_data"]["pointvae"].split() for p in package.glob(glob)}
    there = {p for name in NAMES for p in (HERE / name).rglob("*")}
    assert there <= packed
    assert {p.name for p in there} == {"config.json", "model.safetensors", "golden.safetensors", CARD}


@pytest.mark.slow
def test_the_wheel_holds_them(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "pointvae", source / "pointvae", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(source),
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run(build, check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for name in NAMES:
        assert {f"pointvae/pretrained/{name}/{p.name}" for p in (HERE / name).iterdir()} <= held
    assert wheel.stat().st_size < 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_mesh_gets_its_vector_without_a_network(name, chair, tmp_path, capsys):
    out = tmp_path / "out.npz"
    result = said(capsys, "embed", f"pretrained:{name}", chair, out)
    assert result["shapes"] == 1
    latents = np.load(out)
    assert latents["posterior_mean"].shape == (1, from_pretrained(name).latent_dim)
    assert latents["names"].tolist() == ["chair.stl"]
    assert np.isfinite(latents["posterior_mean"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_a_chair_back_much_better_than_its_untrained_twin(name, chair):
    from pointvae.evaluation.inputs import read_for_run
    from pointvae.evaluation.reconstruction import reconstruct

    points = read_for_run(read_run_config(name), chair).points
    trained, untrained = (reconstruct(m, points).cd_l2_mean[0] for m in (from_pretrained(name), untrained_twin(name)))
    assert trained < 0.25 * untrained


def test_a_bare_name_and_the_prefix_are_the_same_model_here_and_on_a_worker():
    x = torch.rand(1, 64, 3)
    a, b = (from_pretrained(name).posterior(x).mean for name in ("cr-shapes", "pretrained:cr-shapes"))
    assert torch.equal(a, b)
    assert elsewhere("cr-shapes", run_folder("cr-shapes")) == "pretrained:cr-shapes"
    assert run_name("pretrained:cr-shapes") == "pretrained:cr-shapes"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    """A few procedural shapes of every category, 64 points each."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    pointvae.prepare("procedural", folder, shapes_per_class=4, points=64, test_fraction=0.5)
    return folder


def test_every_verb_that_takes_a_run_takes_its_name(chair, shapes, tmp_path, capsys):
    name = "pretrained:cr-shapes"
    assert said(capsys, "reconstruct", name, chair, tmp_path / "r.npz")["shapes"] == 1
    assert said(capsys, "sample", name, tmp_path / "s.npz", "--count", "2")["shapes"] == 2
    assert said(capsys, "interpolate", name, chair, chair, tmp_path / "i.npz", "--steps", "3")["steps"] == 3
    probed = said(capsys, "probe", name, shapes, "--protocol", "knn", "--feature", "posterior_mean")
    assert probed["run"] == name
    attacked = said(
        capsys, "attack", name, shapes, "--shapes", "2", "--steps", "1", "--restarts", "1", "--goal", "kl"
    )
    assert attacked["run"] == name
    refined = said(capsys, "refine", name, tmp_path / "new", "--epochs", "1", "--shapes", "4", "--batch_size", "2")
    assert refined["refined_from"] == name
    assert read_run_config(tmp_path / "new")["refined_from"]["name"] == name
    evaluated = said(capsys, "evaluate", name, shapes, "--out", tmp_path / "e", "--parts", "latents")
    assert evaluated["run"] == name
    assert (tmp_path / "e" / "report.html").is_file()


def test_an_evaluation_does_not_write_into_the_package(shapes, capsys):
    assert run("evaluate", "pretrained:cr-shapes", shapes, "--parts", "latents") == 2
    assert "--out" in capsys.readouterr().err
    assert not (HERE / "cr-shapes" / "report.html").exists()


def test_a_misspelt_name_is_refused_with_the_one_that_is_near(chair, tmp_path, capsys):
    assert run("embed", "pretrained:cr-shape", chair, tmp_path / "out.npz") == 2
    told = capsys.readouterr().err
    assert "did you mean 'cr-shapes'?" in told
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()


def test_models_lists_them_for_people_and_for_programs(capsys):
    assert said(capsys, "models")["models"] == list_pretrained()
    assert run("models") == 0
    told = capsys.readouterr().err
    for name in NAMES:
        assert name in told
    assert "research only" in told


def test_the_nearest_of_real_meshes_is_mostly_of_the_same_kind(real_data):
    from pointvae.evaluation.inputs import read_for_run

    model, config = from_pretrained("cr-modelnet40"), read_run_config("cr-modelnet40")
    kinds = ("chair", "lamp", "cabinet")
    files = [sorted((real_data / "furniture" / kind / "train").iterdir())[:8] for kind in kinds]
    clouds = np.concatenate([read_for_run(config, path, up="y").points for paths in files for path in paths])
    labels = torch.tensor([number for number, paths in enumerate(files) for _ in paths])
    means = model.posterior(torch.from_numpy(clouds)).mean.detach()
    nearest = torch.cdist(means, means).fill_diagonal_(torch.inf).argmin(dim=1)
    assert (labels[nearest] == labels).float().mean() > 0.7

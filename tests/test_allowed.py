"""Settings files name classes of pointvae; others only where the command line allows them, and none is imported."""

import sys
from pathlib import Path

import pytest
import yaml

from pointvae import cli
from pointvae.command import make
from pointvae.errors import InputError
from pointvae.training.run_folder import write_config

MODULE = "canary_of_settings"


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """A module that leaves a file behind when it is imported, and the file."""
    note = tmp_path / "ran"
    code = f"import pathlib, pointvae\npathlib.Path({str(note)!r}).touch()\nclass Mine(pointvae.ELBO):\n    pass\n"
    (tmp_path / f"{MODULE}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield note
    sys.modules.pop(MODULE, None)


def settings(tmp_path: Path, content: object) -> str:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def load(*arguments: str, verb: str = "train"):
    return make(verb, cli.VERBS[verb], ["data", "run", *arguments])[0]


MINE = f"{MODULE}.Mine"


@pytest.mark.parametrize(
    "content",
    [
        {"objective": {"class_path": MINE}},
        {"objective": MINE},
        {"objective": f'{{"class_path": "{MINE}"}}'},
        {"objective": {"class_path": "Consistency", "init_args": {"base": MINE}}},
        {"objective": {"class_path": "Consistency", "init_args": {"base": "ELBO", "transforms": [MINE]}}},
        {"model": {"class_path": MINE}},
        {"objective": MINE, "allow_classes": MODULE},
    ],
)
@pytest.mark.parametrize("verb", ["train", "refine"])
def test_a_settings_file_imports_no_module_of_others(tmp_path, ran, content, verb):
    if verb == "refine" and "model" in content:
        pytest.skip("refine makes no model")
    with pytest.raises(InputError, match=f"{MODULE}.Mine is no class of pointvae.*--allow_classes"):
        load("--config", settings(tmp_path, content), verb=verb)
    assert not ran.exists()


@pytest.mark.parametrize(
    "name", ["subprocess.Popen", "os.system", "builtins.eval", "pointvae.data.child.subprocess.Popen"]
)
def test_a_settings_file_starts_no_program(tmp_path, name):
    canary = tmp_path / "ran"
    content = {"objective": {"class_path": name, "init_args": {"args": ["touch", str(canary)]}}}
    with pytest.raises(InputError, match="is no class of pointvae"):
        load("--config", settings(tmp_path, content))
    assert not canary.exists()


def test_a_class_hidden_where_any_value_may_stand_is_not_made(tmp_path, ran):
    hidden = {"class_path": MINE, "init_args": {}}
    content = {"model": {"class_path": "PointVAE", "init_args": {"likelihood_args": {"sigma": hidden}}}}
    with pytest.raises(InputError):
        load("--config", settings(tmp_path, content))
    assert not ran.exists()


def test_the_command_line_allows_a_module_for_itself_alone(tmp_path, ran):
    path = settings(tmp_path, {"objective": MINE})
    made = load("--config", path, "--allow-classes", MODULE)
    assert type(made["objective"]).__name__ == "Mine"
    assert "allow_classes" not in made
    with pytest.raises(InputError, match="is no class of pointvae"):
        load("--config", path)


def test_a_class_named_by_an_option_is_held_to_the_same(ran):
    with pytest.raises(InputError, match=f"--allow_classes {MINE}"):
        load("--objective", MINE)
    assert not ran.exists()
    assert type(load("--objective", MINE, f"--allow_classes={MINE}")["objective"]).__name__ == "Mine"


def test_a_file_that_allows_classes_to_itself_is_refused(tmp_path):
    with pytest.raises(InputError, match="counts on the command line alone"):
        load("--config", settings(tmp_path, {"epochs": 3, "allow_classes": "os"}))


@pytest.mark.parametrize("listed", ["../x", "a b", "*", "a,,b", ""])
def test_what_is_no_module_cannot_be_allowed(listed):
    with pytest.raises(InputError, match="--allow_classes"):
        load("--allow_classes", listed)


def test_every_class_is_known_by_its_short_and_its_full_name(tmp_path):
    for name in ("ELBO", "pointvae.ELBO", "pointvae.objectives.ELBO", "pointvae.objectives.elbo.ELBO"):
        assert type(load("--config", settings(tmp_path, {"objective": name}))["objective"]).__name__ == "ELBO"


@pytest.mark.parametrize("value", ["!!python/object/apply:os.system ['true']", "&a [*a, *a]"])
def test_a_tag_that_makes_objects_is_refused(tmp_path, value):
    path = tmp_path / "settings.yaml"
    path.write_text(f"epochs: {value}\n")
    with pytest.raises(InputError):
        load("--config", str(path))


def test_a_run_with_a_class_of_others_says_how_it_is_repeated(tmp_path):
    bound = {"class_path": "mine.Bound", "init_args": {}}
    write_config(
        tmp_path, {"objective": {"class_path": "pointvae.Consistency", "init_args": {"base": bound}}}, "train DATA"
    )
    head = (tmp_path / "config.yaml").read_text().splitlines()[0]
    assert head == "# pointvae train DATA NEW_RUN --config config.yaml --allow_classes mine.Bound"

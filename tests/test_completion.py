"""What Tab gives: the words of the parsers themselves, from scripts that run no Python."""

import shutil
import subprocess
import sys

import pytest

from pointvae import cli
from pointvae.command import parser_for
from pointvae.completion import command, completion
from pointvae.refusals import _choices

SHELLS = ("bash", "zsh", "fish")
HEAVY = ["torch", "lightning", "sklearn", "scipy", "numpy", "matplotlib", "pyarrow", "h5py", "trimesh", "datasets"]
HEAVY += ["jsonargparse", "rich", "requests", "fsspec"]


def run(program, script, **options):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [program, *options.pop("flags", []), "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for shell in SHELLS:
        (folder / f"_pointvae.{shell}").write_text(completion(shell, cli.VERBS))
    return folder


def bash(scripts, *words):
    """What bash proposes with the cursor after the last word; `=` stands alone, as bash breaks words."""
    quoted = " ".join(f"'{word}'" for word in words)
    return run(
        "bash",
        f"source {scripts}/_pointvae.bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        f"_pointvae pointvae '{words[-1]}' '{words[-2]}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
    )


def fish(scripts, line):
    found = run("fish", f"source {scripts}/_pointvae.fish; complete -C '{line}'", flags=["--no-config"])
    return [word.split("\t")[0] for word in found]


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_options_are_those_of_the_parser(verb):
    parser = parser_for(verb, cli.VERBS[verb])
    told = [text.removeprefix("--") for a in parser._actions for text in a.option_strings if text.startswith("--")]
    mine = command(cli.VERBS[verb])
    own = {option.name for option in mine.options}
    nested = ("model.", "objective.")
    kept = {n for n in told if not n.startswith(nested) and not n.endswith((".help", "+")) and n != "print_config"}
    assert {n for n in own if not n.startswith(nested)} == kept
    assert len(mine.arguments) == sum(1 for a in parser._actions if not a.option_strings)


def test_models_objectives_and_their_settings_are_all_there():
    from inspect import signature

    from pointvae.models.build import MODELS
    from pointvae.models.decoders import DECODERS
    from pointvae.models.encoders import ENCODERS
    from pointvae.models.likelihoods import LIKELIHOODS
    from pointvae.objectives import OBJECTIVES

    options = {option.name: option for option in command(cli.train).options}
    for part, classes in (("model", list(MODELS.values())), ("objective", list(OBJECTIVES))):
        assert set(options[part].choices) == {c.__name__ for c in classes}
        wanted = {f"{part}.{name}" for c in classes for name in signature(c).parameters} - {"model.points"}
        assert {name for name in options if name.startswith(f"{part}.")} == wanted
    for name, registry in (("encoder", ENCODERS), ("decoder", DECODERS), ("likelihood", LIKELIHOODS)):
        assert set(options[f"model.{name}"].choices) == set(registry.names())
    assert set(options["objective.base"].choices) == set(_choices("base"))
    assert options["schedule"].choices == ("cosine", "constant")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["tr"], ["train"]),
        (["train", "a", "b", "--schedule", ""], ["cosine", "constant"]),
        (["train", "a", "b", "--model.encoder", "=", "d"], ["dgcnn"]),
        (["train", "a", "b", "--model.decoder", "="], ["folding", "mlp"]),
        (["train", "a", "b", "--learning"], ["--learning_rate"]),
        (["train", "a", "b", "--epochs", ""], [""]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["prepare", "/et"], ["/etc"]),
        (["evaluate", "--quick", "/et"], ["/etc"]),
        (["inspect", "a", "--picture", "/et"], ["/etc"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_bash_proposes(scripts, words, wanted):
    assert bash(scripts, "pointvae", *words) == wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("pointvae tr", ["train"]),
        ("pointvae train a b --schedule ", ["constant", "cosine"]),
        ("pointvae train a b --learning", ["--learning_rate"]),
        ("pointvae completion ", ["bash", "fish", "zsh"]),
        ("pointvae inspect /et", ["/etc/"]),
    ],
)
def test_fish_proposes(scripts, line, wanted):
    assert sorted(fish(scripts, line)) == wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("pointvae tr", "train"),
        ("pointvae train a b --learning", "--learning_rate"),
        ("pointvae completion z", "zsh"),
    ],
)
def test_zsh_completes_a_word_on_tab(scripts, line, wanted):
    """Tab is pressed in a terminal of its own: zsh completes nowhere else."""
    inner = (
        "autoload -U compinit; compinit -D -u; PROMPT=; "
        f'source {scripts}/_pointvae.zsh; show() {{ print -r -- "<<$BUFFER>>"; exit }}; zle -N show; '
        "bindkey ^X show; bindkey ^I expand-or-complete"
    )
    outer = (
        "zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z " + repr(inner).replace("\\'", "'") + "; sleep 1; "
        f"zpty -n -w z $'{line}\\t'; sleep 1; zpty -n -w z $'\\x18'; sleep 1; "
        "while zpty -r -t z out; do print -rn -- $out; done"
    )
    told = "\n".join(run("zsh", outer, flags=["-f"]))
    assert f"{wanted}" in told.rsplit("<<", 1)[-1], told


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_no_fault_of_syntax(scripts, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", str(scripts / f"_pointvae.{shell}")], check=True)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"], ["completion", "bash"]])
def test_no_heavy_module_is_loaded_for_small_questions(arguments):
    code = (
        "import sys, pointvae, pointvae.cli as c; c.run(c.VERBS, sys.argv[2:]); "
        "print([m for m in sys.argv[1].split(',') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ",".join(HEAVY), *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_is_the_command():
    done = subprocess.run([sys.executable, "-m", "pointvae", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pointvae ")

"""Completion of verbs, options and choices for bash, zsh and fish: scripts from the signatures, which run no Python.

A key pressed in the shell reads words that stand in the script, so it answers at once. The names of models, of
objectives and of their settings are read from the package's source, not imported: torch would make writing the script
wait.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import getdoc, signature
from pathlib import Path
from typing import Any, Literal

Shell = Literal["bash", "zsh", "fish"]

PACKAGE = Path(__file__).parent
CLASSES = {"model": ("models/vae.py", "models/ladder.py"), "objective": ("objectives",)}
REGISTERED = {
    "encoder": "models/encoders",
    "decoder": "models/decoders",
    "likelihood": "models/likelihoods.py",
}
KNOWN = {
    "accelerator": ("auto", "cpu", "gpu"),
    "logger": ("tensorboard", "wandb", "mlflow", "none"),
    "precision": ("32-true", "bf16-mixed"),
    "strategy": ("auto", "ddp"),
}
"""What is usual for options that take any text."""


@dataclass(frozen=True)
class Option:
    """An option, or an argument without a name, as a shell completes it.

    Attributes:
        name: without dashes.
        text: what it is, in one line.
        choices: the values it takes; none where any will do.
        kind: ``switch`` takes no value, ``file`` a path, ``other`` a number or words.
    """

    name: str
    text: str
    choices: tuple[str, ...] = ()
    kind: Literal["switch", "file", "other"] = "other"


@dataclass(frozen=True)
class Command:
    """A verb: its line of help, its options, and its arguments in order."""

    text: str
    options: list[Option] = field(default_factory=list)
    arguments: list[Option] = field(default_factory=list)


def completion(shell: Shell | str, verbs: Mapping[str, Callable[..., Any]]) -> str:
    """The script that teaches a shell the verbs, their options and the values these take.

    Args:
        shell: ``bash``, ``zsh`` or ``fish``.
        verbs: the functions by name.
    """
    from pointvae import shells

    commands = {name: command(verb) for name, verb in verbs.items()}
    return {"bash": shells.bash, "zsh": shells.zsh, "fish": shells.fish}[shell](commands)


def command(verb: Callable[..., Any]) -> Command:
    """What a verb takes, from its signature and its docstring."""
    lines = _arguments_told(verb)
    made = Command((getdoc(verb) or "").splitlines()[0].rstrip("."))
    for name, parameter in signature(verb).parameters.items():
        told, kind = lines.get(name, ""), str(parameter.annotation)
        if name in CLASSES:
            made.options.extend(_parts(name, told))
        elif parameter.default is parameter.empty:
            made.arguments.append(Option(name, told, _choices(name, kind), "file"))
        else:
            made.options.append(Option(name, told, _choices(name, kind), _kind(kind)))
    if any(name in CLASSES for name in signature(verb).parameters):
        made.options.append(Option("config", "A YAML file of settings; options after it win", kind="file"))
        made.options.append(Option("allow_classes", "Classes beside pointvae's own that settings may name"))
    made.options.append(Option("json", "Print the result on stdout as one JSON object", kind="switch"))
    made.options.append(Option("help", "Tell the options", kind="switch"))
    return made


def _kind(annotation: str) -> Literal["switch", "file", "other"]:
    if annotation == "bool":
        return "switch"
    return "file" if annotation.startswith("str") else "other"


def _choices(name: str, annotation: str) -> tuple[str, ...]:
    """The values of a ``Literal[…]``, or what is usual."""
    literal = re.search(r"Literal\[(.*?)\]", annotation)
    return ast.literal_eval(f"({literal[1]},)") if literal else KNOWN.get(name, ())


def _arguments_told(verb: Callable[..., Any]) -> dict[str, str]:
    """The lines of a docstring's ``Args:`` by argument, each joined to one."""
    told: dict[str, str] = {}
    name = ""
    for line in (getdoc(verb) or "").partition("Args:\n")[2].splitlines():
        if not line.strip():
            break
        start = re.match(r" {4}(\w+): (.*)", line)
        name = start[1] if start else name
        told[name] = f"{told.get(name, '')} {start[2] if start else line.strip()}".strip()
    return {name: text.rstrip(".") for name, text in told.items()}


def _parts(part: str, told: str) -> list[Option]:
    """``--model`` and ``--model.SETTING`` of every class that may stand there, likewise ``--objective``."""
    classes = _classes(part)
    bounds = tuple(node.name for node in classes if any(ast.unparse(base) == "Bound" for base in node.bases))
    settings: dict[str, tuple[str, ...]] = {}
    for node in classes:
        makers = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
        for argument in [a for f in makers for a in [*f.args.args[1:], *f.args.kwonlyargs]]:
            annotation = ast.unparse(argument.annotation) if argument.annotation else ""
            settings[argument.arg] = _registered(argument.arg) or _choices("", annotation)
    settings |= {"base": bounds} if "base" in settings else {}
    nested = [Option(f"{part}.{name}", "", values) for name, values in settings.items() if name != "points"]
    return [Option(part, told, tuple(node.name for node in classes)), *nested]


def _classes(part: str) -> list[ast.ClassDef]:
    """The public classes that may stand for a part."""
    public = _source("__init__.py")
    names = next(
        ast.literal_eval(n.value)
        for n in public.body
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"
    )
    return [node for node in _definitions(CLASSES[part]) if node.name in names]


def _registered(kind: str) -> tuple[str, ...]:
    """The short names that a registry knows."""
    if kind not in REGISTERED:
        return ()
    calls = [d for node in _definitions((REGISTERED[kind],)) for d in node.decorator_list if isinstance(d, ast.Call)]
    return tuple(str(call.args[0].value) for call in calls if call.args and isinstance(call.args[0], ast.Constant))


def _definitions(places: tuple[str, ...]) -> list[ast.ClassDef]:
    files = [file for place in places for file in (sorted((PACKAGE / place).glob("*.py")) or [PACKAGE / place])]
    return [node for file in files for node in _source(file).body if isinstance(node, ast.ClassDef)]


def _source(file: str | Path) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))

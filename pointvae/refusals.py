"""What is wrong with a command's options, in one line, from the parser's page of text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from inspect import signature
from typing import TYPE_CHECKING

from pointvae.errors import InputError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "Sequence": "a list, such as '[16]'",
    "Mapping": "a mapping, such as '{\"name\": 1}'",
}


def one_line(error: BaseException, parser: ArgumentParser) -> str:
    """Our own message, if that is what stopped the parser; else what its text comes down to."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("unrecognized arguments"):
        option = lines[0].split(": ", 1)[-1].split()[0]
        kind = "unknown option" if option.startswith("-") else "unexpected argument"
        return f"{kind} {option}{_near_option(option, parser)}; see `{parser.prog} --help`"
    kept = [line for line in lines if "NoneType" not in line and not line.startswith(("Errors", "Given value"))]
    text = " ".join(kept) if kept else str(error)
    return _of_class(text) or text


def near(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is nearest, if one is near."""
    found = get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _of_class(text: str) -> str | None:
    """What is wrong with a class that was asked for by name, or with one of its settings."""
    keys = re.findall(r'Parser key "([\w.]+)"', text)
    option = "--" + ".".join(dict.fromkeys(key.removesuffix(".init_args") for key in keys))
    denied = re.search(r"Importing '([\w.]+)' is not allowed", text)
    if denied and keys:
        return (
            f"{option}: {denied[1]} is no class of pointvae, and to import a module runs it; choose one of "
            f"{', '.join(_choices(keys[-1]))}, or, if you trust it, add --allow_classes {denied[1]}"
        )
    unknown = re.search(r"Expected a dot import path string: (\S+)", text)
    if unknown and keys:
        names = _choices(keys[-1])
        known = any(c.__name__ == unknown[1] for c in classes())
        told = f"{unknown[1]} cannot stand here" if known else f"unknown {unknown[1]!r}{near(unknown[1], names)}"
        return f"{option}: {told}; choose one of {', '.join(names)}"
    refused = re.search(r"class_path '(?:[\w.]+\.)?(\w+)': Option '([\w.]+)' is not accepted", text)
    if refused:
        owner, setting = refused.groups()
        takes = [n for c in classes() if c.__name__ == owner for n in signature(c).parameters]
        return f"{owner} does not take {setting!r}{near(setting, takes)}; it takes {', '.join(takes)}"
    literal = re.search(r"Expected a typing.Literal\[(.*?)\].*Got value: (.*)", text)
    if literal and keys:
        names = [name.strip("' ") for name in literal[1].split(",")]
        return f"{option}: unknown {literal[2]!r}{near(literal[2], names)}; choose one of {', '.join(names)}"
    expected = re.search(r"Expected a <class '(?:[\w.]+\.)?(\w+)'>(?:.*Got value: (.*))?", text)
    if expected and keys:
        got = f", got {expected[2]}" if expected[2] else ""
        return f"{option}: must be {KINDS.get(expected[1], expected[1])}{got}"
    return None


def classes() -> list[type]:
    """The models, objectives and transforms that options and settings files may name."""
    from pointvae.models.build import MODELS
    from pointvae.objectives import OBJECTIVES
    from pointvae.transforms import Transform

    return [*MODELS.values(), *OBJECTIVES, *Transform.__subclasses__()]


def _choices(key: str) -> list[str]:
    """The classes that fit an option, by name."""
    from pointvae.models.vae import PointVAE
    from pointvae.objectives import Bound, Objective
    from pointvae.transforms import Transform

    kinds: dict[str, type] = {"model": PointVAE, "objective": Objective, "base": Bound, "transforms": Transform}
    kind = kinds.get(key.split(".")[-1], object)
    return [c.__name__ for c in classes() if issubclass(c, kind)]


def _near_option(option: str, parser: ArgumentParser) -> str:
    """The option someone may have meant, also one of the model's or the objective's."""
    known = [text for action in parser._actions for text in action.option_strings]
    if "--config" in known:
        from pointvae.models.build import MODELS
        from pointvae.objectives import OBJECTIVES

        groups: dict[str, list[type]] = {"model": list(MODELS.values()), "objective": list(OBJECTIVES)}
        groups = {group: classes for group, classes in groups.items() if f"--{group}" in known}
        known += [f"--{g}.{n}" for g, classes in groups.items() for c in classes for n in signature(c).parameters]
    ends = [k for k in known if k.split(".")[-1].lstrip("-") == option.split("=")[0].lstrip("-")]
    found = ends or get_close_matches(option, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""

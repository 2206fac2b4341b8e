"""Reference pages that cannot go stale: public names, registries and commands, read off the package as it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

GROUPS = {
    "data": "Data",
    "models": "Models",
    "objectives": "Objectives",
    "training": "Training",
    "transforms": "Transforms",
}
"""Where a public name lives, by the second word of its module, and the heading it stands under."""
OTHER = "Everything else"


def python() -> str:
    """The public names of `pointvae`, each with its docstring."""
    import pointvae

    grouped: dict[str, list[str]] = {title: [] for title in [*GROUPS.values(), OTHER]}
    for name in pointvae.__all__:
        if name == "__version__":
            continue
        module = getattr(pointvae, name).__module__
        grouped[GROUPS.get(module.split(".")[1], OTHER)].append(name)
    lines = [
        "# Python",
        "",
        "What `import pointvae` gives. Clouds are tensors `[batch, points, 3]`, z up.",
    ]
    for title, members in grouped.items():
        lines += ["", f"## {title}"] if members else []
        for name in members:
            value = getattr(pointvae, name)
            lines += ["", f"::: {value.__module__}.{name}", "    options:", f"      heading: pointvae.{name}"]
    return "\n".join(lines) + "\n"


def registries() -> str:
    """What can be named: parts of models, protocols, corruptions, parts of an evaluation, named sets, formats."""
    from pointvae.corruptions import CORRUPTIONS
    from pointvae.data.named.registry import SETS
    from pointvae.data.procedural import CATEGORIES
    from pointvae.data.readers import CLOUDS, READERS
    from pointvae.evaluation.parts import PARTS
    from pointvae.evaluation.probing.registry import PROTOCOLS

    lines = ["# Names", "", "What commands and constructors take by name, read off the registries of the package."]
    for kind in ("encoders", "decoders"):
        registry = getattr(import_module(f"pointvae.models.{kind}"), kind.upper())
        lines += _parts(kind.capitalize(), registry)
    lines += _parts("Likelihoods", import_module("pointvae.models.likelihoods").LIKELIHOODS)
    lines += _named("Corruptions", [(one.name, f"{one.label} ({one.family})") for one in CORRUPTIONS.values()])
    lines += _named("Probe protocols", [(name, _settings(one)) for name, one in PROTOCOLS.items()])
    lines += _named("Parts of an evaluation", [(name, _first(one)) for name, one in PARTS.items()])
    lines += _named("Named sets", [(name, f"{one.title}; {one.licence}") for name, one in SETS.items()])
    lines += [
        "",
        "## Files that are read",
        "",
        ", ".join(f"`{suffix}`" for suffix in sorted({*READERS, *CLOUDS})) + ".",
    ]
    lines += ["", "## Procedural categories", "", ", ".join(CATEGORIES) + "."]
    return "\n".join(lines) + "\n"


def commands() -> str:
    """Every command with its arguments and options."""
    from pointvae.cli import VERBS
    from pointvae.command import parser_for

    lines = [
        "# Commands",
        "",
        "Read off the commands' own signatures. `pointvae VERB --help` shows the same in a shell, and",
        "`--model.help CLASS`, `--objective.help CLASS` the settings of a part. Exit code 0; 2 for bad input, in",
        "one line; every command takes `--json`, which prints the result on stdout as one JSON object.",
    ]
    for name, verb in VERBS.items():
        parser = parser_for(name, verb)
        shown = [action for action in parser._actions if action.help and action.default != "==SUPPRESS=="]
        given = [action for action in shown if not action.option_strings]
        options = [action for action in shown if action.option_strings and action.dest != "json"]
        usage = " ".join(["pointvae", name, *(str(a.metavar or a.dest).upper() for a in given)])
        lines += ["", f"## {name}", "", _text(inspect.getdoc(verb) or ""), "", f"`{usage} [OPTIONS]`", ""]
        if given:
            lines += ["| argument | |", "|---|---|"]
            lines += [f"| `{a.dest}` | {_words(a.help)} |" for a in given]
        if options:
            lines += ["", "| option | default | |", "|---|---|---|"]
            lines += [
                f"| `{a.option_strings[-1]}`{_choices(a)} | {_default(a)} | {_words(a.help)} |" for a in options
            ]
    return "\n".join(lines) + "\n"


def _text(doc: str) -> str:
    """What a docstring says before its sections."""
    return doc.partition("\nArgs:")[0].strip()


def _words(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _choices(action: Any) -> str:
    shown = str(action.metavar or "")
    return f" {_words(shown[1:-1].replace(',', ', '))}" if shown.startswith("{") and shown != "{true,false}" else ""


def _default(action: Any) -> str:
    value = getattr(action.default, "class_path", action.default)
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _parts(title: str, registry: Any) -> list[str]:
    lines = ["", f"## {title}"]
    for name in registry.names():
        cls = registry.entries[name].cls
        lines += [
            "",
            f"`{name}`",
            "",
            f"::: {cls.__module__}.{cls.__name__}",
            "    options:",
            "      heading_level: 3",
        ]
    return lines


def _named(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    return [
        "",
        f"## {title}",
        "",
        "| name | |",
        "|---|---|",
        *(f"| `{name}` | {_words(what)} |" for name, what in rows),
    ]


def _first(value: Any) -> str:
    doc: str = inspect.getdoc(value) or ""
    return doc.partition("\n\n")[0]


def _settings(protocol: Any) -> str:
    """What tells a protocol from another: its task, its classifier, and where its settings come from."""
    strength = f"C {', '.join(f'{c:g}' for c in protocol.c_grid)}" if protocol.c_grid else ""
    near = f"k {', '.join(map(str, protocol.k_grid))}" if protocol.k_grid else ""
    told = [protocol.task.replace("_", " "), protocol.classifier.replace("_", " "), protocol.loss.replace("_", " ")]
    return "; ".join(word for word in [*told, f"{protocol.scaling} features", strength or near] if word)


PAGES: dict[str, Callable[[], str]] = {
    "reference/python.md": python,
    "reference/commands.md": commands,
    "reference/names.md": registries,
}

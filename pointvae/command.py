"""The plumbing beneath the verbs: parsers from signatures, one-line errors, JSON on stdout, words on stderr."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Any

from pointvae.errors import InputError, printable
from pointvae.places import is_store_fault
from pointvae.processes import is_main_process, tells_faults
from pointvae.refusals import near, one_line
from pointvae.streams import forgiving_stderr
from pointvae.version import __version__

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


class _Printable(logging.Formatter):
    """Names that strangers gave, in lines that a terminal shows as they are."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return printable(super().format(record)) if record.name.startswith("pointvae") else super().format(record)


Verb = Callable[..., "dict[str, Any]"]
PARTS = {"model", "objective"}  # what settings make of classes by their names
TOGETHER = ("train", "refine")  # verbs whose processes work on one thing; the others know nothing of each other
OBJECTIVE_OF = {"refine": "pointvae.SelfConsistency"}  # where no objective is named; ELBO for the other verbs


def run(verbs: Mapping[str, Verb], argv: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0; 2 for bad input, told in one line on stderr.

    Args:
        verbs: the functions by name.
        argv: the arguments, without the program's name.
    """
    with _ending_well(), forgiving_stderr():
        return _run(verbs, argv)


def _run(verbs: Mapping[str, Verb], argv: Sequence[str]) -> int:
    verb = argv[0] if argv else ""
    try:
        if verb in ("", "-h", "--help", "help"):
            sys.stdout.write(_overview(verbs))
            return 0
        if verb in ("-V", "--version"):
            sys.stdout.write(f"pointvae {__version__}\n")
            return 0
        if verb == "completion" and argv[1:] in (["bash"], ["zsh"], ["fish"]):
            from pointvae.completion import completion  # without the parser, which loads torch: shells do not wait

            sys.stdout.write(completion(argv[1], verbs))
            return 0
        if verb not in verbs:
            raise InputError(f"unknown verb {verb!r}{near(verb, verbs)}; see `pointvae --help`")
        return _run_verb(verb, verbs[verb], list(argv[1:]))
    except InputError as error:
        return _fail(verb, str(error))
    except KeyboardInterrupt as error:
        return _fail(verb, str(error) or "interrupted; what was finished is kept")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(verb, f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception as error:
        if not is_store_fault(error):
            raise
        return _fail(verb, f"the store does not do as asked ({error}); see to its address and credentials")


@contextmanager
def _ending_well() -> Iterator[None]:
    """Let SIGTERM end a verb as Ctrl-C ends it: temporary files are cleared away."""

    def terminated(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt("terminated; what was finished is kept")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_verb(name: str, verb: Verb, argv: list[str]) -> int:
    logging.basicConfig(stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Printable("%(message)s"))
    speaks = name not in TOGETHER or is_main_process()
    logging.getLogger("pointvae").setLevel(logging.INFO if speaks else logging.ERROR)
    values, wants_json = make(name, verb, argv)
    result = verb(**values)
    if not speaks:
        return 0
    if wants_json:
        from pointvae.evaluation.results import to_json

        _print(to_json(result))  # with null where a figure is no number, which JSON has no word for
    else:
        from pointvae.present import present

        present(name, result)
    return 0 if result.get("well", True) else 1


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # which names no file
        raise OSError(error.errno, error.strerror, "the standard output") from error


def make(name: str, verb: Verb, argv: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """A verb's arguments, models and objectives instantiated, and whether the result is wanted as JSON.

    A model's first weights are drawn from ``seed``, and the global generator is left as it was.
    """
    import jsonargparse

    parser = parser_for(name, verb)
    arguments = _as_written(argv, verb)
    try:
        with _guarded(verb, arguments) as allowed:
            settings = parser.parse_args(arguments)
            if settings.pop("allow_classes", None) != allowed:
                raise InputError(
                    "--allow_classes counts on the command line alone; take allow_classes out of the file"
                )
            wants_json = bool(settings.pop("json"))
            with _seeded(settings):
                ready = parser.instantiate(settings)
    except (jsonargparse.ArgumentError, ValueError) as error:
        raise InputError(one_line(error, parser)) from error
    return {key: value for key, value in vars(ready).items() if key != "config"}, wants_json


def _guarded(verb: Verb, argv: Sequence[str]) -> AbstractContextManager[str | None]:
    """Refuse classes that the command line does not allow, before they are imported; what it allows."""
    if not PARTS & verb.__annotations__.keys():
        return nullcontext()
    from pointvae.allowed import only_classes

    return only_classes(argv)


def _seeded(settings: Any) -> AbstractContextManager[None]:
    if "model" not in settings:
        return nullcontext()
    from pointvae.models.build import seeded

    return seeded(settings.seed)


def parser_for(name: str, verb: Verb) -> ArgumentParser:
    """The parser of a verb, from its signature."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog=f"pointvae {name}", description=_summary(verb), exit_on_error=False)
    parser.add_function_arguments(verb, as_positional=True, fail_untyped=True)
    for action in parser._actions:
        if not action.option_strings and verb.__annotations__.get(action.dest) == "list[str]":
            action.metavar = f"{action.dest.removesuffix('s')} ..."  # as it is typed, see `_joined`
    parts = {"model": "pointvae.PointVAE", "objective": OBJECTIVE_OF.get(name, "pointvae.ELBO")}
    defaults = {part: {"class_path": path} for part, path in parts.items() if part in verb.__annotations__}
    if defaults:  # only what is made of parts has settings that fill a file
        parser.add_argument("--config", action="config", help="A YAML file of settings; options after it win.")
        parser.add_argument(
            "--allow_classes",
            type=str | None,
            metavar="PREFIX[,PREFIX]",
            help="Modules or classes, beside pointvae's own, that settings may name and that you trust to be run.",
        )
        parser.set_defaults(defaults)
    if "model" in defaults:
        parser.link_arguments("points", "model.init_args.points")
    parser.add_argument("--json", action="store_true", help="Print the result on stdout as one JSON object.")
    return parser


def _as_written(argv: Sequence[str], verb: Verb) -> list[str]:
    """Allow what people type: --num-nodes for --num_nodes, --resume for --resume true, and several names in a row."""
    switches = {name for name, kind in verb.__annotations__.items() if kind in (bool, "bool")}
    out: list[str] = []
    for i, token in enumerate(argv):
        if token.startswith("--"):
            option, equals, value = token[2:].partition("=")
            option = option.replace("-", "_")
            if option.startswith("model.") and option.split(".")[-1] == "points":
                raise InputError("--model.points: set --points instead; the decoder gives as many as are drawn")
            if option in switches and not equals:
                following = argv[i + 1] if i + 1 < len(argv) else ""
                equals, value = ("", "") if following in ("true", "false") else ("=", "true")
            token = f"--{option}{equals}{value}"
        out.append(token)
    return _joined(out) if next(iter(verb.__annotations__.values()), "") == "list[str]" else out


def _joined(argv: Sequence[str]) -> list[str]:
    """The names that stand alone as one list, for a verb that takes many: what follows `--option` is its value."""
    names: list[str] = []
    others: list[str] = []
    for before, token in zip(["", *argv], argv, strict=False):
        valued = before.startswith("--") and "=" not in before and before not in ("--json", "--help")
        (others if token.startswith("-") or valued else names).append(token)
    return [json.dumps(names), *others] if names else others


def _summary(verb: Verb) -> str:
    return (verb.__doc__ or "").strip().splitlines()[0]


def _overview(verbs: Mapping[str, Verb]) -> str:
    width = max(map(len, verbs))
    lines = [f"  {name:<{width}}  {_summary(verb)}" for name, verb in verbs.items()]
    head = "usage: pointvae VERB ...\n\nLearn vectors from 3D shapes.\n\nverbs:\n"
    tail = "\n\n`pointvae VERB --help` tells a verb's options; every verb takes --json.\n"
    return head + "\n".join(lines) + tail


def _fail(verb: str, message: str) -> int:
    if verb not in TOGETHER or tells_faults():
        sys.stderr.write(f"pointvae: error: {printable(message)}\n")
    return 2

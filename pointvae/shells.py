"""Completion scripts in the languages of the shells, from what the verbs take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointvae.completion import Command, Option


def bash(commands: Mapping[str, Command]) -> str:
    """A script for bash 4 or newer, to be sourced."""
    options, values, first = [], [], []
    for verb, command in commands.items():
        options.append(f"    {verb}) options={_quoted(f'--{o.name}' for o in command.options)};;")
        for option in command.options:
            if option.choices:
                values.append(f"    {verb}:--{option.name}) values={_quoted(option.choices)};;")
            elif option.kind == "other":
                values.append(f"    {verb}:--{option.name}) nothing=1;;")
            elif option.kind == "switch":
                values.append(f"    {verb}:--{option.name}) switch=1;;")
        for argument in command.arguments[:1]:
            if argument.choices:
                first.append(f"    {verb}) values={_quoted(argument.choices)};;")
    return f"""# bash completion for pointvae, written by `pointvae completion bash`
_pointvae() {{
  local word=$2 before=$3 verb=${{COMP_WORDS[1]}} options= values= nothing= switch=
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W {_quoted([*commands, "--help", "--version"])} -- "$word"))
    return
  fi
  [[ $word == "=" ]] && word=
  [[ $before == "=" ]] && before=${{COMP_WORDS[COMP_CWORD-2]}}
  [[ ${{COMP_WORDS[COMP_CWORD]}} == "=" ]] && before=${{COMP_WORDS[COMP_CWORD-1]}}
  case $verb in
{chr(10).join(options)}
  esac
  case $verb:${{before//-/_}} in
{chr(10).join(_underscored(values))}
  esac
  if [[ $COMP_CWORD -eq 2 && $word != -* ]]; then
    case $verb in
{chr(10).join(first) or "    *) ;;"}
    esac
  fi
  if [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [[ -z $nothing ]]; then
    compopt -o filenames 2>/dev/null
    local IFS=$'\\n'
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -F _pointvae pointvae
"""


def zsh(commands: Mapping[str, Command]) -> str:
    """A script for zsh, for a folder of ``fpath`` under the name ``_pointvae``, or to be sourced after compinit."""
    verbs = "\n".join(f"    {_single(f'{verb}:{_plain(c.text)}')}" for verb, c in commands.items())
    cases = []
    for verb, command in commands.items():
        lines = [_zsh_option(option) for option in command.options]
        lines += [_single(f"{i}:{_plain(a.name)}:{_zsh_values(a)}") for i, a in enumerate(command.arguments, 1)]
        if command.arguments:
            lines.append(_single("*:more:_files"))
        cases.append(f"    {verb})\n      _arguments \\\n        " + " \\\n        ".join(lines) + ";;")
    return f"""#compdef pointvae
# zsh completion for pointvae, written by `pointvae completion zsh`
_pointvae() {{
  local -a verbs
  verbs=(
{verbs}
  )
  if (( CURRENT == 2 )); then
    _describe -t verbs 'verb' verbs
    return
  fi
  local verb=$words[2]
  shift words
  (( CURRENT-- ))
  case $verb in
{chr(10).join(cases)}
  esac
}}
if [[ $funcstack[1] == _pointvae ]]; then
  _pointvae "$@"
else
  compdef _pointvae pointvae
fi
"""


def fish(commands: Mapping[str, Command]) -> str:
    """A script for fish, for ``~/.config/fish/completions/pointvae.fish``, or to be sourced."""
    lines = ["# fish completion for pointvae, written by `pointvae completion fish`", "complete -c pointvae -e"]
    lines += [
        f"complete -c pointvae -f -n __fish_use_subcommand -a {verb} -d {_single(command.text)}"
        for verb, command in commands.items()
    ]
    for verb, command in commands.items():
        head = f"complete -c pointvae -n '__fish_seen_subcommand_from {verb}'"
        for option in command.options:
            takes = "" if option.kind == "switch" else " -r -F"
            if option.choices:
                takes = f" -x -a {_single(' '.join(option.choices))}"
            elif option.kind == "other":
                takes = " -x"
            lines.append(f"{head} -l {option.name}{takes}" + (f" -d {_single(option.text)}" if option.text else ""))
        for argument in command.arguments[:1]:
            if argument.choices:
                lines.append(f"{head} -f -a {_single(' '.join(argument.choices))}")
    return "\n".join(lines) + "\n"


def _zsh_option(option: Option) -> str:
    told = f"[{_plain(option.text)}]" if option.text else ""
    if option.kind == "switch":
        return _single(f"--{option.name}{told}")
    return _single(f"--{option.name}={told}:{_plain(option.name)}:{_zsh_values(option)}")


def _zsh_values(option: Option) -> str:
    if option.choices:
        return f"({' '.join(option.choices)})"
    return "_files" if option.kind == "file" else " "


def _plain(text: str) -> str:
    """Without the letters that zsh's specifications give a meaning."""
    return re.sub(r"[\[\]:]", " ", text)


def _single(text: str) -> str:
    """In single quotes, as all three shells read it."""
    return "'" + text.replace("\\", "").replace("'", "’") + "'"


def _quoted(words: Iterable[str]) -> str:
    return '"' + " ".join(words) + '"'


def _underscored(cases: Iterable[str]) -> list[str]:
    """Patterns of options with every dash an underscore, as the script makes what was typed."""
    return [re.sub(r":--([^)]*)\)", lambda m: f":__{m[1].replace('-', '_')})", case) for case in cases]

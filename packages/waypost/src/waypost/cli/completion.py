"""``waypost completion``: a script by which a shell completes commands, flags and their values.

It holds the words themselves, so that a shell does not start Python at every press of the key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

__all__ = ["register"]


class CompletedShell(StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@dataclass(frozen=True, slots=True)
class Known:
    """What may follow a command."""

    path: tuple[str, ...]  # () is the program itself
    words: tuple[tuple[str, str], ...]  # commands, and values of an argument, with a line of help each
    flags: tuple[tuple[str, str, tuple[str, ...]], ...]  # name, help, values if these are few


def register(app: typer.Typer) -> None:
    """Add it to the command."""
    app.command()(completion)


def completion(
    context: typer.Context, shell: Annotated[CompletedShell, typer.Argument(help="The shell that is to complete.")]
) -> None:
    """Print a script by which a shell completes commands and flags. Example: source <(waypost completion bash)

    For zsh the same, after compinit; for fish: waypost completion fish | source
    """
    root = context.find_root()
    program = root.info_name or "waypost"
    known = list(_walk(root, root.command, ()))
    typer.echo(_fish(program, known) if shell is CompletedShell.FISH else _bash(program, known, shell))


def _walk(context: Any, command: Any, path: tuple[str, ...]) -> Iterator[Known]:
    commands = getattr(command, "commands", {})
    words = [(name, _line(each.help)) for name, each in commands.items()]
    flags: list[tuple[str, str, tuple[str, ...]]] = [("--help", "Show what it does.", ())]
    for each in command.params:
        values = tuple(item.value for item in each.shell_complete(context, "") if item.type == "plain")
        flags += [(name, _line(each.help), values) for name in each.opts if name.startswith("--")]
        if each.param_type_name == "argument":
            words += [(value, "") for value in values]
    yield Known(path, tuple(words), tuple(flags))
    for name, each in commands.items():
        yield from _walk(context, each, (*path, name))


def _line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].partition(" Example: ")[0]


def _bash(program: str, known: list[Known], shell: CompletedShell) -> str:
    paths = "|".join(f'" {" ".join(each.path)}"' for each in known if each.path)
    lines = ["autoload -U +X bashcompinit && bashcompinit"] if shell is CompletedShell.ZSH else []
    lines += [
        f"_{program}_completion() {{",
        '    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" path="" words="" i',
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        f'        case "$path ${{COMP_WORDS[i]}}" in {paths}) path="$path ${{COMP_WORDS[i]}}" ;; esac',
        "    done",
        '    case "$path $previous" in',
        *(
            f'        "{_spaced(each.path)} {flag}") words="{" ".join(values)}" ;;'
            for each in known
            for flag, _, values in each.flags
            if values
        ),
        "    esac",
        '    if [ -z "$words" ]; then',
        '        case "$path" in',
        *(f'            "{_spaced(each.path)}") words="{" ".join(_words(each))}" ;;' for each in known),
        "        esac",
        "    fi",
        '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
        "}",
        f"complete -o default -F _{program}_completion {program}",
    ]
    return "\n".join(lines)


def _fish(program: str, known: list[Known]) -> str:
    lines = [f"complete -c {program} -f"]
    for each in known:
        within = [f"__fish_seen_subcommand_from {name}" for name in each.path]
        names = " ".join(name for name, _ in each.words)
        here = [*within, f"not __fish_seen_subcommand_from {names}"] if names else within
        condition = f" -n {_quoted('; and '.join(here))}" if here else ""
        lines += [f"complete -c {program}{condition} -a {name} -d {_quoted(words)}" for name, words in each.words]
        for flag, words, values in each.flags:
            value = f" -x -a {_quoted(' '.join(values))}" if values else ""
            lines.append(f"complete -c {program}{condition} -l {flag.removeprefix('--')}{value} -d {_quoted(words)}")
    return "\n".join(lines)


def _words(known: Known) -> list[str]:
    return [name for name, _ in known.words] + [flag for flag, _, _ in known.flags]


def _spaced(path: tuple[str, ...]) -> str:
    return "".join(f" {each}" for each in path)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

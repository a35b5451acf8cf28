"""The file that flags are taken from where neither the command line nor the environment gives them.

TOML: names of flags without the dashes; those at the top hold for every command that has them, those in a table for the
command of its name.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

__all__ = ["ConfigInvalid", "config_path", "defaults_from"]


class ConfigInvalid(ValueError):
    """The file cannot be used; the text says why."""


def config_path(program: str, environment: Mapping[str, str]) -> Path:
    """Return where the file is, unless a flag says so: see the XDG base directory specification."""
    home = environment.get("XDG_CONFIG_HOME") or ""
    folder = Path(home) if home.startswith("/") else Path("~/.config").expanduser()
    return folder / program / "config.toml"


def defaults_from(path: Path, context: typer.Context) -> dict[str, Any]:
    """Return what the file says, in the shape of a context's ``default_map``.

    :raises ConfigInvalid: it cannot be read, is no TOML, or names a flag that no command has.
    """
    import tomllib  # few have such a file

    try:
        said = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigInvalid(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigInvalid(f"{path}: {error}") from error
    general = {name: value for name, value in said.items() if not isinstance(value, dict)}
    tables = {name: value for name, value in said.items() if isinstance(value, dict)}
    commands = getattr(context.command, "commands", {})
    defaults, used = _of_group(commands, tables, general, str(path))
    unused = sorted({_flag(name) for name in general} - used)
    if unused:
        raise ConfigInvalid(f"{path}: no command has the flag {unused[0]!r}")
    return defaults


def _of_group(
    commands: Mapping[str, Any], tables: Mapping[str, Any], general: Mapping[str, Any], where: str
) -> tuple[dict[str, Any], set[str]]:
    unknown = sorted(tables.keys() - commands.keys())
    if unknown:
        raise ConfigInvalid(f"{where}: there is no command {unknown[0]!r}")
    defaults: dict[str, Any] = {}
    used: set[str] = set()
    for name, command in commands.items():
        table = tables.get(name, {})
        inner = getattr(command, "commands", None)
        if inner is not None:
            defaults[name], more = _of_group(inner, table, general, where)
            used |= more
            continue
        flags = dict(_flags(command))
        strange = sorted(key for key in table if _flag(key) not in flags)
        if strange:
            raise ConfigInvalid(f"{where}: `{name}` has no flag {strange[0]!r}")
        used |= {_flag(key) for key in general} & flags.keys()
        wanted = {**general, **table}
        defaults[name] = {flags[_flag(key)]: value for key, value in wanted.items() if _flag(key) in flags}
    return defaults, used


def _flags(command: Any) -> Iterator[tuple[str, str]]:
    """Yield each long flag of a command without its dashes, and the name of its parameter."""
    for parameter in command.params:
        for each in parameter.opts:
            if each.startswith("--"):
                yield each.removeprefix("--"), parameter.name


def _flag(name: str) -> str:
    return name.replace("_", "-")

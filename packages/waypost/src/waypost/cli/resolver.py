"""``waypost resolver``: have the machine's own resolver ask Waypost about our namespaces.

Nothing is changed unless ``--apply`` is given; a file that is not ours is never touched.
"""

import subprocess
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli.access import Access, read_run_file
from waypost.cli.ending import refuse, run
from waypost.cli.errors import CommandFailed, Unavailable
from waypost.cli.options import StateDir
from waypost.cli.resolver_settings import MARK, TARGETS, Setting, Target, unwritable
from waypost.settings import ListenAddress

if TYPE_CHECKING:
    from waypost.cli.registry import Registry

__all__ = ["resolver"]

resolver = typer.Typer(
    help="Have this machine's resolver ask Waypost about our namespaces, and about nothing else.",
    no_args_is_help=True,
)


class Name(StrEnum):
    """The resolvers that can be told."""

    SYSTEMD_RESOLVED = "systemd-resolved"
    DNSMASQ = "dnsmasq"
    UNBOUND = "unbound"
    COREDNS = "coredns"
    DOCKER = "docker"
    MACOS = "macos"


Namespaces = Annotated[
    list[str] | None,
    typer.Option("--namespace", metavar="NAME", help="A DNS namespace. [default: those of the running platform]"),
]
Nameserver = Annotated[
    str,
    typer.Option(metavar="HOST:PORT", help="Where Waypost answers DNS. [default: where the running platform does]"),
]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; otherwise what would be done is printed.")]
Root = Annotated[Path, typer.Option(metavar="DIR", help="Write below this folder, and reload nothing.")]


@resolver.command()
def show(
    target: Annotated[Name | None, typer.Argument(help="One of them.")] = None,
    namespace: Namespaces = None,
    nameserver: Nameserver = "",
    state_dir: StateDir = Path("var"),
) -> None:
    """Print the settings for a resolver, or for each that is known. Example: waypost resolver show dnsmasq"""
    namespaces, server = _what_to_send(namespace, nameserver, state_dir)
    _warn(namespaces)
    for each in TARGETS.values() if target is None else (TARGETS[target.value],):
        _print_settings(each, each.settings(namespaces, server))


@resolver.command()
def install(
    target: Annotated[Name, typer.Argument(help="Which resolver to tell.")],
    namespace: Namespaces = None,
    nameserver: Nameserver = "",
    state_dir: StateDir = Path("var"),
    apply: Apply = False,
    root: Root = Path("/"),
) -> None:
    """Write the settings for a resolver and have it read them. Example: waypost resolver install dnsmasq --apply"""
    chosen = TARGETS[target.value]
    namespaces, server = _what_to_send(namespace, nameserver, state_dir)
    _warn(namespaces)
    settings = chosen.settings(namespaces, server)
    if not apply:
        _print_settings(chosen, settings)
        return
    if not chosen.whole_files:
        refuse(
            CommandFailed(
                f"the settings of {chosen.name} are part of a file of yours: add what `waypost resolver show` prints"
            )
        )
    for setting in settings:
        path = _below(root, setting)
        if path.exists() and MARK not in path.read_text():
            refuse(CommandFailed(f"{path} is not ours: move it away first, or add the settings to it yourself"))
    for setting in settings:
        path = _below(root, setting)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(setting.text)
        except OSError as error:
            refuse(CommandFailed(f"{path} cannot be written ({error.strerror}): run this as root"))
        typer.echo(f"wrote {path}")
    _reload(chosen, root)


@resolver.command()
def remove(
    target: Annotated[Name, typer.Argument(help="Which resolver to tell no more.")],
    apply: Apply = False,
    root: Root = Path("/"),
) -> None:
    """Take the settings away again. Example: waypost resolver remove dnsmasq --apply"""
    chosen = TARGETS[target.value]
    if not chosen.whole_files:
        refuse(CommandFailed(f"the settings of {chosen.name} are part of a file of yours: take them out there"))
    present = [path for path in _candidates(chosen, root) if path.is_file() and MARK in path.read_text()]
    for path in present:
        if apply:
            try:
                path.unlink()
            except OSError as error:
                refuse(CommandFailed(f"{path} cannot be removed ({error.strerror}): run this as root"))
        typer.echo(f"{'removed' if apply else 'would remove'} {path}")
    if not present:
        typer.echo(f"{chosen.name} has no settings of ours")
    elif apply:
        _reload(chosen, root)


def _candidates(target: Target, root: Path) -> list[Path]:
    """Return the files that may be ours: for whatever namespaces they were written."""
    paths = []
    for setting in target.settings(["*"], ListenAddress("127.0.0.1", 53)):
        path = _below(root, setting)
        paths += sorted(path.parent.glob(path.name)) if path.parent.is_dir() else []
    return paths


def _what_to_send(given: Sequence[str] | None, nameserver: str, state_dir: Path) -> tuple[list[str], ListenAddress]:
    """Return our namespaces and where they are answered: what was given, and for the rest what runs."""
    namespaces, server = _find_out(given, nameserver, state_dir)
    odd = unwritable(namespaces)
    if odd is not None:
        refuse(
            CommandFailed(f"the namespace {odd!r} cannot stand in a resolver's settings: give others by --namespace")
        )
    return namespaces, server


def _find_out(namespaces: Sequence[str] | None, nameserver: str, state_dir: Path) -> tuple[list[str], ListenAddress]:
    try:
        server = ListenAddress.parse(nameserver).to_connect if nameserver else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--nameserver'") from error
    if namespaces and server is not None:
        return list(namespaces), server
    running = read_run_file(state_dir)
    if not running:
        refuse(
            Unavailable(
                f"no platform runs with the state directory {state_dir}: start one, name its --state-dir, or give "
                "--namespace and --nameserver",
            )
        )
    registry = ListenAddress.parse(running["http_address"]).to_connect
    if server is None:
        server = ListenAddress.parse(running["dns_address"]).to_connect
    return list(namespaces or _ask_for_namespaces(f"http://{registry}")), server


def _ask_for_namespaces(registry: str) -> list[str]:
    """Return the names of the registry's DNS namespaces."""
    found: list[str] = []

    async def work(opened: "Registry") -> None:
        from waypost.cli.catalog.lookup import list_namespaces

        found.extend(each["Name"] for each in await list_namespaces(opened.client) if each["Type"] != "HTTP")

    run(Access(registry, None), work)
    if not found:
        refuse(CommandFailed("the registry has no DNS namespace yet: create one, or give --namespace"))
    return sorted(set(found))


def _warn(namespaces: Sequence[str]) -> None:
    from waypost.multicast import multicast_warning  # it brings the log along, which --help should not wait for

    warning = multicast_warning(namespaces)
    if warning is not None:
        typer.echo(f"warning: {warning}", err=True)


def _print_settings(target: Target, settings: Sequence[Setting]) -> None:
    for setting in settings:
        typer.echo(f"# {target.name}: {setting.path}")
        typer.echo(setting.text)
    if target.reload:
        typer.echo(f"# then: {' '.join(target.reload)}")
    if target.advice:
        typer.echo(f"# {target.advice}")
    typer.echo("")


def _reload(target: Target, root: Path) -> None:
    if not target.reload or root != Path("/"):
        return
    command = " ".join(target.reload)
    try:
        subprocess.run(target.reload, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        refuse(CommandFailed(f"`{command}` did not succeed ({error}): have {target.name} read its settings yourself"))
    typer.echo(f"ran {command}")


def _below(root: Path, setting: Setting) -> Path:
    return root / setting.path.relative_to("/")

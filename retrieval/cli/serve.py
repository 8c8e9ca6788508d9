"""`tagline serve`: the library as a page in the browser."""

from __future__ import annotations

import ipaddress
import threading

import click

from tagline.tagging.cli.options import library_option

MIN_TOKEN = 16  # characters of a token that somebody chooses
PORT = 8765
ALL_ADDRESSES = frozenset({"0.0.0.0", "::"})


@click.command(short_help="Show the library as a page in the browser.")
@library_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Where to listen; 0: any that is free.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="On which address to listen.")
@click.option(
    "--token",
    envvar="TAGLINE_TOKEN",
    metavar="SECRET",
    help="What opens the page; else one is made up for each run. Needed with a --host that others can reach.",
)
@click.option(
    "--open/--no-open", "opens", default=False, show_default=True, help="Open the page in the browser."
)
@click.option("--cluster", metavar="ADDRESS", help="Serve a sharded index on a Ray cluster, not the page.")
@click.option(
    "--index", "index_folder", metavar="FOLDER", help="With --cluster: what `tagline index --cluster` wrote."
)
@click.option("--replicas", type=click.IntRange(1, 100), default=2, help="With --cluster: of each shard.")
@click.option("--stop", is_flag=True, help="With --cluster: take the index off it.")
@click.pass_context
def serve(
    ctx: click.Context,
    library: str | None,
    port: int,
    host: str,
    token: str | None,
    opens: bool,
    cluster: str | None,
    index_folder: str | None,
    replicas: int,
    stop: bool,
) -> None:
    """Show the library as a page: search, watch, see why, put tags right.

    It is served to this computer alone, until Ctrl-C.

    \b
    tagline serve --open
    tagline serve --library ~/Videos --port 9000
    tagline serve --cluster head:6379 --index /shared/index
    """
    if cluster is not None:
        from tagline.retrieval.cli import ray

        ctx.exit(ray.serve(cluster, index_folder, replicas, stop))
    if index_folder or stop:
        raise click.UsageError("--index and --stop go with --cluster")
    home_only = _is_loopback(host)
    _check_token(host, token, home_only)
    import secrets
    from contextlib import closing
    from urllib.parse import quote

    from tagline import __version__
    from tagline.retrieval.web.api.state import AppState
    from tagline.retrieval.web.app import build
    from tagline.retrieval.web.auth import auth_settings
    from tagline.retrieval.web.server import listen
    from tagline.retrieval.web.server import serve as run
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.schema import CatalogError

    try:
        state = AppState(location.find_catalog_home(library=library))
    except CatalogError as error:
        raise click.ClickException(str(error)) from error
    with closing(state):
        try:
            listening = listen(host, port)
        except OSError as error:
            raise click.ClickException(
                f"cannot listen on {host}, port {port} ({(error.strerror or str(error)).lower()}); "
                "choose another with --port, or 0 for any that is free"
            ) from error
        port = listening.getsockname()[1]
        token = token or secrets.token_urlsafe(18)
        keys = auth_settings(_names(host), port, token, open_reading=home_only)
        address = f"http://{_names(host)[0]}:{port}/#token={quote(token, safe='')}"

        def ready() -> None:
            click.echo(f"tagline is at {address} (Ctrl-C ends it)")
            threading.Thread(target=state.warm, daemon=True).start()
            if opens:
                click.launch(address)

        run(build(state, keys, __version__), listening, ready)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_token(host: str, token: str | None, home_only: bool) -> None:
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable()):
        raise click.UsageError(f"a --token has {MIN_TOKEN} characters or more, letters and digits best")
    if not home_only and token is None:
        raise click.UsageError(
            f"--host {host} lets everybody who reaches this computer ask for your videos, in clear text. "
            "If that is meant, say so with --token and a secret that you give to those who may"
        )


def _names(host: str) -> list[str]:
    """The names under which this server may be addressed, the one to print first."""
    import socket

    if _is_loopback(host):
        first = "[::1]" if host == "::1" else host
        return list(dict.fromkeys([first, "127.0.0.1", "localhost", "[::1]"]))
    if host in ALL_ADDRESSES:
        return [socket.gethostname(), *_own_addresses(), "127.0.0.1", "localhost", "[::1]"]
    return [f"[{host}]" if ":" in host else host]


def _own_addresses() -> list[str]:
    """The addresses of this computer, as far as its own name tells them."""
    import socket

    try:
        found = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return []
    return sorted(f"[{address}]" if ":" in str(address) else str(address) for address in found)

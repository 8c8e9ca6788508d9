"""`tagline approve`: which hub models, servers and other users' libraries may be used."""

from __future__ import annotations

import os

import click

from tagline.experts.printable import safe, say
from tagline.tagging.cli.options import NothingFound


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--forget", is_flag=True, help="Take it back.")
def approve(names: tuple[str, ...], forget: bool) -> None:
    """Let models, servers and libraries be used that a folder names.

    NAME is a model of the hub, the address of a server, or the folder of another user's library. What came
    with a folder never decides by itself who is asked or trusted. Without a NAME: what was approved.

    \b
    tagline approve
    tagline approve someone/table-model
    tagline approve http://milvus:19530
    tagline approve /srv/videos
    """
    from tagline.tagging.catalog import approvals
    from tagline.tagging.catalog.schema import CatalogError

    try:
        for name in names:
            named = os.path.realpath(name) if os.path.isdir(name) else name  # noqa: PTH112 (a name may be too long for a path)
            if not forget:
                approvals.approve(named)
                say(f"approved: {named}")
            elif approvals.forget(named):
                say(f"not approved any more: {named}")
            else:
                raise NothingFound(f"{safe(named)} was not approved")
    except CatalogError as error:
        raise click.ClickException(str(error)) from error
    if not names:
        for name in approvals.approved():
            say(name)

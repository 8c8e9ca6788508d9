"""The front door: names each command and the file that holds it, nothing else."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from tagline import __version__
from tagline.experts import extras
from tagline.experts.printable import guard_streams
from tagline.tagging.cli import signals

# Name: (where it is, what it does in one line). Nothing is imported before a command is chosen.
COMMANDS = {
    "tag": ("tagline.tagging.cli.tag:tag", "Watch, listen to and read the videos of a folder."),
    "plan": ("tagline.tagging.cli.tag:plan", "Show what `tag` would do, why, and about how long it takes."),
    "show": ("tagline.tagging.cli.show:show", "Show what is in one video, and when."),
    "tags": ("tagline.tagging.cli.tags:tags", "List, accept, reject, add and rename tags."),
    "search": (
        "tagline.retrieval.cli.search:search",
        "Find the moment that a sentence describes, and see why.",
    ),
    "index": ("tagline.retrieval.cli.index:index", "Make a tagged library searchable by meaning."),
    "similar": (
        "tagline.retrieval.cli.index:similar",
        "Find videos that are like a video or a picture.",
    ),
    "describe": ("tagline.retrieval.cli.index:describe", "Describe a video in sentences."),
    "serve": ("tagline.retrieval.cli.serve:serve", "Show the library as a page in the browser."),
    "explain": (
        "tagline.retrieval.cli.explain:explain",
        "Show what in a video answers a query, and where.",
    ),
    "tune": (
        "tagline.retrieval.cli.search:tune",
        "Fit search to this library: hubness, weights, and when nothing answers.",
    ),
    "export": ("tagline.tagging.cli.exchange:export", "Write tags for other programs."),
    "import": ("tagline.tagging.cli.exchange:import_", "Read tags that other programs wrote."),
    "catalog": (
        "tagline.retrieval.cli.ray:catalog",
        "Check a catalog; bring in the results of a cluster, or ask them.",
    ),
    "approve": (
        "tagline.tagging.cli.approve:approve",
        "Let models, servers and libraries be used that a folder names.",
    ),
    "models": ("tagline.experts.cli:models", "See, fetch, verify and carry model weights."),
    "doctor": ("tagline.tagging.cli.doctor:doctor", "Check this installation and show what to do."),
    "selftest": (
        "tagline.retrieval.cli.selftest:selftest",
        "Attack this installation with hostile files, weights, sidecars and requests.",
    ),
    "train": ("tagline.table.cli:train", "Train a model on your own library."),
    "eval": (
        "tagline.retrieval.cli.evaluate:eval_",
        "Measure how well your own videos are found, before and after training.",
    ),
    "bench": ("tagline.benchmarks.cli.bench:bench", "Measure, and see what was measured."),
}


class LazyGroup(click.Group):
    """A group that loads a command's file when the command is called."""

    def main(self, *args: Any, **options: Any) -> Any:
        guard_streams()
        return super().main(*args, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        from tagline.tagging.cli.errors import as_sentences

        with as_sentences():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tagline")
def cli() -> None:
    """Find the moment: tagline tags what is in your videos, and when.

    \b
    tagline tag ~/Videos         watch, listen and read
    tagline show holiday.mp4     what is in it, and when
    tagline search dog on beach  the moment, and why
    """


def main() -> None:
    """Run the command line; exit codes are 0 ok, 1 failure, 2 usage, 3 partly, 4 nothing, 130 interrupted,
    143 terminated."""
    signals.end_in_order()
    try:
        result = cli.main(prog_name="tagline", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ImportError as error:
        if (sentence := extras.from_import_error(error)) is None:
            raise
        click.echo(f"Error: {sentence}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt) as interrupt:
        code = signals.exit_code(interrupt.__cause__ if isinstance(interrupt, click.Abort) else interrupt)
        click.echo("terminated" if code == signals.TERMINATED else "interrupted", err=True)
        sys.exit(code)
    except BrokenPipeError:
        # The reader (head, less) has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()

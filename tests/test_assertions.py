"""The tests' own assertions: none that only sometimes runs, and none that cannot fail."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from sentences import assert_a_sentence

FILES = sorted(Path(__file__).parent.glob("test_*.py"))


def asserts(nodes: Sequence[ast.stmt]) -> bool:
    """Whether these statements assert something, or call what does."""
    inside = [each for node in nodes for each in ast.walk(node)]
    calls = [ast.unparse(each.func) for each in inside if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Assert) for each in inside) or any("assert" in call for call in calls)


def branches(body: Sequence[ast.stmt]) -> Iterator[ast.If]:
    """The `if`s of a function that stand in no loop: each is passed once a call."""
    for node in body:
        if isinstance(node, ast.If):
            yield node
            yield from branches(node.body)
        elif isinstance(node, ast.With | ast.Try):
            yield from branches(node.body)


def left_out(test: ast.FunctionDef) -> list[str]:
    """Assertions under an `if` that hangs neither on the test's cases nor on the system, and has no `else`.

    Nobody sees it when such an assertion stops running. What follows an `if` that returns is its `else`.
    """
    cases = {each.arg for each in test.args.args} | {"sys"}
    found = []
    for branch in branches(test.body):
        names = {each.id for each in ast.walk(branch.test) if isinstance(each, ast.Name)}
        has_else = asserts(branch.orelse) or isinstance(branch.body[-1], ast.Return)
        if asserts(branch.body) and not has_else and not names & cases:
            found.append(f"{test.name}, line {branch.lineno}: asserted only `if` something holds")
    return found


def complaints(source: str) -> list[str]:
    """What is wrong with the assertions of a file of tests."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) if name.startswith("test_"):
                found += left_out(node)
            case ast.Call(
                func=ast.Attribute(attr="raises"), args=[ast.Name("Exception" | "BaseException"), *_]
            ):
                found.append(f"line {node.lineno}: any fault at all would do")
            case ast.Compare(left=ast.Constant("Traceback"), comparators=[ast.Attribute(attr="output")]):
                found.append(f"line {node.lineno}: click's runner writes no traceback; see sentences.py")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_assertion_is_left_out_or_cannot_fail(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("n = f()\n if n > 6:\n  assert n", True),
        ("with f() as n:\n  if n:\n   assert_close(n, 1)", True),
        ("n = f()\n if n > 6:\n  assert n\n else:\n  assert not n", False),
        ("n = f()\n if n > 6:\n  assert n\n  return\n assert not n", False),
        ("if case == 1:\n  assert f()", False),
        ("if sys.platform == 'linux':\n  assert f()", False),
        ("for n in range(3):\n  if n:\n   assert n", False),
        ("with pytest.raises(Exception):\n  f()", True),
        ("with pytest.raises(ValueError):\n  f()", False),
        ("assert 'Trace' 'back' not in answer.output", True),
        ("assert b'Trace' b'back' not in err", False),
    ],
)
def test_the_rules_find_what_they_are_for(body: str, wrong: bool) -> None:
    assert bool(complaints(f"def test_it(case):\n {body}\n")) == wrong


def test_a_command_that_falls_over_has_said_no_sentence() -> None:
    @click.command()
    @click.argument("how")
    def command(how: str) -> None:
        click.echo("nothing was found")
        if how == "falls":
            raise ValueError("a fault")
        if how == "refuses":
            raise click.ClickException("no library here")

    assert_a_sentence(CliRunner().invoke(command, ["refuses"]), 1, "nothing was found", "no library here")
    with pytest.raises(ValueError, match="a fault"):
        assert_a_sentence(CliRunner().invoke(command, ["falls"]), 1, "nothing was found")
    for code, said in ((0, "no library here"), (1, "another sentence")):
        with pytest.raises(AssertionError):
            assert_a_sentence(CliRunner().invoke(command, ["refuses"]), code, said)

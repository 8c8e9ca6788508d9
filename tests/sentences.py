"""What a person gets to read when a command ends without having done what was asked."""

from __future__ import annotations

from click.testing import Result


def assert_a_sentence(result: Result, code: int, *parts: str) -> None:
    """The command ended by itself, with this code and with a message that holds these parts.

    A command that fell over ends with code 1, too, and click's runner leaves its exception out of the output.
    """
    assert parts, "what is to be read?"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    for part in parts:
        assert part in result.output, result.output
    assert "Traceback" not in result.output, result.output

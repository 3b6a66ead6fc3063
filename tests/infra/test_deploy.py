"""Deploying, up to the point where AWS would be called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.deploy import Request, main, missing, parse


@pytest.mark.parametrize(
    ("words", "request_", "profile"),
    [
        (["deploy"], Request("deploy", {}, ()), None),
        (["destroy", "stage=test"], Request("destroy", {"stage": "test"}, ()), None),
        (
            ["deploy", "stage=test", "--profile", "work", "uploaders=3"],
            Request("deploy", {"stage": "test", "uploaders": "3"}, ("--profile", "work")),
            "work",
        ),
        (["deploy", "--profile=work"], Request("deploy", {}, ("--profile=work",)), "work"),
        (["deploy", "--profile"], Request("deploy", {}, ("--profile",)), None),
    ],
)
def test_settings_are_told_from_words_for_cdk(words: list[str], request_: Request, profile: str | None) -> None:
    assert parse(words) == request_
    assert parse(words).profile == profile


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected deploy or destroy, found nothing"),
        (["undo"], "expected deploy or destroy, found undo"),
        (["deploy", "stagge=test"], "stagge: no such setting"),
        (["deploy", "uploaders=0"], "uploaders: expected a whole number from 1 to 16, found '0'"),
    ],
)
def test_a_wrong_request_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(words)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A user without any configuration of AWS, on a machine that is no EC2 instance."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


def test_what_is_missing_is_told_one_after_the_other(bare: pytest.MonkeyPatch) -> None:
    assert "AWS credentials are needed" in str(missing(None))
    assert "could not be found" in str(missing("nobodys-profile"))
    bare.setenv("AWS_ACCESS_KEY_ID", "key")
    bare.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "a Region is needed" in str(missing(None))
    bare.setenv("AWS_REGION", "eu-west-1")
    assert missing(None) is None


def test_without_credentials_the_stack_is_built_and_the_next_step_told(
    bare: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare.chdir(tmp_path)
    assert main(["destroy", "stage=test"]) == 3
    assert "AWS credentials are needed" in capsys.readouterr().err
    assert (tmp_path / "cdk.out" / "sluiceway-test.template.json").is_file()


def test_a_wrong_setting_is_told_before_anything_is_built(
    bare: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare.chdir(tmp_path)
    assert main(["deploy", "uploaders=none"]) == 2
    assert capsys.readouterr().err == "uploaders: expected a whole number from 1 to 16, found 'none'\n"
    assert not list(tmp_path.iterdir())

"""What `--help` shows, and what a shell completes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cellucid_dask.commands.cli import cli
from cellucid_dask.commands.help_pages import SECTION_OF

COMMANDS = sorted(cli.commands.items())


def help_of(name: str) -> str:
    command = cli.commands[name]
    return command.get_help(click.Context(command, info_name=name, parent=click.Context(cli)))


@pytest.mark.parametrize("command", [pytest.param(c, id=name) for name, c in COMMANDS])
def test_the_summary_of_a_command_is_not_cut(command: click.Command) -> None:
    assert command.short_help
    assert len(command.short_help) < 45
    assert command.get_short_help_str(45) == command.short_help
    assert not command.short_help.endswith(".")


def test_the_options_of_an_export_are_in_sections() -> None:
    shown = help_of("export")
    titles = re.findall(r"^(\w[\w ]*):$", shown, re.MULTILINE)
    assert titles == [
        *("Input", "What to export or serve", "Output", "Compute"),
        *("Jobs of a batch queue", "Identity", "Other"),
    ]
    compute = re.search(r"^Compute:\n(.*?)\n\n", shown, re.MULTILINE | re.DOTALL)
    assert compute
    assert re.findall(r"^  (--[\w-]+)", compute[1], re.MULTILINE) == [
        *("--workers", "--memory", "--scratch", "--scheduler", "--performance-report"),
    ]


@pytest.mark.parametrize("name", ["export", "serve", "check", "index"])
def test_each_option_belongs_to_a_section(name: str) -> None:
    options = [each for each in cli.commands[name].params if isinstance(each, click.Option)]
    loose = {option.name for option in options if option.name not in SECTION_OF}
    assert loose <= {"quiet", "verbose", "debug"}


def test_the_sections_name_options_that_exist() -> None:
    assert set(SECTION_OF) <= {each.name for _, command in COMMANDS for each in command.params}


def completed(shell: str, *words: str) -> list[str]:
    """What click answers to the script of a shell."""
    typed = " ".join(["cellucid-dask", *words])
    answer = subprocess.run(
        [sys.executable, "-m", "cellucid_dask"],
        env={
            "PATH": "/usr/bin:/bin",
            "_CELLUCID_DASK_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": typed,
            "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    return answer.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_options_and_choices(shell: str) -> None:
    assert "plain,export" in completed(shell, "exp") or "export" in completed(shell, "exp")
    found = " ".join(completed(shell, "export", "--comp"))
    assert "--compression" in found
    assert "--centroid" not in found
    assert "zarr.zip" in " ".join(completed(shell, "export", "--format", "zarr."))


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_script_of_bash_completes(tmp_path: Path) -> None:
    """In a bash that read it, as ~/.bashrc does."""
    command = tmp_path / "cellucid-dask"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m cellucid_dask "$@"\n')
    command.chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(cellucid-dask completion bash)"
        COMP_WORDS=(cellucid-dask slurm-script serve) COMP_CWORD=2
        _cellucid_dask_completion cellucid-dask
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout.split() == ["serve-node"], done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_printed(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with click.Context(cli):
        cli.main(["completion", shell], standalone_mode=False)
    assert f"_CELLUCID_DASK_COMPLETE={shell}_complete" in capsys.readouterr().out

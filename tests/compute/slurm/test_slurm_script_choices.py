"""Batch scripts that slurm-script prints: filled in, or refused."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from atlas import here
from slurm_scripts import LIST, SAY, bash, programs, script

from cellucid_dask.compute.slurm.choices import KINDS, Choices, read_atlases
from cellucid_dask.compute.slurm.script import write_script
from cellucid_dask.errors import OptionError


def test_all_choices_are_filled_in(tmp_path: Path, fakes: Path) -> None:
    nasty = tmp_path / 'it\'s $(a) 100% "q"'
    nasty.mkdir()
    logs = tmp_path / "my logs 5%"
    logs.mkdir()
    data = nasty / "x.h5ad"
    data.touch()
    choices = Choices(
        data=str(data),
        out=str(nasty / "out"),
        partition="long",
        account="lab",
        time="1-0",
        job_memory="16GB",
        job_cores=5,
        directives=("--qos=long", "-J mine", "--open-mode=truncate"),
        setup=("echo first", 'echo "second  one"'),
        log_dir=str(logs),
        more=("--force", "--gene", "a b"),
    )
    text = write_script("export-node", choices)
    asked = re.findall(r"^#SBATCH (.*)$", text, re.MULTILINE)
    for option in (
        *("--partition=long", "--account=lab", "--time=1-0", "--mem=15259M", "--cpus-per-task=5"),
        *("--qos=long", "-J mine", "--open-mode=truncate"),
        f'--output="{tmp_path}/my logs 5%%/%x-%j.log"',
    ):
        assert asked.count(option) == 1, option
    names = [re.split("[ =]", option)[0] for option in asked]
    assert len(names) == len(set(names))
    assert "--job-name" not in names
    path = tmp_path / "filled.sbatch"
    path.write_text(text)
    program = re.search("^CELLUCID_DASK=(.*) #", text, re.MULTILINE)
    assert program
    assert Path(program[1]).name == "cellucid-dask"
    path.write_text(text.replace(program[1], "cellucid-dask"))
    done = bash(path, "--more", cwd=tmp_path, fakes=fakes)
    assert done.code == 0, done
    assert done.out.startswith("first\nsecond  one\n")
    said = f"export|{data}|-o|{nasty}/out|--workers|3|--force|--gene|a b|--more|"
    assert f"cellucid-dask|{said}\n" in done.out


def test_options_without_a_choice_stay() -> None:
    for kind in KINDS:
        before, after = script(kind).read_text().splitlines(), write_script(kind, Choices())
        other = [line for line in after.splitlines() if line not in before]
        assert {line.split("=")[0] for line in other if not line.startswith("#")} <= {
            "CELLUCID_DASK",
            "PYTHON",
        }
        assert all("FILE" in line for line in other if line.startswith("#"))
        assert len(before) == len(after.splitlines())
    assert 'set -- "$@" --quiet\n' in write_script("export-node", Choices(more=("--quiet",)))


def test_exclusive_options_replace_each_other() -> None:
    choices = Choices(job_memory="8GiB", directives=("--mem-per-cpu=2G", "-t 9", "--gres=a:1"))
    asked = re.findall("^#SBATCH (.*)$", write_script("export-node", choices), re.MULTILINE)
    assert [option for option in asked if option.startswith("--mem")] == ["--mem-per-cpu=2G"]
    assert [option for option in asked if option.startswith(("-t", "--time"))] == ["-t 9"]
    assert "--gres=a:1" in asked


def test_a_value_with_spaces_is_quoted_for_sbatch() -> None:
    given = ("--comment=two words", "--qos long", "--qos=a --gres=b:1")
    text = write_script("export-node", Choices(directives=given[:2]))
    assert '\n#SBATCH --comment="two words"\n#SBATCH --qos long\n' in text
    text = write_script("export-node", Choices(directives=given[2:]))
    assert "\n#SBATCH --qos=a --gres=b:1\n" in text


def test_an_array_is_for_a_list_of_atlases(tmp_path: Path) -> None:
    """Of one export it would make many jobs for the same folder."""
    for line in ("--array=1-3", "-a 1-3"):
        for kind in KINDS:
            choices = Choices(directives=(line,))
            if kind == "export-array":
                assert f"\n#SBATCH {line}\n" in write_script(kind, choices)
                continue
            with pytest.raises(OptionError, match="use export-array"):
                write_script(kind, choices)


@pytest.mark.parametrize(
    ("size", "written"),
    [("16GB", "15259M"), ("16GiB", "16384M"), ("16G", "15259M"), ("1000.5MiB", "1001M")],
)
def test_sizes_are_written_in_mebibytes_rounded_up(size: str, written: str) -> None:
    assert f"#SBATCH --mem={written}\n" in write_script("serve-node", Choices(job_memory=size))


def test_nodes_and_network_and_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = Choices(nodes=3, workers=7, interface="ib0")
    text = write_script("export-nodes", choices)
    for line in ("#SBATCH --nodes=3", "#SBATCH --ntasks-per-node=7", f"PYTHON={sys.executable} "):
        assert f"\n{line}" in text
    assert "\nINTERFACE=ib0 #" in text
    listed = tmp_path / "list"
    listed.write_text(LIST.replace("y/three", "y/four"))
    with pytest.raises(OptionError, match=r"lines 1, 4, 5, 6, 7 name what is not there: one\.h5ad"):
        write_script("export-array", Choices(data=str(listed), out="out"))
    for path in read_atlases(str(listed)).values():
        (tmp_path / path).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    given = Choices(data=str(listed), out="out", log_dir=str(tmp_path))
    text = write_script("export-array", given)
    assert "\n#SBATCH --array=1-7\n" in text
    assert f"\nCATALOG_LOG={tmp_path}/cellucid-catalog-%j.log #" in text
    assert f"\nset -- {listed} {Path.cwd()}/out " in text


@pytest.mark.parametrize("time", ["5", "3:30", "0:02:30", "0-0:5", "1-0", "0", "2-1:2:3"])
def test_times_of_slurm(time: str) -> None:
    assert f"#SBATCH --time={time}\n" in write_script("export-node", Choices(time=time))


@pytest.mark.parametrize("time", ["2", "2:00", "0:1:59", "0-0:2", "1h", "", "-5", "1:2:3:4", "1-"])
def test_invalid_and_short_times_are_refused(time: str) -> None:
    with pytest.raises(OptionError) as refused:
        write_script("export-node", Choices(time=time))
    assert [problem.where for problem in refused.value.problems] == ["--time"]


def test_all_problems_of_choices_are_reported_together(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", tmp_path / "no", "--nodes", 0, "--time", "soon", "--job-memory", 0)
    logs = ("--log-dir", tmp_path / "logs", "--interface", "a b", "--slurm-directive", "qos")
    ended = here(capfd, "slurm-script", "export-node", *words, *logs, "--", "x")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: 11 problems\n")
    for told in (
        *("--nodes: export-node has no use", "--interface: export-node has no use"),
        *("--nodes: 0 is not positive", "--time: 'soon'", "--job-memory: '0'", "--out: is missing"),
        *("--interface: 'a b'", "--directive: 'qos'", "/no: there is no such file"),
        *("--log-dir: the folder", "--: 'x' is no option"),
    ):
        assert told in ended.err, told
    ended = here(capfd, "slurm-script", "export-nod", "--job-memory", "16")
    assert ended.code == 2
    assert "did you mean 'export-node'" in ended.err
    assert "it is 16 bytes" in ended.err
    ended = here(capfd, "slurm-script", "export-nodes", "--job-cores", 2)
    assert "use --workers" in ended.err


def test_lines_with_one_id_are_found_before_the_array_is_submitted(
    tmp_path: Path, fakes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By slurm-script, and by the script itself when it is no job; both know the same ids."""
    names = ["a b.h5ad", "# none", "x/a_b.zarr", "", "\u00e9.h5ad", "\u00e8.zarr.zip", "c.h5ad"]
    names += ["_C.", "d__e.h5ad", "d_e.zarr/", "f.h5ad\r", "  g.h5ad  ", "y/A b", "dir/f.zarr"]
    listed = tmp_path / "list"
    listed.write_bytes("\n".join(names).encode())
    for name in names:
        (tmp_path / name.strip()).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError) as refused:
        write_script("export-array", Choices(data=str(listed), out="out"))
    assert [problem.what for problem in refused.value.problems] == [
        "lines 1, 3, 13 would all get the id 'a_b'",
        "lines 5, 6 would all get the id 'field'",
        "lines 7, 8 would all get the id 'c'",
        "lines 11, 14 would all get the id 'f'",
    ]
    outside = {"cwd": tmp_path, "fakes": fakes, "SLURM_JOB_ID": ""}
    ended = bash(script("export-array"), "list", "out", **outside)
    assert (ended.code, ended.out) == (2, "")
    told = [line.split()[2:5:2] for line in ended.err.splitlines()]
    assert {int(line) for pair in told for line in pair} == {1, 3, 13, 5, 6, 7, 8, 11, 14}
    assert "error: lines 11 and 14 of list would both get the id f\n" in ended.err
    listed.write_text('a b.h5ad\n# a.h5ad\n\n d_e.zarr/\r\n"f.h5ad"\n')
    with pytest.raises(OptionError, match=r'line 5 names what is not there: "f\.h5ad"'):
        write_script("export-array", Choices(data="list", out="out"))
    ended = bash(script("export-array"), "list", "out", **outside)
    assert (ended.code, ended.err) == (2, 'error: line 5 of list: there is no "f.h5ad"\n')
    listed.write_text("a b.h5ad\n# a.h5ad\n\n d_e.zarr/\r\nf.h5ad\n")
    ended = bash(script("export-array"), "list", "out", **outside)
    assert ended.code == 0
    assert (
        ended.out
        == "all atlases of list are there: sbatch --array=1-5 export-array.sbatch list out\n"
    )


@pytest.mark.parametrize("text", ["", "\n# a\n  \n"])
def test_lists_without_an_atlas_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list").write_text(text)
    for data in ("list", "none"):
        with pytest.raises(OptionError, match=r"no atlas|no such list"):
            write_script("export-array", Choices(data=str(tmp_path / data), out="out"))


def test_setup_may_name_another_program(tmp_path: Path, fakes: Path) -> None:
    """As an image of Apptainer, which is one file, and not where slurm-script ran."""
    image = programs(tmp_path / "images", image=SAY) / "image"
    data = tmp_path / "x.h5ad"
    data.touch()
    setup = ("set_by_a_module=yes", f"CELLUCID_DASK={image}")
    choices = Choices(data=str(data), out=str(tmp_path / "out"), setup=setup)
    path = tmp_path / "filled.sbatch"
    path.write_text(write_script("export-node", choices))
    done = bash(path, cwd=tmp_path, fakes=fakes)
    assert done.code == 0, done
    assert f"image|export|{data}|-o|{tmp_path / 'out'}|--workers|3|\n" in done.out

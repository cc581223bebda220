"""What pages say is printed is what is printed: each is run from its first line to its last."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_pages import DOCS, NATIVE, agree, compare, read_steps, rewritten

ELSEWHERE = {"tutorials/hpc.md", "how-to/slurm.md"}  # beside the other tests that need a SLURM


def shows_output(path: Path) -> bool:
    """Whether a page shows what something prints, and can be run."""
    return any(step.printed is not None for step in read_steps(path.read_text("utf-8")))


PAGES = [
    path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md")) if shows_output(path)
]


@NATIVE
@pytest.mark.parametrize("page", sorted({*PAGES} - ELSEWHERE))
def test_a_page_shows_what_is_printed(
    page: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    compare(page, tmp_path / "ada", pytestconfig)


SHOWN = """
```console
$ cellucid-dask export a.h5ad \\
    -o out  # two lines
wrote /home/ada/out: 3 cells, 2 genes; 12 files, 1.2 kB
next: cellucid-dask serve out
$ ls
...
b
```

<!-- not run: it does not end -->

```python
sleep(1000)
```

```text
slept
```

<!-- run: touch a -->

```python
print(1)
```

```text
1
```
"""


def test_a_page_is_read_as_commands_and_what_they_print() -> None:
    steps = read_steps(SHOWN)
    assert [step.kind for step in steps] == ["console", "console", "shell", "python"]
    assert steps[0].code.splitlines() == [
        "cellucid-dask export a.h5ad \\",
        "    -o out  # two lines",
    ]
    assert [step.printed for step in steps[1:]] == [["...", "b"], None, ["1"]]


def test_every_command_that_a_page_shows_is_run() -> None:
    """What is left out are blocks of Python that print nothing."""
    left_out = re.compile(
        r"^<!-- not run: [^>]*-->\n\n```(console|python\n(?:(?!```).*\n)*```\n\n```text)",
        re.MULTILINE,
    )
    shown = [path.name for path in DOCS.rglob("*.md") if left_out.search(path.read_text("utf-8"))]
    assert not shown


def test_what_differs_from_run_to_run_is_no_difference() -> None:
    shown = read_steps(SHOWN)[0].printed
    assert shown is not None
    slow = "genes: 2 of 2 genes in 12.0 s"
    taken = "port 8765 is in use: using 8766"
    other = [slow, taken, shown[0].replace("1.2 kB", "31.0 MB"), shown[1]]
    assert agree(shown, other)
    assert agree([*shown, "seconds: genes 0.1; 0.2 in all"], [*other, "seconds: 7.0 in all"])
    assert not agree([slow, *shown], shown), "a line that is printed no more"
    assert not agree(shown, other[:-1])
    assert not agree(shown, [*other, "warning: new"])
    assert not agree(shown, [other[2].replace("2 genes", "3 genes"), other[3]])
    assert not agree(["PPBP 0.0 6.745"], ["PPBP 0.0 6.746"])
    assert agree(["...", "b"], ["a", "a", "b"])
    assert not agree(["...", "b"], ["b", "a"])


def test_a_page_gets_what_is_printed_now() -> None:
    steps = read_steps(SHOWN)
    wrote = "wrote /home/ada/out: 3 cells, 2 genes; 12 files, "
    now = ["genes: 2 of 2 genes in 12.0 s", f"{wrote}3 MB", "next: nothing"]
    answers = [(steps[0], now), (steps[1], ["a", "b"]), (steps[3], ["1"])]
    expected = SHOWN.replace("next: cellucid-dask serve out", "next: nothing")
    assert rewritten(SHOWN, answers) == expected
    with pytest.raises(ValueError, match="write this one yourself"):
        rewritten(SHOWN, [(steps[1], ["b", "a"])])

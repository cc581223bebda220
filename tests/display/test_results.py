"""Results, reports and servers as a line of text and as a table of HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cellucid_dask import AnnDataServer, CellucidServer, CheckResult, ExportResult, check, export
from cellucid_dask.display.results import MOST_LINES
from cellucid_dask.errors import Problem
from cellucid_dask.notebook.embedded_server import EmbeddedServer
from cellucid_dask.synthetic import AtlasSpec, make_anndata
from cellucid_dask.verify import VerifyReport, verify

HOSTILE = "a\"'><script>alert('x')</script>&amp;\n<img src=//evil.org/x>"


class Table(HTMLParser):
    """The one table of an output: its rows, and what it links to."""

    def __init__(self, shown: Any) -> None:
        super().__init__()
        self.title, self.links = "", []
        self._cells: list[str] = []
        self.feed(shown._repr_html_())
        self.close()
        self.rows = dict(zip(self._cells[::2], self._cells[1::2], strict=True))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag in {"table", "thead", "tbody", "tr", "th", "td", "br", "a"}, "of a name"
        names = {"a": {"href", "target", "rel"}, "th": {"style", "colspan"}}.get(tag, {"style"})
        assert dict(attrs).keys() <= names
        assert "color" not in dict(attrs).get("style", ""), "a notebook may be light or dark"
        if tag == "td":
            self._cells.append("")
        self.links += [dict(attrs)["href"]] if tag == "a" else []
        if tag == "br":
            self._cells[-1] += "\n"

    def handle_data(self, data: str) -> None:
        if self._cells:
            self._cells[-1] += data
        else:
            self.title += data


def line(shown: Any) -> str:
    """What a prompt shows."""
    text = repr(shown)
    assert "\n" not in text
    assert text.startswith(f"<{type(shown).__name__}")
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shown")


@pytest.fixture(scope="module")
def result(folder: Path) -> ExportResult:
    data = make_anndata(AtlasSpec(cells=60, genes=5))
    data.obs["odd"] = float("nan")
    return export(data, folder / "atlas", quiet=True, dataset_name=HOSTILE.replace("\n", ""))


def test_an_export_is_a_line_and_a_table(result: ExportResult, folder: Path) -> None:
    head = f"<ExportResult {str(folder / 'atlas')!r}: 60 cells, 5 genes, "
    assert line(result).startswith(head)
    assert line(result).endswith("; 1 warning>")
    table = Table(result)
    assert table.title == "Export"
    assert table.rows["outputs"] == f"folder: {folder / 'atlas'}"
    assert table.rows["warnings"] == result.warnings[0]
    assert table.rows["taken from"].splitlines() == result.discovered
    assert "done by an earlier run" not in table.rows
    planned = export(make_anndata(AtlasSpec(cells=60, genes=5)), folder / "b", dry_run=True)
    assert line(planned) == f"<ExportResult {str(folder / 'b')!r}: nothing was written>"
    assert Table(planned).rows["plan: runs on"] == planned.plan["runs on"]


def test_names_are_escaped_and_long_lists_are_cut() -> None:
    of_anyone = ExportResult(HOSTILE, {"folder": HOSTILE}, warnings=[HOSTILE] * 2, written=True)
    assert "script" in line(of_anyone)
    assert Table(of_anyone).rows["warnings"] == f"{HOSTILE}\n{HOSTILE}"
    problem = Problem(HOSTILE, HOSTILE, HOSTILE)
    found = CheckResult((problem,), (HOSTILE,), (HOSTILE,))
    assert line(found) == "<CheckResult: 1 problem, 1 warning>"
    assert Table(found).rows["problems"] == f"{HOSTILE}: {HOSTILE}\n    {HOSTILE}"
    report = VerifyReport((HOSTILE, *map(str, range(2000))), 3, 4000)
    assert line(report) == "<VerifyReport: 2,001 problems, 3 files, 4.0 kB>"
    last = Table(report).rows["problems"].splitlines()[-1]
    assert last == f"... and {2001 - MOST_LINES:,} more"


def test_what_is_right_is_short(result: ExportResult) -> None:
    found = check(make_anndata(AtlasSpec(cells=60, genes=5)))
    assert line(found) == "<CheckResult: can be exported, 0 warnings>"
    assert Table(found).rows == {"taken from": "\n".join(found.discovered)}
    report = verify(result.out)
    assert line(report).startswith(f"<VerifyReport: intact, {report.files} files, ")
    assert Table(report).title == "Verification: intact"


@pytest.mark.parametrize("token", [None, "a-secret-of-my-own"])
def test_a_server_links_to_its_page_unless_the_url_holds_a_secret(
    result: ExportResult, token: str | None
) -> None:
    server = CellucidServer(result.out, port=0, quiet=True, token=token)
    assert line(server) == f"<CellucidServer of {result.out!r}: not running>"
    assert list(Table(server).rows) == ["data", "state"]
    with server:
        assert line(server) == f"<CellucidServer of {result.out!r}: running on port {server.port}>"
        table = Table(server)
        assert table.rows["datasets"] == f"{HOSTILE.replace(chr(10), '')}, 60 cells"
        assert table.links == ([] if token else [server.viewer_url])
        assert "a-secret" not in line(server) + server._repr_html_()
        assert ("print(server.viewer_url)" in table.rows["page"]) == (token is not None)


def test_the_secret_path_of_a_view_is_not_shown() -> None:
    with EmbeddedServer(make_anndata(AtlasSpec(cells=20, genes=3))) as server:
        assert Table(server).links == []
        assert server.path.split("/")[0] not in line(server) + server._repr_html_()
        assert Table(server).rows["data"] == "data in memory"
    assert line(server) == "<EmbeddedServer of data in memory: not running>"
    assert list(Table(server).rows) == ["data", "state"]


def test_a_server_without_a_page_has_no_link() -> None:
    data = make_anndata(AtlasSpec(cells=20, genes=3))
    with AnnDataServer(data, port=0, quiet=True, viewer="none") as server:
        assert "page" not in Table(server).rows

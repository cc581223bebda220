"""`cellucid-dask preview` and `export --preview` on real exports: what is seen on the sheets."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import matplotlib as mpl
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from atlas import Outcome, here, leftovers, run, save, tree
from numpy.typing import NDArray

import cellucid_dask
from cellucid_dask import CellucidDaskError, export, preview
from cellucid_dask.previewer import colors
from cellucid_dask.previewer.canvas import place
from cellucid_dask.previewer.draw import SIDE
from cellucid_dask.previewer.open_export import open_export
from cellucid_dask.previewer.panels import Entry, Panel, make_panel
from cellucid_dask.previewer.sheet import GAP, Layout
from cellucid_dask.previewer.text_layout import Letters, number
from cellucid_dask.verify import verify

EACH = 60  # cells in each corner
CORNERS = ((-1, 1), (1, 1), (-1, -1), (1, -1))  # as one reads
HOW: dict[str, Any] = {"quiet": True, "workers": 1, "created_at": "2026-01-31T12:00:00Z"}
WHITE = (255, 255, 255)
Cli = Callable[..., Outcome]


def cornered(each: int = EACH, columns: dict[str, Any] | None = None) -> anndata.AnnData:
    """`each` cells at each corner, and columns that say which."""
    corner, n = np.repeat(np.arange(4), each), 4 * each
    within = np.tile(np.arange(each), 4)
    points = np.array(CORNERS, "f4")[corner]
    values = np.array([0, 1, 2, np.nan])[corner]
    table = {
        "corner": pd.Categorical.from_codes(np.array([2, 0, 1, -1])[corner], ["a_b", "$x$", "γδ"]),
        "value": values.astype("f4"),
        "mixed": np.where(within == 0, values, 0).astype("f4"),
        "few": pd.Categorical.from_codes(np.where(within % 9 < corner, -1, 1), ["no", "yes"]),
        **(columns or {}),
    }
    return anndata.AnnData(
        np.stack([values, corner == 1], axis=1).astype("f4"),
        obs=pd.DataFrame(table, index=[f"c{i}" for i in range(n)]),
        var=pd.DataFrame(index=["HLA/A", "corner"]),
        obsm={
            "X_umap_1d": points[:, :1],
            "X_umap_2d": points,
            "X_umap_3d": np.pad(points, ((0, 0), (0, 1))),
        },
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports ``q8``, ``q16`` and ``f32`` of the same atlas, the last of plain files."""
    folder = tmp_path_factory.mktemp("preview")
    labels = {
        "many": pd.Categorical([f"c{min(i, 70)}" for i in range(4 * EACH)]),
        "细胞": pd.Categorical(["神经元 \U0001f9e0", "B"] * (2 * EACH)),
        "long": pd.Categorical(["name " * 50, "$\\frac{$"] * (2 * EACH)),
        "nothing": np.full(4 * EACH, np.nan, "f4"),
        "same": np.full(4 * EACH, 7.25, "f4"),
    }
    data = save(cornered(columns=labels), folder / "a.h5ad")
    for name, bits in (("q8", 8), ("q16", 16), ("f32", None)):
        bits_of = {"var_quantization": bits, "obs_quantization": bits}
        export(data, folder / name, compression=6 if bits else 0, **bits_of, **HOW)
    return folder


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    return lambda *arguments: here(capfd, *arguments)


def pixels(path: Path) -> NDArray[np.uint8]:
    """(height, width, 3) of a sheet."""
    return np.round(255 * matplotlib.image.imread(path)[..., :3]).astype(np.uint8)


def corners(path: Path, index: int = 0, columns: int = 1) -> list[tuple[int, ...]]:
    """Colour at the four corners of a thumbnail, where the cells are."""
    x, y = Layout(columns, SIDE, SIDE).corner(index)
    near, far = 5, SIDE - 6  # the disc of a cell has a radius of 3, and stays within
    sheet = pixels(path)
    places = ((near, near), (near, far), (far, near), (far, far))
    return [tuple(map(int, sheet[y + row, x + column])) for row, column in places]


def made(folder: Path, key: str, rows: int = 16) -> Panel:
    """Thumbnail of a categorical column or a gene."""
    opened = open_export(folder)
    columns = [*opened.contents.categorical, *opened.contents.continuous]
    field = next(field for field in columns if field.key == key)
    return make_panel(opened, field, place(opened.points(2), SIDE, SIDE), rows)


def shade(index: int) -> tuple[int, ...]:
    return tuple(map(int, colors.category_shades(index + 1)[index]))


VALUES = colors.value_shades(255)
LOW, MIDDLE, HIGH = (tuple(map(int, VALUES[level])) for level in (0, 127, 254))

# ------------------------------------------------------------------- what is seen


@pytest.mark.parametrize("name", ["q8", "q16", "f32"])
def test_cells_have_the_colours_of_what_they_are(root: Path, tmp_path: Path, name: str) -> None:
    """Of a category, a value, a gene whose name is none of a file; grey where missing."""
    keys = ["obs:corner", "value", "HLA/A", "gene:corner"]
    path = preview(root / name, tmp_path / "a.png", keys, columns=1)
    assert corners(path, 0) == [shade(2), shade(0), shade(1), colors.MISSING]
    assert corners(path, 1) == [LOW, MIDDLE, HIGH, colors.MISSING]
    assert corners(path, 2) == [LOW, MIDDLE, HIGH, colors.MISSING]
    assert corners(path, 3) == [LOW, HIGH, LOW, LOW]
    assert verify(root / name).ok, "an export is only read"


def test_colours_of_the_file_come_first(tmp_path: Path) -> None:
    adata = cornered()
    adata.uns["corner_colors"] = ["#ff0000", "#00ff00", "#0000ff"]
    export(save(adata, tmp_path / "a.h5ad"), tmp_path / "out", **HOW)
    path = preview(tmp_path / "out", tmp_path / "a.png", ["obs:corner", "few"], columns=1)
    assert corners(path, 0) == [(0, 0, 255), (255, 0, 0), (0, 255, 0), colors.MISSING]
    assert corners(path, 1) == [shade(1)] * 4


def test_high_values_lie_on_top_and_missing_ones_beneath(root: Path, tmp_path: Path) -> None:
    """In each corner of `mixed` one cell of many is high; in `few` some have no category."""
    path = preview(root / "q8", tmp_path / "a.png", ["mixed", "few"], columns=1)
    assert corners(path, 0) == [LOW, MIDDLE, HIGH, LOW]
    assert corners(path, 1) == [shade(1)] * 4


def test_colours_are_those_of_the_page() -> None:
    """The tables of the viewer page, read from its scripts."""
    page = Path(cellucid_dask.__file__).parent / "server" / "page" / "color"
    table = (page / "palette.js").read_text().partition("const TABLE")[2].partition(";")[0]
    found = re.findall(r"\b[0-9a-f]{6}\b", table)
    assert " ".join(found) == colors.CATEGORIES
    maps = (page / "colormaps.js").read_text()
    viridis = maps.partition("viridis: ")[2].partition("cividis")[0]
    assert " ".join(re.findall(r"\b[0-9a-f]{6}\b", viridis)) == colors.VIRIDIS
    shades = colors.category_shades(65534)
    assert [bytes(row).hex() for row in shades[:40]] == found
    assert (shades[40:] == shades[:-40]).all(), "then they repeat"


def test_a_legend_names_the_largest_categories(root: Path, tmp_path: Path) -> None:
    """Their numbers of cells, how many more there are, and cells of none; as much as fits."""
    last, rest = 4 * EACH - 70, 70 - 14
    largest = shade(sorted(f"c{i}" for i in range(71)).index("c70"))
    entries = made(root / "q8", "many").entries
    assert entries[0] == Entry("c70", largest, last)
    assert [entry.cells for entry in entries] == [last, *[1] * 14, None]
    assert entries[-1].label == f"and {rest} more"
    assert len(made(root / "q8", "corner", rows=4).entries) == 4
    short = made(root / "q8", "corner", rows=3).entries
    assert [entry.label for entry in short] == ["a_b", "and 2 more", "missing"]
    few = made(root / "q8", "few")
    assert [entry.label for entry in few.entries] == ["yes", "missing"]
    assert few.note == "1 category"
    # And it is there: the swatch of the first line.
    path = preview(root / "q8", tmp_path / "a.png", "many")
    x, y = Layout(1, SIDE, SIDE).corner(0)
    assert tuple(pixels(path)[y + 10, x + SIDE + GAP + 5]) == largest


@pytest.mark.parametrize("name", ["q8", "q16", "f32"])
def test_a_scale_says_which_values_there_are(root: Path, name: str) -> None:
    """Also where all are the same, for which an export has another range, or there is none."""
    assert made(root / name, "value").span == pytest.approx((0, 2))
    assert made(root / name, "same").span == pytest.approx((7.25, 7.25))
    nothing = made(root / name, "nothing")
    assert nothing.span is None
    assert nothing.entries == (Entry("missing", colors.MISSING, 4 * EACH),)
    texts = [number(v) for v in (0, 2605, 0.0048424, -3.5, 1.23456e9, -3e-9)]
    assert texts == ["0", "2,605", "0.004842", "−3.5", "1.235e9", "−3.000e−9"]


def test_what_is_drawn_when_nothing_was_asked_for(root: Path, tmp_path: Path) -> None:
    """Columns of 2 to 50 categories, continuous ones, then those of more; two in a row."""
    path = preview(root / "q8", tmp_path / "a.png")
    assert pixels(path).shape[:2] == Layout(2, SIDE, SIDE).size(6)[::-1]
    assert corners(path, 0, columns=2) == [shade(2), shade(0), shade(1), colors.MISSING]
    assert corners(path, 4, columns=2) == [LOW, MIDDLE, HIGH, colors.MISSING]


def test_names_of_any_script_and_length(root: Path, tmp_path: Path) -> None:
    """They are cut, taken literally, and never a warning, which would be an error here."""
    path = preview(root / "q8", tmp_path / "a.png", ["细胞", "long"], columns=1)
    assert (pixels(path)[:, -20:] == 255).all(), "nothing reaches the edge"
    letters = Letters(["γ", "\x07\n\udc80", "\U0001f9e0", "$"])
    assert letters.shown("γ$\x07\n \udc80") == "γ$□ □"


def test_embeddings_in_1d_and_3d(root: Path, tmp_path: Path) -> None:
    """A strip from the lowest to the highest, and a view from one side."""
    line = pixels(preview(root / "q8", tmp_path / "1.png", "obs:corner", dimension=1))
    x, y = Layout(1, SIDE, 0).corner(0)
    left = {tuple(map(int, p)) for p in line[y + 5 : y + 140, x + 5]}
    right = {tuple(map(int, p)) for p in line[y + 5 : y + 140, x + SIDE - 6]}
    assert {shade(2), shade(1)} <= left
    assert shade(0) in right
    assert not {shade(2), shade(1)} & right
    solid = pixels(preview(root / "q8", tmp_path / "3.png", "obs:corner", dimension=3))
    seen = {tuple(map(int, p)) for p in solid[y : y + SIDE, x : x + SIDE].reshape(-1, 3)}
    assert {shade(0), shade(1), shade(2), colors.MISSING} <= seen


@pytest.mark.parametrize("case", ["one cell", "no columns", "no genes", "a label each", "3d"])
def test_unusual_exports(tmp_path: Path, case: str) -> None:
    data, how = cornered(1 if case == "a label each" else 3), dict(HOW)
    if case == "one cell":
        data = data[:1].copy()
    elif case == "no columns":
        data.obs = data.obs[[]]
    elif case == "no genes":
        how["expression"] = False
    elif case == "a label each":
        n = 60_000
        data = anndata.AnnData(
            obs=pd.DataFrame({"id": [f"{i}" for i in range(n)]}, index=[f"c{i}" for i in range(n)]),
            obsm={"X_umap_2d": np.tile(np.array(CORNERS, "f4"), (n // 4, 1))},
        )
        how["expression"] = False
    else:
        del data.obsm["X_umap_1d"], data.obsm["X_umap_2d"]
    export(data, tmp_path / "out", **how)
    sheet = pixels(preview(tmp_path / "out", tmp_path / "a.png"))
    x, y = Layout(1, SIDE, SIDE).corner(0)
    inside = sheet[y + 2 : y + SIDE - 2, x + 2 : x + SIDE - 2]
    assert (inside != 255).any(), "there are cells"
    if case == "one cell":
        assert tuple(inside[SIDE // 2 - 2, SIDE // 2 - 2]) == LOW
    if case == "no columns":
        assert tuple(sheet[y + 5, x + 5]) == colors.PLAIN


# ------------------------------------------------------------------- the file


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_the_same_export_gives_the_same_bytes(
    root: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the time, and what is set in matplotlib, which is as before afterwards."""
    one = preview(root / "q8", tmp_path / f"a.{ending}", ["value", "many"]).read_bytes()
    mine = {"text.usetex": True, "savefig.dpi": 30, "font.size": 30, "axes.facecolor": "red"}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")  # matplotlib takes it for the time
    with mpl.rc_context(mine):
        two = preview(root / "q8", tmp_path / f"b.{ending}", ["value", "many"]).read_bytes()
        assert mpl.rcParams["text.usetex"]
    assert one == two
    assert b"Software" not in one
    start = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    assert one.startswith(start[ending])


def test_the_command_says_what_it_wrote(
    root: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line; what had the name before is replaced, also behind a link."""
    monkeypatch.chdir(tmp_path)
    Path("kept.png").write_text("old")
    Path("q8-preview.png").symlink_to("kept.png")
    done = cli("preview", root / "q8", "--color", "value", "--color", "obs:corner")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(r"wrote q8-preview\.png: \S+ kB\n", done.out)
    assert corners(Path("kept.png"), 1, columns=2)[0] == shade(2)
    assert Path("q8-preview.png").is_symlink()
    assert leftovers(tmp_path) == []


def test_all_that_is_wrong_is_told_together(root: Path, tmp_path: Path, cli: Cli) -> None:
    before = tree(tmp_path)
    colours = ["corner", "VALUE", "valeu", "gene:HLA-A", "obs:Few", "value", "valeu"]
    given = [word for key in colours for word in ("--color", key)]
    rest = ("-o", tmp_path / "none" / "a.jpg", "--columns", 99, "--dimension", 7)
    done = cli("preview", root / "q8", *given, *rest)
    assert (done.code, done.out) == (2, "")
    for text in (
        "9 problems",
        "a.jpg' names no format of a preview\n    end it in .png, .pdf or .svg",
        "none' does not exist\n    make it first",
        "--columns: 99 is not a number of columns\n    use 1 to 8",
        "'corner' is an obs column and a gene\n    write 'obs:corner' or 'gene:corner'",
        "no obs column and no gene 'VALUE'\n    did you mean 'value'?",
        "no obs column and no gene 'valeu'\n    did you mean 'value'?",
        "there is no gene 'HLA-A'\n    did you mean 'HLA/A'?",
        "there is no obs column 'Few'\n    did you mean 'few'?",
        "there is no embedding in 7D\n    there are: 1, 2, 3",
    ):
        assert text in done.err
    assert tree(tmp_path) == before


def test_an_export_is_not_written_into(root: Path, tmp_path: Path, cli: Cli) -> None:
    """Also through a link, and not into another one either."""
    before = tree(root)
    link = tmp_path / "link"
    link.symlink_to(root / "q8")
    (tmp_path / "a.png").symlink_to(root / "q8" / "a.png")
    for name in ("q8/a.png", "q16/var/a.png", tmp_path / "link/obs/a.png", tmp_path / "a.png"):
        done = cli("preview", link, "-o", root / name)
        assert done.code == 2
        assert "lies in the export" in done.err
    assert tree(root) == before


def test_what_is_no_export_is_told_alone(root: Path, tmp_path: Path, cli: Cli) -> None:
    """A folder of exports may hold a sheet; names that no file system takes are no bug."""
    done = cli("preview", root, "-o", root / "a.png")
    assert (done.code, done.err.count("\n")) == (2, 2)
    assert f"error: {root}: is not an export" in done.err
    long = "x" * 300
    for words in ((long,), (root / "q8", "-o", tmp_path / f"{long}.png")):
        done = cli("preview", *words)
        assert done.code == 2
        assert done.err.endswith(": is longer than a path may be\n    name it shorter\n")
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("dataset_identity.json", None, "dataset_identity.json: is missing"),
        ("obs_manifest.json", b"{", "obs_manifest.json: is not strict JSON"),
        ("points_2d.bin", b"\0" * 8, "points_2d.bin: has 8 bytes, not 1920"),
        ("obs/corner.codes.u8", b"\7" * 240, "obs/corner.codes.u8: its crc32 is"),
        ("obs/value.values.f32", None, "obs/value.values.f32: is missing"),
    ],
)
def test_damage_is_told_with_the_file(
    root: Path, tmp_path: Path, cli: Cli, name: str, raw: bytes | None, told: str
) -> None:
    broken = shutil.copytree(root / "f32", tmp_path / "broken")
    (broken / name).unlink()
    if raw is not None:
        (broken / name).write_bytes(raw)
    done = cli("preview", broken, "-o", tmp_path / "a.png")
    assert done.code == 2
    assert f"{broken}: {told}" in done.err
    assert "'cellucid-dask verify' lists all" in done.err
    assert not (tmp_path / "a.png").exists()


def test_codes_of_no_category_are_damage(root: Path, tmp_path: Path) -> None:
    """Where there are no checksums, as in exports of others."""
    broken = shutil.copytree(root / "f32", tmp_path / "broken")
    (broken / "checksums.json").unlink()
    identity = json.loads((broken / "dataset_identity.json").read_text())
    identity["cellucid_data_version"] = "0.0.9"
    (broken / "dataset_identity.json").write_text(json.dumps(identity))
    (broken / "obs/corner.codes.u8").write_bytes(b"\7" * 4 * EACH)
    with pytest.raises(CellucidDaskError, match="has codes beyond its 3 categories"):
        preview(broken, tmp_path / "a.png", "obs:corner")
    assert preview(broken, tmp_path / "a.png", "value").is_file()


# ------------------------------------------------------------------- matplotlib


def test_without_matplotlib(
    root: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused with what to do, before anything else; by export together with the rest."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where there is none
    told = "a preview needs matplotlib, which is not installed\n    pip install matplotlib"
    done = cli("preview", root / "nowhere")
    assert (done.code, done.err) == (2, f"error: {told}\n")
    files = ("-o", tmp_path / "out", "--preview", tmp_path / "a.png")
    done = cli("export", root / "a.h5ad", *files, "--gene", "none")
    assert done.code == 2
    assert told in done.err
    assert "there is no gene 'none'" in done.err
    assert tree(tmp_path) == {}


def test_a_backend_that_matplotlib_does_not_know(root: Path, tmp_path: Path) -> None:
    """It refuses to be imported then."""
    done = run("preview", root / "q8", cwd=tmp_path, MPLBACKEND="none")
    assert done.code == 2
    assert "which cannot be imported (Key backend: 'none' is not a valid value" in done.err
    assert done.err.startswith("error: a preview needs matplotlib")


def test_where_no_font_cache_can_be_kept(root: Path, tmp_path: Path) -> None:
    """As on a compute node with a home that is read-only: not a word of it."""
    done = run("preview", root / "q8", cwd=tmp_path, MPLCONFIGDIR="/dev/null/none", HOME="/proc")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "q8-preview.png").is_file()


# ------------------------------------------------------------------- export --preview


def test_an_export_draws_its_preview(root: Path, tmp_path: Path, cli: Cli) -> None:
    """It is the one of the command, in the report and among what is printed."""
    sheet, report = tmp_path / "page.png", tmp_path / "r.json"
    options = ("--preview", sheet, "--report", report, "--created-at", HOW["created_at"])
    done = cli("export", root / "a.h5ad", "-o", tmp_path / "q8", *options)
    assert done.code == 0
    assert f"preview: {sheet}\n" in done.out
    told = json.loads(report.read_text())
    assert told["preview"] == str(sheet)
    assert "preview" in told["seconds"]
    assert sheet.read_bytes() == preview(root / "q8", tmp_path / "b.png").read_bytes()
    assert verify(tmp_path / "q8").ok


def test_a_preview_that_fails_does_not_fail_the_export(
    root: Path, tmp_path: Path, cli: Cli
) -> None:
    """Here its name is too long for a file system once it is being written."""
    sheet, report = tmp_path / f"{'x' * 250}.png", tmp_path / "r.json"
    options = ("--preview", sheet, "--report", report)
    done = cli("export", root / "a.h5ad", "-o", tmp_path / "out", *options)
    assert done.code == 0
    assert "warning: the preview was not drawn" in done.out
    assert "File name too long)); the export itself is complete" in done.out
    assert json.loads(report.read_text())["preview"] is None
    assert verify(tmp_path / "out").ok


def test_an_export_refuses_a_preview_it_could_not_write(
    root: Path, tmp_path: Path, cli: Cli
) -> None:
    """With all else that is wrong, before it begins; not within its own output either."""
    out = tmp_path / "out"
    where = {
        tmp_path / "a.gif": "--preview: '{0}' names no format of a preview",
        tmp_path / "none" / "a.png": "--preview: the folder '{0.parent}' does not exist",
    }
    for path, told in where.items():
        done = cli("export", root / "a.h5ad", "-o", out, "--preview", path, "--gene", "none")
        assert done.code == 2
        assert told.format(path) in done.err
        assert "there is no gene 'none'" in done.err
    out.mkdir()
    report = ("--report", out / "a.png")
    done = cli("export", root / "a.h5ad", "-o", out, "--preview", out / "a.png", *report)
    assert done.code == 2
    assert "--preview: is the file of --report as well" in done.err
    done = cli("export", root / "a.h5ad", "-o", out, "--preview", out / "a.png")
    assert f"--preview: '{out / 'a.png'}' is or lies in the output" in done.err
    assert tree(tmp_path) == {"out": "folder"}

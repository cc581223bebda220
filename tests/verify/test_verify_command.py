"""`cellucid-dask verify` on real exports: no change of a byte or a file goes unnoticed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from atlas import atlas as make_atlas
from atlas import command, here, run, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verifying import make_adata, reference, seal

from cellucid_dask import export
from cellucid_dask import format as fmt
from cellucid_dask.verify import VerifyReport, verify
from cellucid_dask.verify.source_data.anndata_file import open_source_data

EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KINDS = pytest.mark.parametrize("kind", ["plain", "gzip"])
HOW = {"quiet": True, "workers": 1, "created_at": "2026-01-31T12:00:00Z"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Atlas ``a.h5ad`` with exports of it, ``plain`` and ``gzip``."""
    folder = tmp_path_factory.mktemp("verify")
    data = save(make_atlas(genes=6), folder / "a.h5ad")
    export(data, folder / "plain", compression=0, **HOW)
    export(data, folder / "gzip", **HOW)
    return folder


def files_of(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


class Bench:
    """An export that is damaged and made whole again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good = {name: (folder / name).read_bytes() for name in files_of(folder)}
        self.names = sorted(self.good)

    def report(self, **changed: bytes | None) -> VerifyReport:
        """Verify with other bytes in some files, or without them; then put all of it back."""
        try:
            for name, raw in changed.items():
                if raw is None:
                    (self.folder / name).unlink()
                else:
                    (self.folder / name).write_bytes(raw)
            return verify(self.folder, workers=1)
        finally:
            for name in changed:
                if name in self.good:
                    (self.folder / name).write_bytes(self.good[name])
                else:
                    (self.folder / name).unlink()

    def notices(self, *names: str, **changed: bytes | None) -> VerifyReport:
        """Check that damage is told, with the name of each file, and not in a flood."""
        report = self.report(**changed)
        for name in names:
            assert any(name in problem for problem in report.problems), report.problems
        assert not report.ok
        assert all(problem.isprintable() for problem in report.problems)
        return report


@pytest.fixture(scope="module")
def benches(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bench]:
    copies = tmp_path_factory.mktemp("benches")
    return {
        kind: Bench(Path(shutil.copytree(root / kind, copies / kind))) for kind in ("plain", "gzip")
    }


@pytest.fixture
def bench(benches: dict[str, Bench], kind: str) -> Iterator[Bench]:
    yield benches[kind]
    assert verify(benches[kind].folder, workers=1).ok, "it was not made whole again"


# --------------------------------------------------------------------------- any damage


@KINDS
@EXAMPLES
@given(data=st.data())
def test_any_flipped_byte(bench: Bench, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(bench.names))
    raw = bytearray(bench.good[name])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    bench.notices(name, **{name: bytes(raw)})


@KINDS
@EXAMPLES
@given(data=st.data())
def test_any_cut_and_any_bytes_more(bench: Bench, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(bench.names))
    raw = bench.good[name]
    at = data.draw(st.integers(0, len(raw) - 1))
    more = data.draw(st.binary(min_size=1, max_size=3))
    bad = data.draw(
        st.sampled_from(
            [raw[:at], raw + more, raw[:at] + more + raw[at:], raw[:at] + raw[at + 1 :]]
        )
    )
    bench.notices(name, **{name: bad})


@KINDS
@EXAMPLES
@given(data=st.data())
def test_any_two_files_swapped(bench: Bench, data: st.DataObject) -> None:
    one, other = data.draw(st.lists(st.sampled_from(bench.names), min_size=2, max_size=2))
    first, second = bench.good[one], bench.good[other]
    if first != second:
        bench.notices(one, other, **{one: second, other: first})


@KINDS
def test_every_file_deleted_or_renamed(bench: Bench) -> None:
    for name in bench.names:
        report = bench.notices(name, **{name: None})
        assert report.problems == (f"{name}: is missing",)
        bench.notices(name, name + "2", **{name: None, name + "2": bench.good[name]})


@KINDS
@settings(EXAMPLES, max_examples=25)
@given(
    folder=st.sampled_from(["", "obs/", "var/", "connectivity/"]),
    name=st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
    ).filter(lambda name: name not in (".", "..")),
)
def test_any_file_added(bench: Bench, folder: str, name: str) -> None:
    assert folder + name not in bench.good
    assert len(bench.notices(folder, **{folder + name: b"x"}).problems) == 1


@KINDS
def test_a_blank_more_in_the_checksums(bench: Bench) -> None:
    spaced = bench.good[fmt.CHECKSUMS].replace(b": ", b":  ", 1)
    text = "checksums.json: is not byte for byte as export writes it"
    assert bench.report(**{fmt.CHECKSUMS: spaced}).problems == (text,)


@KINDS
@pytest.mark.parametrize("broken", fmt.MANIFESTS)
def test_files_of_a_broken_manifest_are_still_summed_up(bench: Bench, broken: str) -> None:
    gene = next(name for name in bench.names if name.startswith("var/"))
    cut = bench.good[gene][:-1]
    report = bench.report(**{broken: b"{", gene: cut, "new": b""})
    size = len(bench.good[gene])
    assert [p for p in report.problems if not p.startswith(broken)] == [
        "new: is not in checksums.json",
        f"{gene}: has {size - 1} bytes, not {size} as in checksums.json",
    ]
    assert [p.partition(":")[0] for p in report.problems[:2]] == [broken] * 2


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": []}',
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": {"a": 1}}',
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": {"a": [1, "x"]}}',
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": {"a": [true, "0"]}}',
        '{"_format": "checksums_v1", "algorithm": "crc32", "files": {"a": [-1, "0"]}}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_checksums_of_another_shape(benches: dict[str, Bench], text: str) -> None:
    report = benches["plain"].report(**{fmt.CHECKSUMS: text.encode("utf-8", "surrogateescape")})
    assert len(report.problems) == 1
    assert report.problems[0].startswith("checksums.json: is not strict JSON of the right shape")


def test_checksums_that_list_what_they_should_not(benches: dict[str, Bench]) -> None:
    bench = benches["plain"]
    sums = json.loads(bench.good[fmt.CHECKSUMS])
    for path in ("../a.h5ad", "/etc/passwd", "a\0b", "a\nb", "\ud800", fmt.CHECKSUMS):
        files = {**sums["files"], path: [1, "00000000"]}
        listed = {name: (size, int(crc, 16)) for name, (size, crc) in files.items()}
        raw = fmt.dumps(fmt.checksums(listed)).encode()
        (problem,) = bench.report(**{fmt.CHECKSUMS: raw}).problems
        assert problem.endswith(("is missing", "lists itself"))
        assert problem.isprintable()


# --------------------------------------------------------------------------- odd things


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def make_socket(path: Path) -> None:
    here, inside = Path.cwd(), socket.socket(socket.AF_UNIX)
    os.chdir(path.parent)  # a long path is none for a socket
    try:
        inside.bind(path.name)
    finally:
        inside.close()
        os.chdir(here)


@pytest.mark.parametrize(
    "name", ["points_2d.bin", fmt.CHECKSUMS, *fmt.MANIFESTS, "var/Gene1.values.u8"]
)
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (link, "is a symbolic link"),
        (instead(lambda path: path.symlink_to("nowhere")), "is a symbolic link"),
        (instead(lambda path: path.symlink_to(path.name)), "is a symbolic link"),
        (instead(Path.mkdir), "is a folder"),
        (instead(os.mkfifo), "is a named pipe"),
        (instead(make_socket), "is a socket"),
    ],
)
def test_what_is_no_file(
    root: Path, tmp_path: Path, name: str, change: Callable[[Path], None], text: str
) -> None:
    folder = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    change(folder / name)
    report = verify(folder, workers=1)
    assert any(p.startswith(f"{name}: {text}") for p in report.problems), report.problems
    assert len(report.problems) <= 3, report.problems


def test_folders(root: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    (folder / "vectors").mkdir()
    assert verify(folder).ok, "an export in the making has empty folders"
    (folder / "more/inner").mkdir(parents=True)
    assert verify(folder).problems == ("more/inner: is not a folder of an export",)
    (folder / "more/inner/file").touch()
    assert verify(folder).problems == ("more/inner/file: is not a file of an export",)
    shutil.rmtree(folder / "more")
    (folder / "obs").rename(tmp_path / "obs")
    (folder / "obs").symlink_to(tmp_path / "obs")
    assert verify(folder).problems == ("obs: is a symbolic link",)


def test_names_that_are_no_text(root: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    for name in (b"\xff\xfe", b"two\nlines", "é\u202e".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).touch()
    assert sorted(verify(folder).problems) == [
        "\\udcff\\udcfe: is not a file of an export",
        "two\\nlines: is not a file of an export",
        "é\\u202e: is not a file of an export",
    ]


def test_unreadable_files_and_folders(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a patch, since root may read everything."""
    read, scan = Path.read_bytes, os.scandir

    def refusing_read(path: Path) -> bytes:
        if path.name == "points_2d.bin":
            raise PermissionError(13, "Permission denied")
        return read(path)

    def refusing_scan(path: Path) -> Any:
        if Path(path).name == "connectivity":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(Path, "read_bytes", refusing_read)
    monkeypatch.setattr(os, "scandir", refusing_scan)
    assert verify(root / "plain").problems == (
        "connectivity: cannot be listed (Permission denied)",
        "points_2d.bin: cannot be read (Permission denied)",
    )


@pytest.mark.parametrize(("mode", "word"), [(0o444, "read"), (0, "listed")])
def test_folders_of_another_user(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, word: str
) -> None:
    """One may list a folder and not search it; what is in there is not said to be missing."""
    bad = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    verify(bad, workers=1)  # all is imported now
    genes = [name for name in files_of(bad) if name.startswith("var/")]
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above are closed to others
    report = _verified_without(bad / "var", mode)
    refused = {f"{name}: cannot be read (Permission denied)" for name in genes}
    closed = {"var: cannot be listed (Permission denied)"} if word == "listed" else set()
    assert set(report.problems) == refused | closed
    (bad / fmt.VAR_MANIFEST).write_text("{")
    report = _verified_without(bad / "var", mode)
    assert refused <= set(report.problems)
    assert not any("is missing" in problem for problem in report.problems)


def _verified_without(folder: Path, mode: int) -> VerifyReport:
    """Verify the export of a folder that has the permissions `mode`, as one who is not root."""
    folder.chmod(mode)
    user = os.geteuid()
    try:
        if not user:
            os.seteuid(65534)
        return verify(folder.parent.name, workers=1)
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


# --------------------------------------------------------------------------- workers


@pytest.mark.parametrize("against", [False, True])
def test_the_report_does_not_depend_on_workers(root: Path, tmp_path: Path, against: bool) -> None:
    folder = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    for name in files_of(folder)[::2]:
        raw = bytearray((folder / name).read_bytes())
        raw[len(raw) // 2] ^= 1
        (folder / name).write_bytes(raw)
    data = root / "a.h5ad" if against else None
    one, *others = (verify(folder, data, workers=n) for n in (1, 2, 3, 16, None))
    assert len(one.problems) > 5
    assert all(other == one for other in others)


def test_each_file_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: seen.append(path.name) or read(path))
    report = verify(root / "gzip", root / "a.h5ad")
    assert report.ok
    assert sorted(seen) == sorted(Path(name).name for name in files_of(root / "gzip"))


# --------------------------------------------------------------------------- the command


@KINDS
def test_whole_exports(capfd: Any, root: Path, kind: str) -> None:
    done = here(capfd, "verify", root / kind, "--quiet")
    assert (done.code, done.err) == (0, "")
    size = sum((root / kind / name).stat().st_size for name in files_of(root / kind))
    assert done.out == f"{root / kind} is intact: 18 files, {size / 1000:.1f} kB\n"
    done = here(capfd, "verify", root / kind, "--against", root / "a.h5ad", "--workers", 2)
    assert done.code == 0
    assert f"6 genes compared with {root / 'a.h5ad'}, largest error " in done.out
    assert "genes: 6 of 6 genes in" in done.err


def test_many_genes_that_differ_are_counted(capfd: Any, tmp_path: Path) -> None:
    adata = make_atlas(genes=30)
    data = save(adata, tmp_path / "a.h5ad")
    export(data, tmp_path / "out", **HOW)
    adata.X = adata.X * 2
    other = save(adata, tmp_path / "b.h5ad")
    gene = tmp_path / "out/var/Gene29.values.u8.gz"
    gene.write_bytes(gene.read_bytes()[:-1] + b"?")
    damage = verify(tmp_path / "out").problems
    assert len(damage) == 1
    reports = [verify(tmp_path / "out", other, workers=n) for n in (1, 4)]
    assert reports[0] == reports[1]
    differ = [line for line in reports[0].problems if line not in damage]
    assert set(damage) < set(reports[0].problems)
    assert len(differ) == 21
    assert differ[-1] == "... and 9 more genes differ; is it the right data, layer or raw=True?"
    done = here(capfd, "verify", tmp_path / "out", "--against", other, "--json", "-q")
    told = [line.replace("--layer or --raw", "layer or raw=True") for line in
            json.loads(done.out)["problems"]]  # fmt: skip
    assert told == list(reports[0].problems)
    assert "--layer or --raw?" in done.out


def test_quantiles_that_are_not_compared_are_told(capfd: Any, tmp_path: Path) -> None:
    adata = make_adata()
    data, folder = save(adata, tmp_path / "a.h5ad"), tmp_path / "reference"
    reference(adata, folder, 8, None)
    done = here(capfd, "verify", folder, "--against", data, "-q")
    lines = done.out.splitlines()
    assert (done.code, len(lines)) == (0, 2)
    assert lines[0] == (
        "  not compared: outlier quantiles of 3 columns: obsm has no 'latent_space';"
        " name the latent space with --latent-key"
    )
    arguments = ("verify", folder, "--against", data, "--latent-key", "X_pca", "-q")
    done = here(capfd, *arguments)
    assert (done.code, len(done.out.splitlines())) == (0, 1)
    done = here(capfd, *arguments[:-2], "X_umap_3d", "--json", "-q")
    assert done.code == 1
    found = json.loads(done.out)
    assert found["not_compared"] == []
    assert (
        sum("quantiles are not those of obsm['X_umap_3d']" in line for line in found["problems"])
        == 3
    )
    assert here(capfd, *arguments[:-2], "X_none").code == 2
    assert verify(folder).not_compared == ()


def test_problems_one_a_line(capfd: Any, root: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    (folder / "var/Gene1.values.u8").unlink()
    done = here(capfd, "verify", folder, "-q")
    assert (done.code, done.err) == (1, "")
    assert done.out == (f"  var/Gene1.values.u8: is missing\n{folder} is damaged: 1 problem\n")
    (folder / "var/Gene2.values.u8").unlink()
    assert f"{folder} is damaged: 2 problems" in here(capfd, "verify", folder).out


def test_json(capfd: Any, root: Path, tmp_path: Path) -> None:
    data = root / "a.h5ad"
    done = here(capfd, "verify", root / "gzip", "--against", data, "--sample", 4, "--json")
    found = json.loads(done.out)
    assert done.code == 0
    assert 0.5 < found.pop("largest_error") <= 1.02
    assert found == {
        "export": str(root / "gzip"),
        "against": str(data),
        "ok": True,
        "problems": [],
        "files": 18,
        "bytes": sum((root / "gzip" / name).stat().st_size for name in files_of(root / "gzip")),
        "genes_compared": 4,
        "not_compared": [],
    }
    folder = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()
    done = here(capfd, "verify", folder, "--json", "-q")
    assert (done.code, done.err) == (1, "")
    assert json.loads(done.out)["problems"] == ["\\udcff: is not a file of an export"]
    assert json.loads(done.out)["against"] is None


def test_exports_of_the_reference(capfd: Any, tmp_path: Path) -> None:
    adata = make_adata()
    data, folder = save(adata, tmp_path / "a.h5ad"), tmp_path / "reference"
    reference(adata, folder, 8, 6)
    done = here(capfd, "verify", folder, "--against", data, "-q")
    assert (done.code, "is intact" in done.out) == (0, True)
    (folder / "var_manifest.json").unlink()
    assert here(capfd, "verify", folder, "-q").code == 1


def test_what_was_taken_from_elsewhere(capfd: Any, root: Path, tmp_path: Path) -> None:
    adata = make_atlas(genes=6)
    adata.layers["counts"] = adata.X * 2
    adata.raw = make_atlas(genes=6, seed=5)
    adata.obsm["X_tsne"] = adata.obsm["X_umap_2d"][::-1].copy()
    adata.obsp["other"] = adata.obsp["connectivities"][::-1].copy()
    data = save(adata, tmp_path / "a.h5ad")
    more = {"embeddings": {2: "X_tsne"}, "graph": "other"}
    given = ["--embedding", "2d=X_tsne", "--graph", "other"]
    for options, words in (
        ({"layer": "counts"}, ["--layer", "counts"]),
        ({"raw": True}, ["--raw"]),
    ):
        folder = tmp_path / words[0]
        export(data, folder, **options, **more, **HOW)
        assert here(capfd, "verify", folder, "--against", data, *given, *words).code == 0
        assert here(capfd, "verify", folder, "--against", data, *given).code == 1
        assert here(capfd, "verify", folder, "--against", data, *words, *given[:2]).code == 1
        told = here(capfd, "verify", folder, "--against", data, *words, *given[2:])
        assert told.code == 1
        assert "name the key of the embedding with --embedding 2d=KEY" in told.out


def test_refusals(capfd: Any, root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.h5ad").write_text("text")
    plain = root / "plain"
    for arguments, text in (
        ([tmp_path / "nothing"], "is not a folder"),
        ([root / "a.h5ad"], "is not a folder"),
        ([tmp_path / "empty"], "is not an export: it has no dataset_identity.json"),
        ([root], f"name the folder of one export, such as {root / 'gzip'}"),
        ([plain, "--against", tmp_path / "nothing"], "does not exist"),
        ([plain, "--against", tmp_path / "text.h5ad"], "cannot be read as an AnnData"),
        ([plain, "--sample", "2"], "name the data with --against"),
        ([plain, "--sample", "-1"], "--sample"),
        ([plain, "--workers", "0"], "--workers"),
        ([plain, "--against", root / "a.h5ad", "--embedding", "X"], "write 2d=KEY"),
        ([plain, "--against", root / "a.h5ad", "--embedding", "2d=X"], "there is no obsm['X']"),
        ([plain, "--against", root / "a.h5ad", "--layer", "X"], "there is no layer 'X'"),
        ([plain, "--against", root / "a.h5ad", "--raw"], "there is no raw"),
    ):
        done = here(capfd, "verify", *arguments, "--json", "-q")
        assert (done.code, done.out) == (2, ""), arguments
        assert text in done.err, arguments
        assert "Traceback" not in done.err


def test_an_export_without_its_identity_is_not_whole(
    capfd: Any, root: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    (folder / fmt.IDENTITY).unlink()
    done = here(capfd, "verify", folder, "-q")
    assert (done.code, done.out.splitlines()[:-1]) == (1, [f"  {fmt.IDENTITY}: is missing"])


def test_data_that_is_damaged_in_the_middle(capfd: Any, root: Path, tmp_path: Path) -> None:
    data = tmp_path / "a.h5ad"
    save(make_atlas(genes=6), data, compression="gzip")
    with h5py.File(data) as file:
        stored = file["X/data"].id.get_chunk_info(0)
    with data.open("r+b") as raw:
        raw.seek(stored.byte_offset + stored.size // 3)
        raw.write(b"\xff\x00\xff" * (stored.size // 9))
    done = here(capfd, "verify", root / "plain", "--against", data, "-q")
    assert done.code == 2
    assert done.err.startswith(f"error: {data}: gene 'Gene0' cannot be read (")


@pytest.mark.parametrize(("damage", "code"), [(False, 0), (True, 1)])
def test_head_may_close_the_pipe(root: Path, tmp_path: Path, damage: bool, code: int) -> None:
    """The exit code still tells whether the export is whole."""
    folder = Path(shutil.copytree(root / "plain", tmp_path / "copy"))
    for i in range(500 * damage):
        (folder / f"{'long' * 50}{i}").touch()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command("verify", folder, "-q"), stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (code, b"")


def test_memory_of_a_csr_matrix_is_bounded_and_passes_are_few(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_source_data(root / "a.h5ad") as data:
        kind = type(data.matrices["X"])
    entries = make_atlas(genes=6).X.nnz
    rows: list[int] = []
    get = kind.__getitem__

    def counting(self: Any, index: Any) -> Any:
        found = get(self, index)
        rows.append(found.shape[0])
        return found

    monkeypatch.setattr(kind, "__getitem__", counting)
    where = "cellucid_dask.verify.source_data.gene_columns."
    monkeypatch.setattr(where + "_BAND_BYTES", 8 * entries // 5)
    for held, passes in ((entries, {1}), (entries // 2 + 1, {1 + 2, 1 + 3}), (1, {1 + 6})):
        rows.clear()
        monkeypatch.setattr(where + "_RUN_BYTES", 8 * held)
        assert verify(root / "plain", root / "a.h5ad").problems == ()
        assert sum(rows) / 60 in passes
        assert max(rows) <= 12


def test_edges_are_checked_across_the_seams_of_slices(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellucid_dask.verify.export_folder.edges.EDGES_PER_PIECE", 7)
    folder = Path(shutil.copytree(root / "plain", tmp_path / "bad"))
    assert verify(folder).ok
    for first in range(5, 9):
        for name in ("src", "dst"):
            path = folder / f"connectivity/edges.{name}.bin"
            values = np.fromfile(root / "plain" / path.relative_to(folder), "<u2")
            values[first + 1] = values[first]
            values.tofile(path)
        assert "connectivity: edges are not sorted and unique" in verify(seal(folder)).problems


# ------------------------------------------------------------------------- export --verify

SPOIL = """
import sys
from pathlib import Path
def hook(event, arguments):
    if event == "import" and arguments[0] == "cellucid_dask.verify":
        (path,) = Path(".out.cellucid-staging").glob("export-*/var/Gene3.values.u8.gz")
        path.write_bytes(path.read_bytes()[:-1] + b"?")
sys.addaudithook(hook)
from cellucid_dask.__main__ import main
main()
"""


def test_an_export_that_is_damaged_before_it_is_published(tmp_path: Path) -> None:
    """It is not published; the report says why, and the same command makes it whole."""
    save(make_atlas(), tmp_path / "a.h5ad")
    arguments = ["a.h5ad", "-o", "out", "--verify", "--workers", "1"]
    ended = subprocess.run(
        [sys.executable, "-c", SPOIL, "export", *arguments, "--report", "r.json"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1, ended.stderr
    assert "var/Gene3.values.u8.gz" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
    report = json.loads((tmp_path / "r.json").read_text())
    assert not report["written"]
    assert not report["verified"]["ok"]
    assert any("Gene3" in problem for problem in report["verified"]["problems"])
    again = run("export", *arguments, "--report", "r.json", cwd=tmp_path)
    assert again.code == 0, again.err
    assert "11 of 12 genes" in again.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["written"]
    assert report["verified"]["ok"]
    assert report["verified"]["files"] == report["files"]

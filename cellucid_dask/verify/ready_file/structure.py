"""The structure of a ready file: which elements it has, and how each of them is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cellucid_dask.verify.export_folder.files import DamagedError
from cellucid_dask.verify.ready_file.contents import ReadyContents, StoredColumn, StoredSparse
from cellucid_dask.verify.ready_file.contract import Role
from cellucid_dask.verify.ready_file.names import find_bad_keys
from cellucid_dask.verify.ready_file.node_reader import NodeReader, encoding, format_shape
from cellucid_dask.verify.ready_file.stored import TEXT, StoredArray, StoredGroup, StoredTree

_FLOATS: Final = ("<f4", "<f8")
_INTEGERS: Final = ("|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8")
_NUMBERS: Final = (*_INTEGERS, "<f2", "<f4", "<f8")
_POINTERS: Final = ("<i4", "<i8")
_INDEX: Final = "_index"
_LONG: Final = 1 << 31  # from where on indices and pointers have eight bytes
_KINDS: Final = ("array", "string-array")


class StructureReader(NodeReader):
    """Reads the structure of a file into `contents`, and its problems into `problems`."""

    def __init__(self, tree: StoredTree) -> None:
        super().__init__(tree)
        self.contents = ReadyContents()

    def read(self) -> ReadyContents:
        """Read all elements."""
        self.take_group("", encoding("anndata", "0.1.0"))
        contents = self.contents
        contents.gene_names, contents.n_genes, contents.var = self._read_table("var")
        contents.cell_names, contents.n_cells, contents.obs = self._read_table("obs")
        self._read_obsm()
        for name in ("varm", "varp", "layers"):
            self.take_dict(name)
        if self.take_dict("obsp") and "obsp/connectivities" in self.tree.nodes:
            n = contents.n_cells
            contents.graph = self._read_sparse("obsp/connectivities", "csr_matrix", (n, n))
        if "X" in self.tree.nodes:
            contents.x = self._read_x()
        elif contents.n_genes > 0:
            self.problems.append("X: is missing, and var has genes")
        self._read_uns()
        self.problems += self.find_unknown()
        return contents

    # ---------------------------------------------------------------------- elements

    def _read_table(self, path: str) -> tuple[StoredArray | None, int, dict[str, StoredColumn]]:
        group = self.take_group(path, {**encoding("dataframe"), "_index": _INDEX}, open_=True)
        if group is None:
            self.skip(path)
            return None, -1, {}
        order = group.attributes.get("column-order")
        if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
            self.problems.append(f"{path}: has no column-order")
            order = [name for name in self.tree.names(path) if name != _INDEX]
        if extra := set(group.attributes) - {*encoding(""), "_index", "column-order"}:
            self.problems.append(f"{path}: has the attributes {sorted(extra)}")
        names = self.take_array(f"{path}/{_INDEX}", "whole", None, (TEXT,), "string-array")
        n = names.shape[0] if names is not None else self._first_length(path, order)
        self.problems += find_bad_keys(path, [*order, _INDEX])
        if len(set(order)) < len(order):
            self.problems.append(f"{path}: column-order names a column twice")
        columns = {name: self._read_column(f"{path}/{name}", n) for name in dict.fromkeys(order)}
        return names, n, {name: column for name, column in columns.items() if column is not None}

    def _first_length(self, path: str, order: Sequence[str]) -> int:
        nodes = (self.tree.nodes.get(f"{path}/{name}") for name in order)
        return next((n.shape[0] for n in nodes if isinstance(n, StoredArray) and n.shape), -1)

    def _read_column(self, path: str, n: int) -> StoredColumn | None:
        node = self.tree.nodes.get(path)
        if isinstance(node, StoredArray):
            is_text = node.dtype == TEXT
            kind = "string-array" if is_text else "array"
            dtypes: tuple[str, ...] = (TEXT,) if is_text else (*_NUMBERS, "|b1")
            array = self.take_array(path, "whole", n, dtypes, kind)
            return StoredColumn(path, kind, array) if array is not None else None
        kind = node.attributes.get("encoding-type", "") if node is not None else ""
        if node is not None and kind == "categorical":
            return self._read_categorical(path, n, node)
        if kind in ("nullable-integer", "nullable-boolean"):
            self.take_group(path, encoding(kind, "0.1.0"))
            dtypes = _INTEGERS if kind == "nullable-integer" else ("|b1",)
            values = self.take_array(f"{path}/values", "whole", n, dtypes, "array")
            mask = self.take_array(f"{path}/mask", "whole", n, ("|b1",), "array")
            if values is not None and mask is not None:
                return StoredColumn(path, kind, values, mask)
            return None
        what = "is missing" if node is None else f"has the encoding {kind!r}"
        self.problems.append(f"{path}: {what}")
        self.skip(path)
        return None

    def _read_categorical(self, path: str, n: int, node: StoredGroup) -> StoredColumn | None:
        ordered = node.attributes.get("ordered")
        if not isinstance(ordered, bool):
            self.problems.append(f"{path}: does not say whether it is ordered")
        self.take_group(path, {**encoding("categorical"), "ordered": ordered})
        codes = self.take_array(f"{path}/codes", "whole", n, ("|i1", "<i2", "<i4"), "array")
        categories = self._list(f"{path}/categories", (*_NUMBERS, "|b1"))
        if codes is None or categories is None:
            return None
        return StoredColumn(path, "categorical", codes, categories, ordered=bool(ordered))

    def _list(self, path: str, dtypes: tuple[str, ...]) -> StoredArray | None:
        """An array of any length, of text or of numbers."""
        node = self.tree.nodes.get(path)
        is_text = isinstance(node, StoredArray) and node.dtype == TEXT
        return self.take_array(path, "whole", None, (TEXT, *dtypes), _KINDS[is_text])

    def _read_obsm(self) -> None:
        if not self.take_dict("obsm"):
            return
        names = self.tree.names("obsm")
        self.problems += find_bad_keys("obsm", names)
        if not names:
            self.problems.append("obsm: is empty, so that there is nothing to show")
        for name in names:
            array = self.take_array(f"obsm/{name}", "rows", None, ("<f4",), "array", n_axes=2)
            if array is None:
                continue
            if array.shape[0] != self.contents.n_cells:
                self.problems.append(
                    f"{array.path}: has {array.shape[0]} rows, not {self.contents.n_cells}"
                )
            else:
                self.contents.obsm[name] = array

    def _read_x(self) -> StoredSparse | StoredArray | None:
        shape = (self.contents.n_cells, self.contents.n_genes)
        node = self.tree.nodes["X"]
        if isinstance(node, StoredGroup):
            return self._read_sparse("X", "csc_matrix", shape)
        array = self.take_array("X", "dense", None, _FLOATS, "array", n_axes=2)
        if array is not None and array.shape != shape:
            self.problems.append(f"X: is {format_shape(array.shape)}, not {format_shape(shape)}")
            return None
        return array

    def _read_sparse(self, path: str, kind: str, shape: tuple[int, int]) -> StoredSparse | None:
        self.take_group(path, {**encoding(kind, "0.1.0"), "shape": list(shape)})
        is_x = path == "X"
        n_major, n_minor = shape[::-1] if is_x else shape
        data = self.take_array(
            f"{path}/data", "values" if is_x else "whole", None, _FLOATS if is_x else ("<f4",)
        )
        nnz = data.shape[0] if data is not None else None
        long = _POINTERS[(nnz or 0) >= _LONG], _POINTERS[n_minor >= _LONG]
        role: Role = "slices" if is_x else "whole"
        indices = self.take_array(f"{path}/indices", role, nnz, (long[1],))
        indptr = self.take_array(f"{path}/indptr", "whole", n_major + 1, (long[0],))
        if data is None or indices is None or indptr is None:
            return None
        return StoredSparse(path, shape, data, indices, indptr)

    # --------------------------------------------------------------------------- uns

    def _read_uns(self) -> None:
        record = self._read_value("uns")
        if not isinstance(record, dict):
            return
        self.contents.record = record

    def _read_value(self, path: str) -> Any:
        """Read a dict, text, number or list of uns; outlier quantiles stay where they are."""
        node = self.tree.nodes.get(path)
        if isinstance(node, StoredGroup):
            self.take_dict(path)
            if path == "uns/cellucid/outlierQuantiles/fields":
                self._read_quantiles(path)
                return {}
            names = self.tree.names(path)
            return {name: self._read_value(f"{path}/{name}") for name in names}
        if node is None:
            self.problems.append(f"{path}: is missing")
            return None
        if node.shape:
            array = self._list(path, ("<i8",))
            return None if array is None else self._values(array)
        kind = "string" if node.dtype == TEXT else "numeric-scalar"
        array = self.take_array(path, "scalar", None, (TEXT, "<i8", "|b1"), kind, n_axes=0)
        return None if array is None else self._values(array)

    def _values(self, array: StoredArray) -> Any:
        try:
            return array.read().tolist()
        except DamagedError as damage:
            self.problems.append(str(damage))
            return None

    def _read_quantiles(self, path: str) -> None:
        for name in self.tree.names(path):
            n = self.contents.n_cells
            array = self.take_array(f"{path}/{name}", "whole", n, ("<f4",), "array")
            if array is not None:
                self.contents.quantiles[name] = array

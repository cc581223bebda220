"""The documents of a store say what zarr-python says of the same store."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from numcodecs import Shuffle, VLenUTF8, Zlib
from packs import cut
from ready_data import annotated_data, stored
from zarr.codecs import BloscCodec, GzipCodec
from zarr.core.dtype import VariableLengthUTF8

from cellucid_dask.ready.nodes import ArrayNode, GroupNode, Node
from cellucid_dask.ready.shards import is_sharded, shard_node
from cellucid_dask.ready.zarr_documents import write_zarr_documents, zarr_documents


def write_with_zarr(folder: Path, nodes: list[Node], zarr_format: Any, *, sharded: bool) -> None:
    root = zarr.open_group(folder, mode="w", zarr_format=zarr_format)
    for node in nodes:
        made: Any = root
        if isinstance(node, ArrayNode):
            shards = shard_node(node).chunks if sharded and is_sharded(node) else None
            made = root.create_array(
                node.path,
                shape=node.shape,
                dtype=VariableLengthUTF8() if node.is_text else node.dtype,
                chunks=node.chunks,
                shards=shards,
                fill_value="" if node.is_text else 0,
                **(codecs_2(node) if zarr_format == 2 else codecs_3(node)),
            )
        elif node.path:
            made = root.create_group(node.path)
        made.attrs.update(node.attributes)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(root.store)


def codecs_2(node: ArrayNode) -> dict[str, Any]:
    text, shuffled = [VLenUTF8()], [Shuffle(node.itemsize)]
    filters = text if node.is_text else shuffled if node.is_shuffled else None
    return {"filters": filters, "compressors": Zlib(6)}


def codecs_3(node: ArrayNode) -> dict[str, Any]:
    blosc = BloscCodec(
        typesize=node.itemsize, cname="zlib", clevel=6, shuffle="shuffle", blocksize=0
    )
    return {"compressors": blosc if node.is_shuffled else GzipCodec(level=6)}


def parsed(folder: Path) -> dict[str, Any]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            document = json.loads(path.read_bytes())
            if document.get("consolidated_metadata", "") is None:  # zarr 3.1.3 says null
                del document["consolidated_metadata"]
            found[path.relative_to(folder).as_posix()] = document
    return found


@pytest.mark.parametrize(("zarr_format", "sharded"), [(2, False), (3, False), (3, True)])
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(adata=annotated_data())
def test_documents_are_those_of_zarr(
    tmp_path_factory: pytest.TempPathFactory, zarr_format: Any, sharded: bool, adata: Any
) -> None:
    folder = tmp_path_factory.mktemp("stores")
    nodes = cut(stored(adata)[0].nodes(), 3)
    write_with_zarr(folder / "theirs", nodes, zarr_format, sharded=sharded)
    (folder / "parts").mkdir()
    ours = folder / "ours"
    receipts = write_zarr_documents(
        str(ours), str(folder / "parts"), nodes, zarr_format, sharded=sharded
    )
    assert parsed(ours) == parsed(folder / "theirs")
    assert [(receipt.path, receipt.size) for receipt in receipts] == [
        (key, len(document))
        for key, document in zarr_documents(nodes, zarr_format, sharded=sharded).items()
    ]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_consolidated_document_is_last(zarr_format: Any) -> None:
    """Whoever finds it finds all that it names."""
    nodes: list[Node] = [GroupNode("", {}), GroupNode("uns", {}), GroupNode("uns/z", {})]
    keys = list(zarr_documents(nodes, zarr_format))
    assert keys[-1] == (".zmetadata" if zarr_format == 2 else "zarr.json")
    depths = ["/" in key for key in keys]
    assert depths == sorted(depths, reverse=True)

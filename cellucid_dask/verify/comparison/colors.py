"""Colors of categories, compared with those in uns of the source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cellucid_dask import format as fmt
from cellucid_dask.errors import CellucidDaskError
from cellucid_dask.verify.export_folder.contents import CategoricalField
from cellucid_dask.verify.source_data.anndata_file import SourceData


def compare_colors(
    field: CategoricalField, source: SourceData, categories: Any | None
) -> Iterator[str]:
    """Compare the colors of a column; one without colors is good, as are exports of before.

    Parameters
    ----------
    categories
        Of the column; None to read those that cells which are not in the export have, too.
    """
    if field.colors is None:
        return
    where = f"{fmt.OBS_MANIFEST}, {fmt.CATEGORY_COLORS}, {field.key!r}"
    try:
        given = source.colors[field.key]
    except (KeyError, CellucidDaskError):
        yield f"{where}: the data has no colors of it"
        return
    if categories is None:
        categories = source.obs.read_column(field.key).astype("category").cat.categories
    colors = [fmt.color_code(text) for text in np.ravel(np.asarray(given, dtype=object))]
    by_category: dict[Any, str] = dict(zip(map(str, categories), colors, strict=False))
    if field.colors != [by_category.get(label) for label in field.labels]:
        yield f"{where}: the colors are not those of the data"

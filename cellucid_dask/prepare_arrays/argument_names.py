"""The names of arguments of `prepare`, and what they stand for."""

from __future__ import annotations

from cellucid_dask.arguments.boundary import CallerNames

FILE_NAMES = {  # the only ones that the viewer knows, by argument
    "obs_manifest_filename": "obs_manifest.json",
    "obs_binary_dirname": "obs",
    "var_manifest_filename": "var_manifest.json",
    "var_binary_dirname": "var",
    "connectivity_manifest_filename": "connectivity_manifest.json",
    "connectivity_binary_dirname": "connectivity",
}
LATENT = "latent_space"
VECTORS = "vector_fields/"  # before the name of a vector field, in the key of its array
# What `prepare` calls the options of an export, and the elements of the AnnData it stands for.
WORDS = CallerNames(
    {
        "categorical_dtype": "obs_categorical_dtype",
        "centroid_quantile": "centroid_outlier_quantile",
        "citation": "source_citation",
        "connectivity": "connectivities=None",
        "description": "dataset_description",
        "embeddings": "X_umap_1d, X_umap_2d or X_umap_3d",
        "expression": "gene_expression=None",
        "gene_id_column": "var_gene_id_column",
        "genes": "gene_identifiers",
        "graph": "connectivities",
        "latent_key": LATENT,
        "layer": "gene_expression",
        "obs_quantization": "obs_continuous_quantization",
        "raw": "gene_expression",
        "vectors": "vector_fields=None",
    },
    (
        (r"(?:obsm/)?vector_fields/(.+)", r"vector_fields['\1']"),
        (r"obsm", "vector_fields"),
        (r"obsm/(.+)", r"\1"),
        (r"obsp/connectivities", "connectivities"),
        (r"X", "gene_expression"),
    ),
)

"""The obs stages: points, columns, centroids and outlier quantiles."""

"""The manifests of an export, built from receipts alone."""

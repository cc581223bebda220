"""`prepare` with the signature of the reference exporter: a user changes one import."""

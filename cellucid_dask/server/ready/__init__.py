"""What today's public app reads: an AnnData that is stored by gene, key by key or in ranges."""

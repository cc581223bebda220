"""The expression matrix of ready files: gene by gene, as CSC or dense."""

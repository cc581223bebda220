"""The stages of ready files: tables, arrays of cells, the graph, the matrix, the container."""

"""The gene index: genes of a matrix that is stored by cell, written once and then read by gene."""

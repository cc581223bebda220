"""The stages of an export, a file or a package for each: task functions and their driver."""

"""The command line: options, commands, what they print, and signals."""

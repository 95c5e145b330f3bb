"""The command line: arguments and output. The other packages do the work."""

"""The command line: its arguments, and what it prints. The work is done by the packages below."""

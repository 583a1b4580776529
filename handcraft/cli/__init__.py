"""The command line: every command reads a program or a compiled folder, and reports."""

"""Run a pack on an engine: a process that may fail, what its answers mean, and the reports."""

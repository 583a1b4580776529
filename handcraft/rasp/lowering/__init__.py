"""RASP programs as expressions."""

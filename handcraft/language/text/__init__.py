"""Rules as text: reading rule files, and writing rules as sentences."""

"""What an engine is asked, and which answers are right: cases as data."""

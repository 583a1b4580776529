"""What a graph means: the value of every node on one text, or on many at once."""

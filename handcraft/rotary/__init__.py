"""Attention scores by distance in models that rotate queries and keys (RoPE).

Two components of a head that are rotated together are a pair. The score of a constant query for a
constant key is a sum over pairs of `amplitude * cos(frequency * distance + phase)`, so a head looks at
a fixed distance if amplitudes and phases are such that this sum is largest there. A linear program
finds them (`solve_query.py`); its result is rounded to numbers that the dtype represents, and then
checked at every distance with a bound for every rounding on the way to softmax (`rounding.py`).
Nothing here knows of programs or circuits.
"""

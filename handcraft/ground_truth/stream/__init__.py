"""The states of the residual stream, and how values are read from them and written to them."""

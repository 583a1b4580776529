"""Features of the residual stream, for sparse autoencoders."""

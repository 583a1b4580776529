"""How the tensors of a diagnostic model are laid out: codewords, named dimensions, a gauge."""

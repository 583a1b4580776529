"""Where every value of a program is stored in the residual stream, and its codewords."""

"""Models of a pack that are Llamas: what only a Llama can get wrong."""

"""The plan and the weights of a rotary model: a Llama."""

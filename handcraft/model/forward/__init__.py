"""One forward pass of GPT-2 or Llama: its input, its steps, its cache."""

"""What is known of the activations of a GPT-2, layer by layer."""

"""What a certificate states: the contexts, and what the program means in each."""

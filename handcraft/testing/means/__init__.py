"""Whether a model answers as it should: what is meant, which prompts are tried, and what was found."""

"""Rules to plans: which overlap, how they are ranked, and every way to write their logits."""

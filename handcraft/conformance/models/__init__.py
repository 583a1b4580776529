"""The models of a pack, one file each: what it computes, and what its wrong answers mean."""

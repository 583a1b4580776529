"""How expressions stand in the user's file: their names and places."""

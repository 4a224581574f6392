"""How much memory it takes: one program per claim."""

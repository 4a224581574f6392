"""How fast it is: one program per claim, each against its peer."""

"""How people enter a journey, move through its steps and leave it."""

"""From a workspace as a team writes it to the frozen tables the engine decides with."""

"""Ten processes change the same entries at random while beats die: the definitions, and what was sent, must add up."""

"""Real beats, stores and brokers, and what goes wrong with them: no occurrence is missed, none is doubled."""

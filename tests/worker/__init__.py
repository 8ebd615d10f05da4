"""The worker's side, alone and in real workers."""

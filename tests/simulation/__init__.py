"""Many beats, users and faults over one store in memory, step by step, from one seed."""

"""The worker's side: a gate before user code, leases that live as long as the task, reports of how it ended."""

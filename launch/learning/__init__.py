"""How a network learns a task: updates, batches, devices, evaluations."""

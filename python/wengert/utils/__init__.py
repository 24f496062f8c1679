"""What does not belong to tensors: handles of hooks, contexts that decorate."""

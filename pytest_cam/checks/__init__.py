"""The verbs: each attends, measures, and raises AttentionError with its evidence."""

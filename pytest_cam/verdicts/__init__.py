"""Numbers against limits, and the words for the outcome."""

"""What passes found, kept within a test session, and what shows that it may still be used."""

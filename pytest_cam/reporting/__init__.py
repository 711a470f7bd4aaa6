"""What is written and said about failures: artifacts, sections, the exit status."""

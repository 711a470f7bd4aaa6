"""What pytest-cam costs: `python -m benchmarks`."""

"""What measures the speed of pytest-cam: `python -m benchmarks`."""

"""What a program holds in memory: values, buffers, their places, the peak."""

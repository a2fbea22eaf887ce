"""What the hardware can do, and the roofline that follows from it.

Rates are dense peaks in FLOP/s and bytes/s. Every figure says where it comes from, and nothing
here imports jax but the kernels that a calibration runs.
"""

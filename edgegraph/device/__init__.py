"""What the hardware can do, and the roofline that follows from it.

- `device`: the peak rates and memory levels of one device, the dtype it computes in, the least time
  that it needs for an operation, and what binds it;
- `catalogue`: devices that need not be here, from ``catalogue.toml`` and the user's own file;
- `calibration`: the rates of this machine, measured;
- `kernel_rates`: what a kernel reaches in fact, expected from those that a calibration measured;
- `host`: what the operating system says of this machine, and who else uses it.

Rates are dense peaks in FLOP/s and bytes/s. Every figure says where it comes from, and nothing
here imports jax but the kernels that a calibration runs.
"""

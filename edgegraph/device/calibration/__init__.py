"""Measuring what this machine can do, through XLA itself.

- `calibrate`: the plan, the order of the work, and the device that comes out of it;
- `peak_kernels`: the kernels whose best rates are the roofs; `peaks`: the best rate that lasts, and
  from the bandwidth of a working set to memory levels;
- `rate_kernels`: the kernels whose typical rates tell what to expect of others;
- `saved`: the calibration that is kept, and when it must not be used.
"""

"""What every instruction costs, from the price of one execution to that of the whole program.

Costs are an algebra (`cost`): sequence adds, loops multiply, and of the branches of a conditional
the most expensive counts. What is unknown is None; sums over it are lower bounds.

- `price`: the cost of every op of a module, all executions together: start reading here;
- `unit_cost`: what one execution costs, with what a collective sends to other devices;
- `xla_cost`: XLA's own price of a single instruction (FLOPs, transcendentals, bytes), and the bytes
  across a fusion's boundary and on the chip;
- `products`: multiply-accumulates, and the dtype that products compute in;
- `trip_counts`: how often loops run;
- `custom_calls`: one registered rule for every library call that XLA knows nothing of.
"""

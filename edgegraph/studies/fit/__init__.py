"""What makes a training step fit into a memory and lose the least time: batch, remat, mesh."""

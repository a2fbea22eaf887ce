"""Measurements in tests run their calls in the calling thread, as the command line does."""

import jax

jax.config.update("jax_cpu_enable_async_dispatch", False)

"""Between the edge and the screening: what settings say of callers, and what is kept and told of calls."""

"""Writing into a model: contrasts, vectors, banks, aggregation and the runtime that adds them."""

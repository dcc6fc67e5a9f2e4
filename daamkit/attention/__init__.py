"""The hook layer: where attention is in a model, and who may look at it or change it."""

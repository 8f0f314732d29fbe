"""From a trained Keras network to a verified model file: quantize, prove, compare, write."""

"""What `fer-train` and `fer-convert` write and `fer-edge` reads: labels, preprocessing, the model file."""

"""Train small expression networks on FER2013: `fer-train`."""

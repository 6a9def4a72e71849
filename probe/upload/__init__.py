"""From a finished run to a collector's receipt: queue, keys, signatures, sending. docs/upload.md says how it goes."""

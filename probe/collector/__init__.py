"""Takes runs in: check, keep once and durably, acknowledge. docs/collector.md and docs/upload-protocol.md."""

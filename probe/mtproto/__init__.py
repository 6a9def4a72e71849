"""MTProto up to the proof of identity, without sockets: messages, transports, cryptography, the exchange."""
